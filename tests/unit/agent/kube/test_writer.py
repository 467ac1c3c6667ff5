from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from tests.unit.agent.kube.api import FakeApi, Resource, document
from tulle.agent.kube.statuses import Told
from tulle.agent.kube.writer import AT_ONCE, Writer
from tulle.edges.kubernetes.backoff import Backoff
from tulle.edges.kubernetes.errors import ApiError, Conflict, Forbidden, Invalid
from tulle.errors import Unavailable
from tulle.model.kubernetes import ObjectRef
from tulle.model.references import CONTROLLER

Json = dict[str, Any]

NOW = "2026-01-01T00:00:00Z"
DOOR = ObjectRef("Gateway", "shop", "door")
ROUTE = ObjectRef("HTTPRoute", "shop", "web")


def at_once() -> Backoff:
    return Backoff(0.0, 0.0)


def writer_to(
    api: FakeApi, may_write: Callable[[], bool] = lambda: True, has_status: bool = True
) -> Writer:
    return Writer(
        api,
        lambda kind: Resource(kind, has_status),
        may_write,
        per_s=1e9,
        now=lambda: NOW,
        backoff=at_once,
    )


def ready(message: str = "", uid: str = "u-1") -> Told:
    condition = {"type": "Accepted", "status": "True", "reason": "Any", "message": message}
    return Told(uid, {"conditions": [condition]})


def told(api: FakeApi, ref: ObjectRef = DOOR) -> Any:
    """What the server says of an object."""
    status = api.status(ref)
    return status and status["conditions"][0]["message"]


@asynccontextmanager
async def running(writer: Writer) -> AsyncIterator[None]:
    task = asyncio.create_task(writer.run())
    try:
        async with asyncio.timeout(30):
            yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(holds: Callable[[], object]) -> None:
    for _ in itertools.count():
        if holds():
            return
        await asyncio.sleep(0)


async def idle(writer: Writer) -> None:
    await until(lambda: writer.is_running and not writer.waiting)


def doors(number: int) -> list[ObjectRef]:
    return [ObjectRef("Gateway", "shop", f"door-{index}") for index in range(number)]


async def passes(writer: Writer, *wanted: Mapping[ObjectRef, Told]) -> None:
    """Each waits until the one before is written."""
    async with running(writer):
        await idle(writer)
        for statuses in wanted:
            writer.want(statuses)
            await idle(writer)


def test_a_status_comes_to_the_server() -> None:
    api = FakeApi()
    api.has(document(DOOR))
    writer = writer_to(api)
    asyncio.run(passes(writer, {DOOR: ready("a")}))
    assert told(api) == "a"
    assert api.status(DOOR)["conditions"][0]["lastTransitionTime"] == NOW
    assert (writer.written, writer.problems) == (1, {})


def test_what_stays_is_written_once() -> None:
    api = FakeApi()
    refs = doors(20)
    api.has(*map(document, refs))
    asyncio.run(passes(writer_to(api), *[{ref: ready("a") for ref in refs} for _ in range(100)]))
    assert len(api.writes()) == len(refs)


def test_another_writer_finds_everything_said_and_writes_nothing() -> None:
    api = FakeApi()
    refs = doors(1200)
    api.has(*map(document, refs))
    wanted = {ref: ready() for ref in refs}
    asyncio.run(passes(writer_to(api), wanted))
    writer = writer_to(api)
    writer.want(wanted)
    api.asked.clear()
    asyncio.run(passes(writer))
    assert api.asked == [("list", "Gateway")]


def test_only_what_changed_is_written() -> None:
    api = FakeApi()
    refs = doors(10)
    api.has(*map(document, refs))
    wanted = {ref: ready() for ref in refs}
    asyncio.run(passes(writer_to(api), wanted, {**wanted, refs[3]: ready("b")}))
    assert api.writes()[10:] == ["Gateway/shop/door-3/status"]


