"""Rate limits: real requests, 429 and what comes after it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.proxy.backends import backends
from tests.proxy.client import Answer, ask
from tests.proxy.envoy import serving
from tests.proxy.mesh import front, host, image, rule, services, to, web
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Filters, Redirect, RequestPolicies, Rule
from tulle.model.routing_policies import RateLimit, TokenBucket

POLICY = ObjectRef("RateLimitPolicy", "shop", "web")
HOUR_MS = 3_600_000
SLOW = TokenBucket(3, HOUR_MS, 3)  # nothing comes back within a test
MINE = TokenBucket(2, HOUR_MS, 2, per_client=True)


def limited(scope: str, *buckets: TokenBucket, redirect: Redirect | None = None) -> Rule:
    policies = RequestPolicies(rate_limit=RateLimit(POLICY, scope, buckets))
    destinations = () if redirect else (to("a"),)
    return rule(*destinations, policies=policies, filters=Filters(redirect=redirect))


ONE = limited("shared", SLOW)
RULES = {
    "/all": limited("all", SLOW),
    "/grpc": limited("grpc", SLOW),
    "/quick": limited("quick", TokenBucket(1, 1000, 2)),
    "/one": ONE,
    "/two": ONE,
    "/same": limited("shared", SLOW),
    "/mine": limited("mine", MINE),
    "/both": limited("both", MINE, SLOW),
    "/moved": limited("moved", SLOW, redirect=Redirect(hostname="b.example")),
    "/free": rule(to("a")),
}


@pytest.fixture(scope="module", params=[False, True], ids=["gateway", "mesh"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with backends("a") as real:
        made = front(web(host(*RULES.items())), mesh=request.param)
        parts = services({"a": real["a"].port})
        with serving(image(parts, made), tmp_path_factory.mktemp("envoy")):
            yield made.port


def statuses(port: int, path: str, count: int, **fields: str) -> list[int]:
    return [ask(port, path, **fields).status for _ in range(count)]


def test_what_is_too_much_is_refused_until_when_is_told(port: int) -> None:
    assert statuses(port, "/all", 5) == [200, 200, 200, 429, 429]
    answer = ask(port, "/all")
    assert 0 < int(answer.headers["retry-after"]) <= HOUR_MS / 1000
    assert statuses(port, "/free", 5) == [200] * 5


def test_a_bucket_fills_again(port: int) -> None:
    assert statuses(port, "/quick", 3) == [200, 200, 429]
    time.sleep(1.2)
    assert statuses(port, "/quick", 2) == [200, 429]


def test_rules_of_a_scope_share_a_bucket(port: int) -> None:
    assert [ask(port, path).status for path in ("/one", "/two", "/same", "/one")] == [
        *(200, 200, 200, 429)
    ]


def test_each_client_has_a_bucket(port: int) -> None:
    assert statuses(port, "/mine", 3) == [200, 200, 429]
    assert statuses(port, "/mine", 3, source="127.0.0.2") == [200, 200, 429]


def test_a_client_cannot_say_that_it_is_another(port: int) -> None:
    answers: list[Answer] = [
        ask(port, "/mine", source="127.0.0.3", headers={"X-Forwarded-For": f"192.0.2.{number}"})
        for number in range(4)
    ]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]


def test_every_bucket_must_have_a_token(port: int) -> None:
    sources = ["127.0.0.4"] * 2 + ["127.0.0.5"] * 2
    assert [ask(port, "/both", source=source).status for source in sources] == [200, 200, 200, 429]


def test_a_client_of_grpc_is_told_in_its_words(port: int) -> None:
    answers = [ask(port, "/grpc", headers={"Content-Type": "application/grpc"}) for _ in range(4)]
    assert [answer.headers.get("grpc-status") for answer in answers] == [None, None, None, "8"]


def test_redirects_count_too(port: int) -> None:
    assert statuses(port, "/moved", 4) == [302, 302, 302, 429]
