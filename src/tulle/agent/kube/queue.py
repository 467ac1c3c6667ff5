"""What is to be done and when: each thing once, the soonest first."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class DueQueue(Generic[T]):
    """Only for one event loop, whose time it is."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, T]] = []
        self._due: dict[T, float] = {}  # what of the heap counts
        self._number = 0
        self._came = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due)

    def add(self, item: T, at_s: float | None = None) -> None:
        """At the given time, now by default; one that is waiting already keeps its time."""
        if item not in self._due:
            self._number += 1
            self._due[item] = self._clock() if at_s is None else at_s
            heapq.heappush(self._heap, (self._due[item], self._number, item))
            self._came.set()

    def discard(self, item: T) -> None:
        self._due.pop(item, None)

    def clear(self) -> None:
        self._heap.clear()
        self._due.clear()

    async def take(self) -> T:
        """The next one, once it is due."""
        while True:
            wait_s = self._next_in()
            if wait_s is not None and wait_s <= 0:
                _, _, item = heapq.heappop(self._heap)
                del self._due[item]
                return item
            self._came.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._came.wait()
            except TimeoutError:
                pass

    def _next_in(self) -> float | None:
        """Seconds; None: nothing waits."""
        while self._heap:
            at_s, _, item = self._heap[0]
            if self._due.get(item) == at_s:
                return at_s - self._clock()
            heapq.heappop(self._heap)  # discarded meanwhile
        return None
