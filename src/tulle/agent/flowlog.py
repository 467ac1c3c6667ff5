"""The last flows, as the kernel and the proxy tell of them. Decoding waits until somebody asks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice

from tulle.errors import Unavailable
from tulle.model.access import Told
from tulle.observe.questions import Asked

Record = bytes | Told | Asked  # an event of the kernel, of the proxy, or of DNS
CAPACITY = 65536
MAX_READERS = 16  # each may hold all of it, decoded


class FlowLog:
    """A window on the stream of records; a reader that is too slow misses the oldest."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._events: deque[Record] = deque(maxlen=capacity)
        self._end = 0  # number of the event after the last
        self._news = asyncio.Condition()
        self._readers = self._followers = 0

    async def add(self, events: Iterable[Record]) -> None:
        before = self._end
        for event in events:
            self._events.append(event)
            self._end += 1
        if self._end != before:
            async with self._news:
                self._news.notify_all()

    def kept(self) -> list[Record]:
        return list(self._events)

    @contextmanager
    def reader(self, follows: bool) -> Iterator[None]:
        """A place among those who read. Raises Unavailable if all are taken."""
        if self._readers >= MAX_READERS:
            raise Unavailable(f"{MAX_READERS} others are reading flows already")
        self._readers += 1
        self._followers += follows
        try:
            yield
        finally:
            self._readers -= 1
            self._followers -= follows

    @property
    def is_followed(self) -> bool:
        """Whether somebody waits for what comes."""
        return self._followers > 0

    @property
    def end(self) -> int:
        """Where the stream stands: `follow` goes on from there."""
        return self._end

    def since(self, seen: int, most: int = CAPACITY) -> list[Record]:
        """Those after `seen` that are kept, at most so many of the newest."""
        count = min(self._end - seen, len(self._events), most)
        return list(islice(reversed(self._events), count))[::-1]

    async def follow(self, seen: int, idle_s: float = 1.0) -> AsyncIterator[Record | None]:
        """Events after `seen`, as they come; None whenever there was none for `idle_s`."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wait_beyond(seen), idle_s)
            if self._end == seen:
                yield None
                continue
            fresh = self.since(seen)
            seen = self._end
            for event in fresh:
                yield event

    async def _wait_beyond(self, seen: int) -> None:
        async with self._news:
            while self._end <= seen:
                await self._news.wait()