def test_of_many_values_the_newest_is_written_last_and_few_of_the_others() -> None:
    api = FakeApi()
    api.has(document(DOOR))
    writer = writer_to(api)

    async def change_often() -> None:
        async with running(writer):
            for number in range(1000):
                writer.want({DOOR: ready(str(number))})
                if number % 100 == 0:
                    await asyncio.sleep(0)
            await idle(writer)

    asyncio.run(change_often())
    assert told(api) == "999"
    assert len(api.writes()) < 20


def test_requests_for_one_object_never_overtake_each_other() -> None:
    api = FakeApi()
    api.has(document(DOOR))
    writer = writer_to(api)
    at_work = most = 0
    apply = api.apply

    async def slowly(*words: Any, **more: Any) -> bytes:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        for _ in range(5):
            await asyncio.sleep(0)
        at_work -= 1
        return await apply(*words, **more)

    api.apply = slowly  # type: ignore[method-assign]

    async def change_often() -> None:
        async with running(writer):
            for number in range(100):
                writer.want({DOOR: ready(str(number))})
                await asyncio.sleep(0)
            await idle(writer)

    asyncio.run(change_often())
    assert (told(api), most) == ("99", 1)


def test_few_requests_at_a_time() -> None:
    api = FakeApi()
    refs = doors(100)
    api.has(*map(document, refs))
    at_work = most = 0
    get = api.get

    async def slowly(path: str, *more: Any) -> bytes:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1
        return await get(path, *more)

    api.get = slowly  # type: ignore[method-assign]
    asyncio.run(passes(writer_to(api), {ref: ready() for ref in refs}))
    assert 1 < most <= AT_ONCE
    assert len(api.writes()) == 100


def test_addresses_come_before_thousands_of_routes() -> None:
    api = FakeApi()
    routes = [ObjectRef("HTTPRoute", "shop", f"r-{number}") for number in range(100)]
    api.has(*map(document, [*routes, DOOR]))

    async def go() -> None:
        writer = writer_to(api)
        async with running(writer):
            await idle(writer)
            writer.want({ref: ready() for ref in routes})
            await until(lambda: len(api.writes()) > 10)
            writer.want({ref: ready() for ref in [*routes, DOOR]})
            await idle(writer)

    asyncio.run(go())
    assert 10 <= api.writes().index("Gateway/shop/door/status") < 50


def test_an_object_that_has_gone_is_let_be_and_one_made_anew_is_told_of() -> None:
    api = FakeApi()
    writer = writer_to(api)

    async def gone_and_back() -> None:
        async with running(writer):
            writer.want({DOOR: ready("a")})
            await idle(writer)
            api.has(document(DOOR, uid="u-2"))
            writer.want({DOOR: ready("a", uid="u-2")})
            await idle(writer)

    asyncio.run(gone_and_back())
    assert (told(api), writer.problems) == ("a", {})


def test_one_of_the_same_name_is_not_told_what_was_said_of_another() -> None:
    api = FakeApi()
    api.has(document(DOOR, uid="u-2"))
    asyncio.run(passes(writer_to(api), {DOOR: ready("a", uid="u-1")}))
    assert told(api) is None
    asyncio.run(passes(writer_to(api), {DOOR: ready("a", uid="")}))
    assert told(api) == "a"


def test_a_kind_without_status_is_not_asked_for() -> None:
    api = FakeApi()
    api.has(document(DOOR))
    asyncio.run(passes(writer_to(api, has_status=False), {DOOR: ready()}))
    assert api.asked == []


def test_entries_of_two_controllers_live_beside_each_other() -> None:
    """The other one writes between our look and our write: we look again."""
    api = FakeApi()
    api.has(document(ROUTE))
    theirs = {"controllerName": "example.com/x", "parentRef": {"name": "other"}, "conditions": []}
    ours = {"controllerName": CONTROLLER, "parentRef": {"name": "door"}, "conditions": []}
    came: list[str] = []

    def other_writes(verb: str, path: str) -> None:
        if verb == "merge" and not came:
            came.append(path)
            api.has(document(ROUTE, {"parents": [theirs]}))

    api.interfere = other_writes
    asyncio.run(passes(writer_to(api), {ROUTE: Told("u-1", {"parents": [ours]})}))
    assert api.status(ROUTE) == {"parents": [theirs, ours]}
    assert len(api.writes()) == 2


