"""Which one of all agents writes for all of them: the one that holds the lease."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

log = logging.getLogger("tulle")

AGAIN_S = 1.0

Work = Callable[[], Coroutine[Any, Any, None]]


class Lease(Protocol):
    holder: str  # as last seen
    problem: str

    def holds(self) -> bool:
        """Now."""

    async def hold(self, on_gain: Callable[[], object], on_loss: Callable[[], object]) -> None:
        """Until cancelled. Loss is told before the lease can be another's."""


class Election:
    """Has work run as long as the lease is held, and stops it when that is lost."""

    def __init__(self, lease: Lease, work: Work) -> None:
        self._lease, self._work = lease, work
        self._task: asyncio.Task[None] | None = None

    def holds(self) -> bool:
        """Ask before each request: the lease may have run out while one waited for its turn."""
        return self._task is not None and self._lease.holds()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await self._lease.hold(self._gain, self._lose)
        finally:
            self._lose()

    def _gain(self) -> None:
        if self._task is None:
            log.info("writes statuses for all nodes from now on")
            self._task = asyncio.get_running_loop().create_task(self._undisturbed())

    def _lose(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            log.info("another one writes statuses from now on")
            task.cancel()

    async def _undisturbed(self) -> None:
        """A fault in the work is no reason to leave it undone."""
        while True:
            try:
                await self._work()
            except Exception:
                log.exception("writing statuses: internal error")
            await asyncio.sleep(AGAIN_S)
