"""How backends are used: real requests, and where they went."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.proxy.backends import Backend, backends
from tests.proxy.client import Answer, ask
from tests.proxy.envoy import serving
from tests.proxy.mesh import front, host, image, rule, services, to, web
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import AppProtocol, Front, Retry, Server, Stream
from tulle.model.routing_policies import (
    BackendTraffic,
    Balancing,
    CircuitLimits,
    HashKey,
    OutlierDetection,
    RetryBudget,
)

POLICY = ObjectRef("BackendTrafficPolicy", "shop", "web")
NAMES = ("a1", "a2", "a3")
BY_HEADER, BY_SOURCE = HashKey("Header", "x-user"), HashKey("SourceIP")
USERS = [f"user-{number}" for number in range(30)]


@dataclass(frozen=True)
class Town:
    port: int
    real: dict[str, Backend]

    def asks(self, count: int, path: str = "/", **headers: str) -> Counter[str]:
        """How many of so many requests each backend answered."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return Counter(ask(self.port, path, headers=named).backend for _ in range(count))

    def at_once(self, count: int, path: str) -> list[Answer]:
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda _: ask(self.port, path), range(count)))


@contextmanager
def town(
    place: Path, traffic: BackendTraffic, *names: str, made: Front | None = None, retries: int = 0
) -> Iterator[Town]:
    """A service with such backends, which are used so."""
    retry = Retry(retries, (503,), 1) if retries else None
    made = made or front(web(host(("/", rule(to("a", traffic=traffic), retry=retry)))))
    with backends(*names or NAMES) as real:
        parts = services({"a": [backend.port for backend in real.values()]})
        with serving(image(parts, made), place):
            yield Town(made.port, real)


def balanced(kind: str, *keys: HashKey, choices: int = 2) -> BackendTraffic:
    return BackendTraffic(POLICY, Balancing(kind, choices, keys))  # type: ignore[arg-type]


def test_round_robin_takes_turns(tmp_path: Path) -> None:
    with town(tmp_path, balanced("RoundRobin")) as here:
        assert here.asks(9) == {"a1": 3, "a2": 3, "a3": 3}


def test_random_takes_everybody(tmp_path: Path) -> None:
    with town(tmp_path, balanced("Random")) as here:
        assert set(here.asks(60)) == set(NAMES)


@pytest.mark.parametrize("kind", ["RingHash", "Maglev"])
def test_a_header_sticks_to_a_backend(tmp_path: Path, kind: str) -> None:
    with town(tmp_path, balanced(kind, BY_HEADER)) as here:
        homes = [set(here.asks(4, x_user=user)) for user in USERS]
        assert all(len(home) == 1 for home in homes)
        assert set.union(*homes) == set(NAMES)


def test_a_source_sticks_to_a_backend(tmp_path: Path) -> None:
    """Also without a word on what to hash by."""
    with town(tmp_path, balanced("RingHash")) as here:
        homes = [
            {ask(here.port, source=f"127.0.1.{number}").backend for _ in range(3)}
            for number in range(1, 20)
        ]
        assert all(len(home) == 1 for home in homes)
        assert set.union(*homes) == set(NAMES)


def test_a_cookie_is_made_and_sticks(tmp_path: Path) -> None:
    with town(tmp_path, balanced("RingHash", HashKey("Cookie", "user", 60_000))) as here:
        first = ask(here.port)
        cookie = first.headers["set-cookie"]
        assert cookie.startswith("user=") and "Max-Age=60" in cookie and "HttpOnly" in cookie
        assert here.asks(10, cookie=cookie.partition(";")[0]) == {first.backend: 10}
        assert len({ask(here.port).backend for _ in range(30)}) > 1


def test_the_first_key_that_a_request_has_decides(tmp_path: Path) -> None:
    keys = (BY_HEADER, BY_SOURCE)
    with town(tmp_path, balanced("Maglev", *keys)) as here:
        assert len({ask(here.port, headers={"X-User": user}).backend for user in USERS}) == 3
        assert len(here.asks(10)) == 1


def test_connections_that_are_passed_on_whole_stick_by_source(tmp_path: Path) -> None:
    traffic = balanced("Maglev", BY_HEADER)
    stream = Stream((to("a", traffic=traffic, protocol=AppProtocol.TCP),))
    made = front(Server("tcp", protocol="TCP", streams=(stream,)))
    with town(tmp_path, traffic, made=made) as here:
        homes = [
            {ask(here.port, source=f"127.0.1.{number}").backend for _ in range(3)}
            for number in range(1, 20)
        ]
        assert all(len(home) == 1 for home in homes)
        assert set.union(*homes) == set(NAMES)


def test_least_request_prefers_the_idle(tmp_path: Path) -> None:
    """All are compared: while one holds a request, none goes there."""
    with town(tmp_path, balanced("LeastRequest", choices=0)) as here:
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(ask, here.port, "/?wait=1.5")
            while not any(backend.seen for backend in here.real.values()):
                time.sleep(0.01)
            quick = here.asks(20)
            busy = slow.result().backend
        assert quick[busy] == 0
        assert len(quick) == 2


