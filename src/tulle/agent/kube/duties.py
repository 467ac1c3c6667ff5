"""What one writes for all: statuses, with the addresses that were given out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tulle.edges.manifests.directory import Snapshot
from tulle.model.kubernetes import Service
from tulle.model.routing import Routing
from tulle.model.world import Key, Refusal

from .election import Election, Lease
from .statuses import statuses
from .writer import Api, Resource, Writer

Json = dict[str, Any]

_SHOWN = 20  # problems, in a status


class Given(Protocol):
    """Services with their addresses."""

    @property
    def services(self) -> Mapping[Key, Service]: ...


class InForce(Protocol):
    """What a pass put in force, and what it could not."""

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def routing(self) -> Routing: ...

    @property
    def allocated(self) -> Given: ...

    @property
    def refusals(self) -> Sequence[Refusal]: ...


class Duties:
    """Only for one event loop. Whoever does not hold the lease knows all that the holder does."""

    def __init__(self, api: Api, resource: Callable[[str], Resource | None], lease: Lease) -> None:
        """`resource` knows what the server has of a kind."""
        self._lease, self._election = lease, Election(lease, self._write)
        self.writer = Writer(api, resource, self._election.holds)
        self._now: InForce | None = None

    def tell(self, now: InForce) -> None:
        """After each pass."""
        self._now = now
        if self._election.holds():
            self._want()

    async def run(self) -> None:
        """Until cancelled."""
        await self._election.run()

    def status(self) -> Json:
        writer = self.writer
        problems = sorted(f"{ref}: {text}" for ref, text in writer.problems.items())
        return {
            "leads": self._election.holds(),
            "leader": self._lease.holder,
            "problem": self._lease.problem,
            "written": writer.written,
            "waiting": writer.waiting,
            "problems": problems[:_SHOWN],
            "more_problems": max(0, len(problems) - _SHOWN),
        }

    async def _write(self) -> None:
        self._want()
        await self.writer.run()

    def _want(self) -> None:
        now = self._now
        if now is not None:
            status, services = now.routing.status, now.allocated.services
            self.writer.want(statuses(now.snapshot, status, services, now.refusals))
