from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.agent.kube.api import FakeApi, Resource, document
from tulle.agent.kube import events
from tulle.agent.kube.bucket import Bucket
from tulle.agent.kube.events import Happening, Recorder, event_of, name_of, series_of
from tulle.edges.kubernetes.errors import Forbidden
from tulle.model.kubernetes import ObjectRef

Json = dict[str, Any]

START = datetime(2026, 1, 1, tzinfo=UTC)
ROUTE = ObjectRef("HTTPRoute", "shop", "web")
CLASS = ObjectRef("GatewayClass", "", "tulle")
REFUSED = Happening(ROUTE, "Refused", "Compile", "spec.rules[0]: no")


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def wall(self) -> datetime:
        return START + timedelta(seconds=self.now_s - 1000)


@dataclass
class Told:
    """A recorder, its server and its clock."""

    api: FakeApi = field(default_factory=FakeApi)
    clock: Clock = field(default_factory=Clock)
    bucket: Bucket = field(default_factory=lambda: Bucket(1e9, 1e9))

    def __post_init__(self) -> None:
        self.api.has(document(ROUTE), document(CLASS))
        self.recorder = Recorder(
            self.api, Resource, "node-1", self.bucket, self.clock, self.clock.wall
        )

    def tell(self, what: Happening = REFUSED, times: int = 1) -> None:
        self.recorder.tell(what, times)

    async def pass_time(self, seconds: float) -> None:
        """And everything that is due then is done."""
        self.clock.now_s += seconds
        self.recorder._queue._came.set()
        for _ in range(50):
            await asyncio.sleep(0)

    @property
    def events(self) -> list[Json]:
        return list(self.api.events.values())


@asynccontextmanager
async def running() -> AsyncIterator[Told]:
    told = Told()
    task = asyncio.create_task(told.recorder.run())
    try:
        yield told
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_an_event_has_all_that_the_api_asks_for() -> None:
    assert event_of(REFUSED, document(ROUTE), "node-1", START) == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name_of(REFUSED, document(ROUTE)), "namespace": "shop"},
        "type": "Warning",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "tulle.io/agent",
        "reportingInstance": "node-1",
        "action": "Compile",
        "reason": "Refused",
        "note": "spec.rules[0]: no",
        "regarding": {
            "apiVersion": "example.com/v1",
            "kind": "HTTPRoute",
            "name": "web",
            "namespace": "shop",
            "uid": "u-1",
        },
    }


def test_one_about_what_is_in_no_namespace() -> None:
    made = event_of(REFUSED._replace(ref=CLASS), document(CLASS), "n", START)
    assert made["metadata"]["namespace"] == "default"
    assert "namespace" not in made["regarding"]


def test_names_are_of_what_is_said() -> None:
    others = [
        (REFUSED._replace(note="else"), "u-1"),
        (REFUSED._replace(reason="Else"), "u-1"),
        (REFUSED, "u-2"),
    ]
    names = {name_of(what, document(what.ref, uid=uid)) for what, uid in others}
    own = name_of(REFUSED, document(ROUTE))
    assert len(names) == 3
    assert own not in names
    assert own == name_of(REFUSED, document(ROUTE))
    assert own.startswith("web.")


@pytest.mark.parametrize("char", ["x", "é", "☃"])
def test_what_is_too_long_is_cut(char: str) -> None:
    ref = ObjectRef("HTTPRoute", "shop", f"{'a' * 199}.{'b' * 53}")
    made = event_of(Happening(ref, "R", "A", char * 5000), document(ref), "n" * 300, START)
    assert len(made["note"].encode()) <= 1024
    assert made["note"].endswith(f"{char}…")
    assert len(made["metadata"]["name"]) <= 253
    assert ".." not in made["metadata"]["name"]
    assert len(made["reportingInstance"]) <= 128


def test_a_series_has_at_least_two() -> None:
    assert series_of(1, START)["series"]["count"] == 2


def test_the_first_is_told_at_once_the_others_are_counted() -> None:
    async def go() -> None:
        async with running() as told:
            told.tell()
            await told.pass_time(0)
            (event,) = told.events
            assert "series" not in event
            told.tell(times=3)
            await told.pass_time(9)
            assert "series" not in event
            await told.pass_time(2)
            (event,) = told.events
            assert event["series"] == {
                "count": 4,
                "lastObservedTime": "2026-01-01T00:00:00.000000Z",
            }

    asyncio.run(go())


