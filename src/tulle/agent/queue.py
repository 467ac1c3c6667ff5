"""Requests in the order in which they come, of one kind as many at a time as wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

A = TypeVar("A")
R = TypeVar("R")

MOST = 32  # at a time, so that the first of many are not kept waiting by the last


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    work: Callable[[Sequence[Any]], Sequence[Any]]
    about: Hashable
    item: Any
    answer: asyncio.Future[Any]


class Queue:
    """Only for one event loop. The work is done on a thread, one call at a time."""

    def __init__(self) -> None:
        self._waiting: list[_Request] = []
        self._running: asyncio.Task[None] | None = None

    async def ask(
        self, work: Callable[[Sequence[A]], Sequence[R | Exception]], about: Hashable, item: A
    ) -> R:
        """What `work` has for the item, or raises it. What is `about` the same keeps its order."""
        request = _Request(work, about, item, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        found: R = await request.answer
        return found

    async def _run(self) -> None:
        while self._waiting:
            requests = self._next()
            items = [request.item for request in requests]
            try:
                answers = await asyncio.to_thread(requests[0].work, items)
                settled = list(zip(requests, answers, strict=True))
            except Exception as error:  # one answer too few is an error too: nobody is left waiting
                settled = [(request, error) for request in requests]
            for request, answer in settled:
                _settle(request.answer, answer)
        self._running = None

    def _next(self) -> list[_Request]:
        """The first, and all others of its kind that no other kind has to come before."""
        taken: list[_Request] = []
        left: list[_Request] = []
        seen: set[Hashable] = set()
        for request in self._waiting:
            fits = request.work == self._waiting[0].work and len(taken) < MOST
            (taken if fits and request.about not in seen else left).append(request)
            seen.add(request.about)
        self._waiting = left
        return taken


def _settle(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():  # nobody waits any more
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