@pytest.mark.parametrize(
    "error",
    [
        Conflict(409, "Conflict"),
        Invalid(422, "Invalid"),
        ApiError(429, "TooManyRequests"),
        ApiError(500),
        Unavailable("no answer"),
        KeyError("a bug"),
    ],
)
def test_what_fails_is_tried_again_and_keeps_no_other(error: Exception) -> None:
    api = FakeApi()
    refs = doors(20)
    api.has(*map(document, refs))
    left = 3

    def fail(verb: str, path: str) -> None:
        nonlocal left
        if verb == "apply" and "door-7" in path and left:
            left -= 1
            raise error

    api.interfere = fail
    writer = writer_to(api)
    asyncio.run(passes(writer, {ref: ready("a") for ref in refs}))
    assert {told(api, ref) for ref in refs} == {"a"}
    assert (left, writer.problems) == (0, {})


def test_a_problem_is_told_as_long_as_it_lasts() -> None:
    api = FakeApi()
    api.has(document(DOOR))

    def refuse(verb: str, path: str) -> None:
        if verb == "apply":
            raise Forbidden(403, "Forbidden", "no role")

    async def look() -> None:
        async with running(writer):
            writer.want({DOOR: ready()})
            await until(lambda: writer.problems)
            assert "no role" in writer.problems[DOOR]
            api.interfere = lambda verb, path: None
            writer.want({})
            assert writer.problems == {}

    api.interfere = refuse
    writer = writer_to(api)
    asyncio.run(look())


def test_a_list_that_fails_leaves_each_object_to_be_looked_at() -> None:
    api = FakeApi()
    api.has(document(DOOR))

    def fail(verb: str, path: str) -> None:
        if verb == "list":
            raise ApiError(500)

    api.interfere = fail
    writer = writer_to(api)
    writer.want({DOOR: ready("a")})
    asyncio.run(passes(writer))
    assert told(api) == "a"


def test_nothing_is_written_without_the_duty() -> None:
    """It is lost in the middle: not one request more."""
    api = FakeApi()
    refs = doors(100)
    api.has(*map(document, refs))
    has_duty = True
    writer = writer_to(api, lambda: has_duty)

    async def lose() -> None:
        nonlocal has_duty
        async with running(writer):
            writer.want({ref: ready() for ref in refs})
            await until(lambda: len(api.writes()) >= 10)
            has_duty = False
            asked = len(api.asked)
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(api.asked) == asked
            has_duty = True
            await idle(writer)
            assert len(api.writes()) == len(refs)

    asyncio.run(lose())


def test_what_was_wanted_before_it_ran_is_written_when_it_runs() -> None:
    api = FakeApi()
    api.has(document(DOOR), document(ROUTE))

    async def twice() -> None:
        writer.want({DOOR: ready("a")})
        await asyncio.sleep(0)
        assert api.asked == []
        async with running(writer):
            await idle(writer)
        writer.want({DOOR: ready("b")})
        assert told(api) == "a"
        async with running(writer):
            await idle(writer)

    writer = writer_to(api)
    asyncio.run(twice())
    assert told(api) == "b"


def test_what_somebody_else_wrote_over_is_mended_by_the_next_writer() -> None:
    api = FakeApi()
    api.has(document(DOOR))
    writer = writer_to(api)

    async def twice() -> None:
        await passes(writer, {DOOR: ready("a")})
        api.has(document(DOOR, ready("wrong").status))
        await passes(writer)

    asyncio.run(twice())
    assert told(api) == "a"