def test_who_is_slow_gets_less_and_no_client_sees_why(tmp_path: Path) -> None:
    """Ten times as slow, a tenth of the requests; weights are new every second."""
    with town(tmp_path, balanced("Latency"), "a1", "a2") as here:
        here.real["a1"].slowness_s, here.real["a2"].slowness_s = 0.1, 0.01
        assert "endpoint-load-metrics" not in ask(here.port).headers
        assert 0 < asks_once_settled(here, "a1") <= 15
        here.real["a1"].slowness_s, here.real["a2"].slowness_s = 0.01, 0.1
        assert 0 < asks_once_settled(here, "a2") <= 15


def asks_once_settled(here: Town, slow: str) -> int:
    """How many of 60 requests the slow one gets: half of them until weights were measured."""
    end = time.monotonic() + 30
    while (found := here.asks(60)[slow]) > 15 and time.monotonic() < end:
        pass
    return found


def test_of_connections_and_several_services_the_fewest_decide(tmp_path: Path) -> None:
    traffic = balanced("Latency")
    stream = Stream((to("a", traffic=traffic, protocol=AppProtocol.TCP),))
    made = front(Server("tcp", protocol="TCP", streams=(stream,)))
    with town(tmp_path, traffic, made=made) as here:
        assert set(here.asks(30)) == set(NAMES)


def test_a_backend_that_fails_is_left_alone_for_a_while(tmp_path: Path) -> None:
    outliers = OutlierDetection(3, 0, 100, 1500, 1500, 50)
    traffic = BackendTraffic(POLICY, Balancing("RoundRobin"), outliers)
    with town(tmp_path, traffic) as here:
        here.real["a2"].always = 500
        here.asks(12)  # the third error in a row ejects it
        before = len(here.real["a2"].seen)
        assert here.asks(12) == {"a1": 6, "a3": 6}
        assert len(here.real["a2"].seen) == before == 3
        here.real["a2"].always = 200
        end = time.monotonic() + 10
        while not here.asks(3)["a2"] and time.monotonic() < end:
            time.sleep(0.1)
        assert here.asks(9)["a2"] == 3


def test_gateway_errors_are_counted_apart(tmp_path: Path) -> None:
    outliers = OutlierDetection(0, 2, 100, 60_000, 60_000, 50)
    traffic = BackendTraffic(POLICY, Balancing("RoundRobin"), outliers)
    with town(tmp_path, traffic) as here:
        here.real["a1"].always, here.real["a2"].always = 500, 503
        here.asks(12)
        assert here.asks(12) == {"a1": 6, "a3": 6}


def test_no_more_are_ejected_than_the_share(tmp_path: Path) -> None:
    outliers = OutlierDetection(1, 0, 100, 60_000, 60_000, 50)
    traffic = BackendTraffic(POLICY, Balancing("RoundRobin"), outliers)
    with town(tmp_path, traffic) as here:
        for backend in here.real.values():
            backend.always = 500
        here.asks(9)
        assert len(here.asks(12)) == 2


def test_more_requests_than_the_limit_are_refused_at_once(tmp_path: Path) -> None:
    traffic = BackendTraffic(POLICY, limits=CircuitLimits(requests=2))
    with town(tmp_path, traffic, "a1") as here:
        answers = here.at_once(6, "/?wait=1")
        assert Counter(answer.status for answer in answers) == {200: 2, 503: 4}
        assert all("overflow" in answer.body for answer in answers if answer.status == 503)
        assert ask(here.port).status == 200


def test_of_connections_and_who_waits_for_one(tmp_path: Path) -> None:
    """One is served, one waits for its connection, the others are refused."""
    traffic = BackendTraffic(POLICY, limits=CircuitLimits(connections=1, pending=1))
    with town(tmp_path, traffic, "a1") as here, ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, here.port, "/?wait=1")
        while not here.real["a1"].seen:
            time.sleep(0.01)
        statuses = Counter(answer.status for answer in here.at_once(5, "/"))
        assert first.result().status == 200
        assert statuses == {200: 1, 503: 4}


def test_no_more_retries_at_a_time_than_the_limit(tmp_path: Path) -> None:
    traffic = BackendTraffic(POLICY, limits=CircuitLimits(retries=0))
    with town(tmp_path, traffic, "a1", retries=3) as here:
        assert ask(here.port, "/?status=503").status == 503
        assert len(here.real["a1"].seen) == 1


def tried(place: Path, budget: RetryBudget | None) -> int:
    """How many tries 20 requests at once became, each of which fails and could be tried twice."""
    place.mkdir()
    with town(place, BackendTraffic(POLICY, retries=budget), "a1", retries=1) as here:
        statuses = Counter(answer.status for answer in here.at_once(20, "/?status=503&wait=0.3"))
        assert statuses == {503: 20}
        return len(here.real["a1"].seen)


def test_a_budget_for_retries(tmp_path: Path) -> None:
    assert tried(tmp_path / "without", None) == 40
    assert 20 < tried(tmp_path / "some", RetryBudget(0, 10_000, 3)) <= 30
    assert tried(tmp_path / "none", RetryBudget(1, 10_000, 0)) == 20
