"""A window on the events, and readers that follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tulle.agent.flowlog import FlowLog


async def take(events: AsyncIterator[bytes], count: int) -> list[bytes]:
    async with asyncio.timeout(5):
        return [await anext(events) for _ in range(count)]


def test_the_newest_are_kept() -> None:
    async def story() -> None:
        log = FlowLog(capacity=3)
        await log.add([b"1", b"2"])
        await log.add([b"3", b"4"])
        assert log.kept() == [b"2", b"3", b"4"]
        assert log.end == 4

    asyncio.run(story())


def test_a_follower_gets_each_event_once_and_in_order() -> None:
    async def story() -> None:
        log = FlowLog()
        await log.add([b"old"])
        events = log.follow(log.end)
        await log.add([b"1", b"2"])
        assert await take(events, 2) == [b"1", b"2"]
        waiting = asyncio.create_task(take(events, 1))
        await asyncio.sleep(0)
        await log.add([])
        await log.add([b"3"])
        assert await waiting == [b"3"]

    asyncio.run(story())


def test_followers_do_not_take_from_each_other() -> None:
    async def story() -> None:
        log = FlowLog()
        both = [asyncio.create_task(take(log.follow(0), 1)) for _ in range(2)]
        await asyncio.sleep(0)
        await log.add([b"1"])
        assert await asyncio.gather(*both) == [[b"1"], [b"1"]]

    asyncio.run(story())


def test_a_slow_follower_misses_the_oldest_and_goes_on() -> None:
    async def story() -> None:
        log = FlowLog(capacity=2)
        events = log.follow(0)
        await log.add([b"1", b"2", b"3", b"4", b"5"])
        assert await take(events, 2) == [b"4", b"5"]
        await log.add([b"6"])
        assert await take(events, 1) == [b"6"]

    asyncio.run(story())


def test_events_that_come_while_a_follower_writes_are_not_lost() -> None:
    async def story() -> None:
        log = FlowLog()
        events = log.follow(0)
        await log.add([b"1", b"2"])
        assert await take(events, 1) == [b"1"]
        await log.add([b"3"])
        assert await take(events, 2) == [b"2", b"3"]

    asyncio.run(story())


def test_what_came_since_a_place() -> None:
    async def story() -> None:
        log = FlowLog(capacity=3)
        await log.add([b"1", b"2"])
        place = log.end
        assert log.since(place) == []
        await log.add([b"3", b"4"])
        assert log.since(place) == [b"3", b"4"]
        assert log.since(place, most=1) == [b"4"]
        assert log.since(0) == [b"2", b"3", b"4"]

    asyncio.run(story())
