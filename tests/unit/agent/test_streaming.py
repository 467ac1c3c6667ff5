"""Flows over HTTP: what is kept, first or last, and then what comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession, UnixConnector, web

from tests.unit.observe.samples import NAMES, access, event
from tulle.abi import Reason
from tulle.agent import streaming
from tulle.agent.flowlog import FlowLog
from tulle.agent.streaming import kept_flows, stream_flows
from tulle.errors import UsageError
from tulle.observe.filters import parse

NAMING: Any = SimpleNamespace(names=lambda: NAMES)


def raw(number: int, reason: int = Reason.ALLOWED) -> bytes:
    """An event at second `number`."""
    return event(reason, time_ns=number * 10**9).pack()


EVENTS = [raw(n, Reason.POLICY_DENIED if n % 2 else Reason.ALLOWED) for n in range(6)]


def seconds(flows: list[dict[str, Any]]) -> list[int]:
    # the samples' clock stands at 22:13:20 when theirs is 0
    return [int(flow["time"][17:19]) - 20 for flow in flows]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ([], [0, 1, 2, 3, 4, 5]),
        ([("first", "2")], [0, 1]),
        ([("last", "2")], [4, 5]),
        ([("last", "99")], [0, 1, 2, 3, 4, 5]),
        ([("verdict", "DROPPED")], [1, 3, 5]),
        ([("verdict", "DROPPED"), ("last", "2")], [3, 5]),
        ([("verdict", "FORWARDED"), ("first", "2")], [0, 2]),
    ],
)
def test_kept_flows_are_those_that_match_in_order_of_time(
    params: list[tuple[str, str]], expected: list[int]
) -> None:
    assert seconds(kept_flows(EVENTS, parse(params, 0), NAMING)) == expected


def test_of_the_last_no_more_are_decoded_than_are_asked_for() -> None:
    broken = [b"not an event", *EVENTS]
    assert seconds(kept_flows(broken, parse([("last", "6")], 0), NAMING)) == [0, 1, 2, 3, 4, 5]


def test_requests_stand_among_the_events_in_order_of_time() -> None:
    """The samples' is a tenth of a second after second 0."""
    told = SimpleNamespace(access=access)
    for query in ([], [("last", "3")]):
        flows = kept_flows([EVENTS[0], EVENTS[1], told], parse(query, 0), NAMING)
        assert [flow["Type"] for flow in flows] == ["L3_L4", "L7", "L3_L4"]


@asynccontextmanager
async def served(log: FlowLog, path: Path) -> AsyncIterator[ClientSession]:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream_flows(request, log, NAMING)

    app = web.Application()
    app.add_routes([web.get("/", handler)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        async with (
            asyncio.timeout(10),
            ClientSession("http://node", connector=UnixConnector(str(path))) as session,
        ):
            yield session
    finally:
        await runner.cleanup()


def play(
    tmp_path: Path, query: str, story: Callable[[FlowLog, ClientResponse], Awaitable[None]]
) -> None:
    async def main() -> None:
        log = FlowLog()
        await log.add(EVENTS)
        async with (
            served(log, tmp_path / "sock") as session,
            session.get(f"/{query}") as response,
        ):
            await story(log, response)

    asyncio.run(main())


async def line(response: ClientResponse) -> dict[str, Any]:
    flow: dict[str, Any] = json.loads(await response.content.readline())
    return flow


@pytest.mark.parametrize("chunk", [1, 4, 256])
def test_without_follow_the_answer_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(streaming, "CHUNK_LINES", chunk)

    async def story(log: FlowLog, response: ClientResponse) -> None:
        assert response.headers["Content-Type"] == "application/x-ndjson"
        lines = (await response.text()).splitlines()
        assert seconds([json.loads(item) for item in lines]) == [0, 1, 2, 3, 4, 5]

    play(tmp_path, "", story)


def test_a_follower_gets_what_is_kept_and_then_what_comes_and_matches(tmp_path: Path) -> None:
    async def story(log: FlowLog, response: ClientResponse) -> None:
        assert seconds([await line(response)]) == [5]
        await log.add([raw(6), raw(7, Reason.POLICY_DENIED)])
        await log.add([raw(8), raw(9, Reason.POLICY_DENIED)])
        assert seconds([await line(response), await line(response)]) == [7, 9]

    play(tmp_path, "?follow=1&last=1&verdict=DROPPED", story)


def test_a_filter_without_sense_is_refused_before_anything_is_sent() -> None:
    request: Any = SimpleNamespace(query={"port": "http"})
    with pytest.raises(UsageError):
        asyncio.run(stream_flows(request, FlowLog(), NAMING))