def test_what_goes_on_is_told_ever_more_rarely() -> None:
    async def go() -> None:
        async with running() as told:
            for _ in range(3600):
                told.tell()
                await told.pass_time(1)
            assert len(told.events) == 1
            assert 8 <= len(told.api.writes()) <= 12
            await told.pass_time(events.LAST_PAUSE_S)
            assert told.events[0]["series"]["count"] == 3600

    asyncio.run(go())


def test_about_one_object_not_more_than_one_in_ten_seconds() -> None:
    async def go() -> None:
        async with running() as told:
            for number in range(6):
                told.tell(REFUSED._replace(note=str(number)))
            for seconds in range(1, 32):
                await told.pass_time(1)
                assert len(told.events) <= 1 + seconds // 10
            assert len(told.events) == 4
            told.tell(REFUSED._replace(ref=CLASS))
            await told.pass_time(0)
            assert len(told.events) == 5

    asyncio.run(go())


def test_all_together_have_a_limit() -> None:
    async def go() -> None:
        told = Told(bucket=Bucket(1e-9, 3))
        refs = [ObjectRef("HTTPRoute", "shop", f"r-{number}") for number in range(10)]
        told.api.has(*map(document, refs))
        task = asyncio.create_task(told.recorder.run())
        for ref in refs:
            told.tell(REFUSED._replace(ref=ref))
        await told.pass_time(0)
        assert len(told.events) == 3
        task.cancel()

    asyncio.run(go())


def test_one_that_the_server_forgot_is_made_anew() -> None:
    async def go() -> None:
        async with running() as told:
            told.tell()
            await told.pass_time(0)
            told.api.events.clear()
            told.tell()
            await told.pass_time(20)
            assert len(told.events) == 1

    asyncio.run(go())


def test_another_agent_that_says_the_same_counts_on() -> None:
    async def go() -> None:
        async with running() as first, running() as second:
            second.api.events = first.api.events
            first.tell()
            await first.pass_time(0)
            second.tell()
            await second.pass_time(0)
            (event,) = first.events
            assert event["series"]["count"] == 2

    asyncio.run(go())


def test_of_what_is_not_there_nothing_is_told() -> None:
    async def go() -> None:
        async with running() as told:
            told.tell(REFUSED._replace(ref=ObjectRef("HTTPRoute", "shop", "gone")))
            told.tell()
            await told.pass_time(0)
            assert len(told.events) == 1
            assert told.recorder.problem == ""

    asyncio.run(go())


def test_of_what_may_not_be_looked_at_nothing_is_told() -> None:
    async def go() -> None:
        async with running() as told:

            def refuse(verb: str, path: str) -> None:
                raise Forbidden(403, "Forbidden", "no role")

            told.api.interfere = refuse
            told.tell()
            for _ in range(10):
                await told.pass_time(100)
            assert (len(told.api.asked), told.recorder.problem) == (1, "")

    asyncio.run(go())


def test_a_server_that_refuses_is_told_of_and_asked_again() -> None:
    async def go() -> None:
        async with running() as told:

            def refuse(verb: str, path: str) -> None:
                if verb == "create":
                    raise Forbidden(403, "Forbidden", "no role")

            told.api.interfere = refuse
            told.tell()
            await told.pass_time(0)
            assert "no role" in told.recorder.status()["problem"]
            told.api.interfere = lambda verb, path: None
            await told.pass_time(60)
            assert (len(told.events), told.recorder.problem) == (1, "")

    asyncio.run(go())


def test_a_bug_about_one_keeps_no_other() -> None:
    async def go() -> None:
        async with running() as told:

            def fail(verb: str, path: str) -> None:
                if path == "HTTPRoute/shop/web":
                    raise KeyError("a bug")

            told.api.interfere = fail
            told.tell()
            told.tell(REFUSED._replace(ref=CLASS))
            await told.pass_time(0)
            assert len(told.events) == 1

    asyncio.run(go())


def test_the_table_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_TABLE", 3)

    async def go() -> None:
        async with running() as told:
            notes = (REFUSED._replace(note=str(number)) for number in itertools.count())
            for _ in range(5):
                told.tell(next(notes))
            assert told.recorder.lost == 2
            await told.pass_time(0)
            told.tell(next(notes))  # in place of the one that is told
            assert told.recorder.lost == 2
            assert len(told.recorder._entries) == 3

    asyncio.run(go())
