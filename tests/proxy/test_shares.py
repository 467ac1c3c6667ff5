"""What is decided by chance, by what came before, or by whom a request is shown to besides."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.proxy.backends import Backend, backends
from tests.proxy.client import Answer, ask
from tests.proxy.envoy import serving
from tests.proxy.mesh import HERE, front, host, image, rule, services, to, web
from tests.unit.compile.services.shop import built, listing, service, town
from tulle.compile.services import ServiceParts
from tulle.model.routing import (
    Filters,
    HeaderEdit,
    Mirror,
    PathChange,
    Retry,
    Rewrite,
    Rule,
    SessionPersistence,
)

Served = tuple[int, dict[str, Backend]]


@contextmanager
def gateway(place: Path, made: Rule, *names: str) -> Iterator[Served]:
    """Of one rule; its port, and the backends."""
    edge = front(web(host(("/", made))))
    with backends(*names) as found:
        parts = services({name: backend.port for name, backend in found.items()})
        with serving(image(parts, edge), place):
            yield edge.port, found


def group(ports: list[int], spec: str = "ports: [{port: 80}]") -> ServiceParts:
    """The service `many` with a backend at each port."""
    text = service("many", spec)
    for number, port in enumerate(ports):
        text += listing(str(HERE), name=f"many-{number}", of="many", port=f"port: {port}")
    return built(town(text=text))


# --- weights ---


def test_weights(tmp_path: Path) -> None:
    made = rule(to("a", 1), to("b", 3), to("c", 0))
    with gateway(tmp_path, made, "a", "b", "c") as (port, _):
        found = Counter(ask(port).backend for _ in range(300))
    assert set(found) == {"a", "b"}
    assert 185 <= found["b"] <= 265


def test_a_broken_share_is_500(tmp_path: Path) -> None:
    made = rule(to("a"), to("b", broken="there is no such service"))
    with gateway(tmp_path, made, "a") as (port, _):
        found = Counter(ask(port).status for _ in range(100))
    assert set(found) == {200, 500}
    assert 25 <= found[500] <= 75


def test_each_destination_has_its_own_filters(tmp_path: Path) -> None:
    def marked(name: str) -> Filters:
        return Filters(request=HeaderEdit(set=(("X-To", name),)))

    made = rule(to("a", filters=marked("a")), to("b", filters=marked("b")))
    with gateway(tmp_path, made, "a", "b") as (port, _):
        answers = [ask(port) for _ in range(40)]
    assert {answer.backend for answer in answers} == {"a", "b"}
    assert all(answer.seen["headers"]["x-to"] == answer.backend for answer in answers)


# --- mirrors ---


def reached(backend: Backend, count: int, wait_s: float = 3.0) -> bool:
    """Whether that many requests have come, if one waits for them."""
    end = time.monotonic() + wait_s
    while len(backend.seen) < count and time.monotonic() < end:
        time.sleep(0.02)
    return len(backend.seen) == count


def test_mirrors(tmp_path: Path) -> None:
    """[HTTPRouteRequestMirror, HTTPRouteRequestMultipleMirrors]"""
    gone = Mirror(to("gone", broken="there is no such service"))
    made = rule(to("a"), filters=Filters(mirrors=(Mirror(to("b")), Mirror(to("c")), gone)))
    with gateway(tmp_path, made, "a", "b", "c") as (port, found):
        answer = ask(port, "/x?q=1", method="POST", body="text")
        assert answer.backend == "a"
        for name in ("b", "c"):
            assert reached(found[name], 1)
            (seen,) = found[name].seen
            assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/x?q=1", "text")
            assert seen["headers"]["host"] == "a.example"  # type: ignore[index]


@pytest.mark.parametrize(("share", "low", "high"), [((1, 4), 50, 105), ((0, 100), 0, 0)])
def test_a_share_is_mirrored(tmp_path: Path, share: tuple[int, int], low: int, high: int) -> None:
    """[HTTPRouteRequestPercentageMirror]"""
    made = rule(to("a"), filters=Filters(mirrors=(Mirror(to("b"), *share),)))
    with gateway(tmp_path, made, "a", "b") as (port, found):
        for _ in range(300):
            ask(port)
        reached(found["b"], 300, 0.5)
        assert low <= len(found["b"].seen) <= high


# --- retries ---


def test_a_retry_goes_elsewhere(tmp_path: Path) -> None:
    """[HTTPRouteRetry]: to a backend that has not failed."""
    edge = front(web(host(("/", rule(to("many"), retry=Retry(3, (503,), 1))))))
    with backends("a", "b") as found:
        parts = group([backend.port for backend in found.values()])
        found["a"].always = 503
        with serving(image(parts, edge), tmp_path):
            assert {ask(edge.port).status for _ in range(40)} == {200}
        assert found["a"].seen


@pytest.mark.parametrize("made", [rule(to("many")), rule(to("many"), retry=Retry(2))])
def test_a_backend_that_is_not_there_is_not_noticed(tmp_path: Path, made: Rule) -> None:
    """[HTTPRouteRetryConnectionError], and unasked: nobody has seen the request yet."""
    edge = front(web(host(("/", made))))
    with backends("a") as found, socket.socket() as silent:
        silent.bind((str(HERE), 0))  # nobody else has the port, and it does not listen
        parts = group([found["a"].port, silent.getsockname()[1]])
        with serving(image(parts, edge), tmp_path):
            assert {ask(edge.port).status for _ in range(40)} == {200}


@pytest.mark.parametrize(("retry", "status", "tries"), [(Retry(2), 503, 3), (None, 503, 1)])
def test_a_connection_that_is_cut(
    tmp_path: Path, retry: Retry | None, status: int, tries: int
) -> None:
    """After a backend has the request it is sent again only if that was asked for."""
    with gateway(tmp_path, rule(to("a"), retry=retry), "a") as (port, found):
        assert ask(port, "/?reset").status == status
        assert len(found["a"].seen) == tries


@pytest.mark.parametrize(("size", "status"), [(900_000, 200), (2_000_000, 503)])
def test_a_body_is_sent_again_if_it_was_kept(tmp_path: Path, size: int, status: int) -> None:
    with gateway(tmp_path, rule(to("a"), retry=Retry(1, (503,))), "a") as (port, _):
        answer = ask(port, "/?status=503&times=1", method="POST", body="x" * size)
        assert (answer.status, len(answer.seen["body"])) == (status, size)


def test_waits_between_tries(tmp_path: Path) -> None:
    made = rule(to("a"), retry=Retry(3, (503,), 400), timeout_ms=500)
    with gateway(tmp_path, made, "a") as (port, _):
        began = time.monotonic()
        ask(port, "/?status=503")
        assert time.monotonic() - began < 2  # the whole has a limit


# --- sessions ---


@pytest.mark.parametrize("sticky", [True, False])
def test_clients_of_a_sticky_service(tmp_path: Path, sticky: bool) -> None:
    """`sessionAffinity: ClientIP`, as without routes."""
    spec = f"ports: [{{port: 80}}]{', sessionAffinity: ClientIP' if sticky else ''}"
    edge = front(web(host(("/", rule(to("many"))))))
    with backends("a", "b", "c") as found:
        parts = group([backend.port for backend in found.values()], spec)
        with serving(image(parts, edge), tmp_path):
            clients = [
                {ask(edge.port, source=f"127.0.1.{last}").backend for _ in range(12)}
                for last in range(1, 13)
            ]
    assert all(len(own) == 1 for own in clients) is sticky
    assert set.union(*clients) == {"a", "b", "c"}


def cookies(answer: Answer) -> dict[str, str]:
    """Set by an answer: name → what a client sends again."""
    texts = answer.headers.get("set-cookie", "").split(",")
    return {
        text.partition("=")[0].strip(): text.partition(";")[0].strip() for text in texts if text
    }


def follow_cookie(port: int) -> set[str]:
    """Backends of one session."""
    first = ask(port)
    held = "; ".join(cookies(first).values())
    assert held
    return {first.backend, *(ask(port, headers={"Cookie": held}).backend for _ in range(20))}


def follow_header(port: int) -> set[str]:
    first = ask(port)
    held = {"X-Session": first.headers["x-session"]}
    return {first.backend, *(ask(port, headers=held).backend for _ in range(20))}


@pytest.mark.parametrize(
    ("session", "follow"),
    [
        (SessionPersistence(), follow_cookie),
        (SessionPersistence("Cookie", "s", 60), follow_cookie),
        (SessionPersistence("Header", "X-Session"), follow_header),
    ],
)
def test_a_session_stays(
    tmp_path: Path, session: SessionPersistence, follow: Callable[[int], set[str]]
) -> None:
    """[HTTPRouteSessionPersistence of either kind]"""
    edge = front(web(host(("/", rule(to("many"), session=session)))))
    with backends("a", "b", "c") as found:
        parts = group([backend.port for backend in found.values()])
        with serving(image(parts, edge), tmp_path):
            sessions = [follow(edge.port) for _ in range(12)]
    assert all(len(one) == 1 for one in sessions)
    assert len(set.union(*sessions)) > 1


def test_a_cookie_has_a_lifetime(tmp_path: Path) -> None:
    made = rule(to("a"), session=SessionPersistence("Cookie", "s", 60))
    with gateway(tmp_path, made, "a") as (port, _):
        text = ask(port).headers["set-cookie"]
    assert text.startswith("s=")
    assert "Max-Age=60" in text
    assert "HttpOnly" in text
    assert "Path=/" in text


def test_a_session_stays_with_its_share(tmp_path: Path) -> None:
    made = rule(to("a"), to("b"), session=SessionPersistence("Cookie", "s"))
    with gateway(tmp_path, made, "a", "b") as (port, _):
        sessions = [follow_cookie(port) for _ in range(12)]
    assert all(len(one) == 1 for one in sessions)
    assert len(set.union(*sessions)) == 2


def test_paths_of_one_backend_alone(tmp_path: Path) -> None:
    """Each has its share still, whatever stands before it."""

    def moved(path: str) -> Filters:
        return Filters(rewrite=Rewrite(path=PathChange(path, False)))

    names = ("a", "b", "c", "d")
    made = rule(*(to(name, filters=moved(f"/{name}")) for name in names))
    with gateway(tmp_path, made, *names) as (port, _):
        answers = [ask(port, "/x") for _ in range(400)]
    assert all(answer.seen["path"] == f"/{answer.backend}" for answer in answers)
    found = Counter(answer.backend for answer in answers)
    assert all(60 <= found[name] <= 140 for name in names), found
