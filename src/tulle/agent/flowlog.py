"""The last flows, as the kernel wrote them. Decoding waits until somebody asks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable

CAPACITY = 65536


class FlowLog:
    """A window on the stream of raw events; a reader that is too slow misses the oldest."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._events: deque[bytes] = deque(maxlen=capacity)
        self._end = 0  # number of the event after the last
        self._news = asyncio.Condition()

    async def add(self, events: Iterable[bytes]) -> None:
        before = self._end
        for event in events:
            self._events.append(event)
            self._end += 1
        if self._end != before:
            async with self._news:
                self._news.notify_all()

    def kept(self) -> list[bytes]:
        return list(self._events)

    @property
    def end(self) -> int:
        """Where the stream stands: `follow` goes on from there."""
        return self._end

    async def follow(self, seen: int) -> AsyncIterator[bytes]:
        """Events after `seen`, as they come."""
        while True:
            async with self._news:
                while self._end <= seen:
                    await self._news.wait()
            missed = min(self._end - seen, len(self._events))
            fresh = [self._events[-count] for count in range(missed, 0, -1)]
            seen = self._end
            for event in fresh:
                yield event
