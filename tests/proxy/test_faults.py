"""Faults on purpose: real requests, and how many of them are hit."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.proxy.backends import backends
from tests.proxy.client import ask
from tests.proxy.envoy import serving
from tests.proxy.mesh import front, host, image, rule, services, to, web
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import RequestPolicies, Rule
from tulle.model.routing_policies import Fault, TokenCheck, TokenIssuer

from .test_tokens import ISSUER, KEY, jwks

POLICY = ObjectRef("FaultInjectionPolicy", "shop", "web")
HALF = 500_000
DELAY_MS, TICK_MS = 300, 10  # the latter is by how much Envoy's clock may be behind


def faulty(tokens: TokenCheck | None = None, **fault: object) -> Rule:
    made = Fault(POLICY, **fault)  # type: ignore[arg-type]
    return rule(to("a"), policies=RequestPolicies(fault=made, tokens=tokens))


CHECK = TokenCheck(POLICY, (TokenIssuer("corp", ISSUER, jwks(KEY)),))
RULES = {
    "/abort": faulty(status=418),
    "/grpc": faulty(grpc_status=14),
    "/half": faulty(status=503, abort_share=HALF),
    "/none": faulty(status=503, abort_share=0),
    "/delay": faulty(delay_ms=DELAY_MS + TICK_MS),
    "/halves": faulty(delay_ms=DELAY_MS + TICK_MS, delay_share=HALF),
    "/both": faulty(delay_ms=DELAY_MS + TICK_MS, status=503),
    "/header": faulty(status=503, headers=(("x-chaos", "yes"), ("x-who", "me"))),
    "/guarded": faulty(CHECK, status=418),
}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with backends("a") as real:
        made = front(web(host(*RULES.items())))
        parts = services({"a": real["a"].port})
        with serving(image(parts, made), tmp_path_factory.mktemp("envoy")):
            yield made.port


def taken_ms(port: int, path: str) -> tuple[int, float]:
    began = time.monotonic()
    return ask(port, path).status, (time.monotonic() - began) * 1000


def test_aborts(port: int) -> None:
    assert {ask(port, "/abort").status for _ in range(20)} == {418}
    assert {ask(port, "/none").status for _ in range(20)} == {200}
    headers = {"Content-Type": "application/grpc"}
    assert ask(port, "/grpc", headers=headers).headers["grpc-status"] == "14"


def test_half_of_the_requests_are_aborted(port: int) -> None:
    """300 of a fair coin are off by 50 once in a hundred million times."""
    aborted = sum(ask(port, "/half").status == 503 for _ in range(300))
    assert 100 <= aborted <= 200


def test_delays(port: int) -> None:
    status, took_ms = taken_ms(port, "/delay")
    assert status == 200 and took_ms >= DELAY_MS
    status, took_ms = taken_ms(port, "/both")
    assert status == 503 and took_ms >= DELAY_MS
    assert taken_ms(port, "/none")[1] < DELAY_MS


def test_half_of_the_requests_are_delayed(port: int) -> None:
    """None or all of 30 would be once in a thousand million times."""
    delayed = sum(taken_ms(port, "/halves")[1] >= DELAY_MS for _ in range(30))
    assert 0 < delayed < 30


def test_only_requests_with_the_headers_are_hit(port: int) -> None:
    for headers, status in (
        ({}, 200),
        ({"X-Chaos": "yes"}, 200),
        ({"X-Chaos": "yes", "X-Who": "me"}, 503),
        ({"X-Chaos": "no", "X-Who": "me"}, 200),
    ):
        assert ask(port, "/header", headers=headers).status == status


def test_who_may_not_pass_meets_no_fault(port: int) -> None:
    assert ask(port, "/guarded").status == 401
    token = {"Authorization": f"Bearer {KEY.token(iss=ISSUER)}"}
    assert ask(port, "/guarded", headers=token).status == 418
