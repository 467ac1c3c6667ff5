"""What one writes for all: statuses with the addresses that were given out, Events of refusals, who
of the hosts that joined backs which Service, and what is imported from other clusters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from tulle.edges.manifests.directory import Snapshot
from tulle.model.kinds import KINDS
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Routing
from tulle.model.world import Refusal, World

from . import events, hosting, importing, writer
from .election import Election, Lease
from .events import Happening, Recorder
from .feeds import undisturbed
from .hosting import Hosting, Resource
from .importing import Importing
from .statuses import statuses
from .writer import Writer

Json = dict[str, Any]

PAUSE_S = 0.5  # between two looks at all statuses
_SHOWN = 20  # problems, in a status
_TOLD = frozenset(KINDS) - {"Pod", "Node"}


class Api(writer.Api, events.Api, hosting.Api, Protocol):
    """What duties need of a client."""


class InForce(Protocol):
    """What a pass put in force, and what it could not."""

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def routing(self) -> Routing: ...

    @property
    def allocated(self) -> importing.Given: ...

    @property
    def refusals(self) -> Sequence[Refusal]: ...

    @property
    def world(self) -> World: ...


class Duties:
    """Only for one event loop. Whoever does not hold the lease knows all that the holder does."""

    def __init__(
        self,
        api: Api,
        resource: Callable[[str], Resource | None],
        lease: Lease,
        instance: str = "tulle",
        namespace: str = "default",
    ) -> None:
        """`resource` knows what the server has of a kind; as `instance` it tells of refusals.

        `namespace` is where hosts have their Leases.
        """
        self._lease, self._election = lease, Election(lease, self._write)
        self.writer = Writer(api, resource, self._election.holds)
        self._recorder = Recorder(api, resource, instance)
        self._hosting = Hosting(api, resource, namespace, self._election.holds)
        self._importing = Importing(api, resource, self._election.holds)
        self._now: InForce | None = None
        self._news = asyncio.Event()
        self._seen: tuple[object, ...] = ()  # what the last statuses were made from
        self._made_from: InForce | None = None  # kept, so that none of it is another one's place
        self._refused: frozenset[Refusal] = frozenset()  # of which it has been told

    def tell(self, now: InForce) -> None:
        """After each pass."""
        self._now = now
        self._hosting.tell(now)
        self._importing.tell(now)
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        await self._election.run()

    @property
    def problems(self) -> list[str]:
        """What a user should know of: what could not be told."""
        found = sorted(f"status of {ref}: {text}" for ref, text in self.writer.problems.items())
        others = {**self._hosting.problems, **self._importing.problems}
        found += sorted(f"{ref}: {text}" for ref, text in others.items())
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return [found[0] + more] if found and self._election.holds() else []

    def status(self) -> Json:
        problems = sorted(f"{ref}: {text}" for ref, text in self.writer.problems.items())
        return {
            "leads": self._election.holds(),
            "leader": self._lease.holder,
            "problem": self._lease.problem,
            "written": self.writer.written,
            "waiting": self.writer.waiting,
            "events": self._recorder.status(),
            "problems": problems[:_SHOWN],
            "more_problems": max(0, len(problems) - _SHOWN),
        }

    async def _write(self) -> None:
        self._refused, self._seen = frozenset(), ()
        await self._want()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.writer.run())
            group.create_task(self._recorder.run())
            group.create_task(self._keep_wanting())
            look_after = partial(self._hosting.run, self._news.set)
            group.create_task(undisturbed(look_after, "what hosts tell"))
            group.create_task(undisturbed(self._importing.run, "what is imported"))

    async def _keep_wanting(self) -> None:
        """Passes follow each other more quickly than anybody reads statuses."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self._want()
            await asyncio.sleep(PAUSE_S)

    async def _want(self) -> None:
        now = self._now
        if now is None:
            return
        status, services = now.routing.status, now.allocated.services
        hosts = self._hosting.ready()
        # refusals are few; of the others each stays the same object while nothing of it changes
        seen = (id(now.snapshot), id(status), id(services), now.refusals, hosts)
        if seen == self._seen:
            return
        about = (now.snapshot, status, services, now.refusals, hosts)
        wanted = await asyncio.to_thread(statuses, *about)
        self._seen, self._made_from = seen, now
        self.writer.want(wanted)
        self._tell_refusals(now.refusals)

    def _tell_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Once of each, as long as it stays; pods are their nodes' business."""
        found = frozenset(
            item for item in refusals if item.ref.kind in _TOLD and _is_here(item.ref)
        )
        for item in sorted(found - self._refused, key=lambda item: (item.ref, item.reason)):
            self._recorder.tell(Happening(item.ref, "Refused", "Compile", item.reason))
        self._refused = found


def _is_here(ref: ObjectRef) -> bool:
    """Objects of other clusters, and what stands for them, bear names that no API has."""
    return "/" not in ref.name
