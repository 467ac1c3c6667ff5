"""What one does for all about hosts: lists their workloads behind Services, and ends what is gone.

A host whose Lease has run out backs no Service any more, and its MeshWorkloads are deleted; when
it is back it tells of them anew. Its MeshNode stays, and its pod range with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from functools import partial
from operator import is_
from typing import Any, Protocol

import msgspec

from tulle.edges.kubernetes.depth import read_json
from tulle.edges.kubernetes.errors import NotFound
from tulle.edges.kubernetes.lease import LEASES
from tulle.edges.manifests.directory import Snapshot
from tulle.errors import TulleError, Unavailable
from tulle.model.hosts import MeshNode, MeshWorkload
from tulle.model.kubernetes import SERVICE_NAME_LABEL, EndpointSlice, ObjectRef, Service
from tulle.model.multicluster import import_of
from tulle.model.world import Key, Workload, World

from . import writer
from .backing import body_of, is_of_hosts, says, slices_of
from .leases import LABEL, LOOK_S, Attendance, host_of
from .news import log_news
from .writer import Query, asked
from .writes import MANAGER

Write = Callable[[], Coroutine[Any, Any, bytes]]
_PAUSE_S = 0.5
_LEASES = ObjectRef("Lease", "", "hosts")
_ALL: Query = {"labelSelector": f"{LABEL}=true"}


class Resource(writer.Resource, Protocol):
    @property
    def group_version(self) -> str: ...


class Api(Protocol):
    """What it needs of a client."""

    async def get(self, path: str, query: Query = ...) -> bytes: ...

    async def apply(self, path: str, body: bytes, manager: str, *, force: bool) -> bytes: ...

    async def delete(self, path: str, body: bytes = ..., query: Query = ...) -> bytes: ...


class InForce(Protocol):
    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def world(self) -> World: ...


class Hosting:
    """Only for one event loop. `problems` are what could not be written, and why."""

    def __init__(
        self,
        api: Api,
        resource: Callable[[str], Resource | None],
        namespace: str,
        may_write: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`namespace` is where hosts' Leases are."""
        self.problems: dict[ObjectRef, str] = {}
        self._api, self._resource, self._may_write = api, resource, may_write
        self._leases, self._clock = LEASES.path(namespace), clock
        self._attendance, self._looked_s = Attendance(), 0.0
        self._seen: tuple[object, ...] = ()  # what needed nothing more
        self._now: InForce | None = None
        self._news = asyncio.Event()

    def tell(self, now: InForce) -> None:
        """After each pass."""
        self._now = now
        self._news.set()

    def ready(self) -> Mapping[str, bool | None]:
        """By host; None where it is too early to say."""
        hosts = self._now.snapshot.named(MeshNode) if self._now else ()
        return {name: self._attendance.is_ready(name) for name in hosts}

    async def run(self, changed: Callable[[], object]) -> None:
        """Until cancelled. `changed` hears of hosts that come or go."""
        self._attendance, self._looked_s, self._seen = Attendance(), -LOOK_S, ()
        while True:
            before = self.ready()
            problems: dict[ObjectRef, str] = {}
            if now := self._now:
                try:
                    await self._look_after(now, problems)
                except Unavailable as error:  # nobody is gone for that
                    problems[_LEASES] = str(error)
            log_news(problems, self.problems)
            self.problems = problems
            if self.ready() != before:
                changed()
            await asyncio.sleep(_PAUSE_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._news.wait()
            self._news.clear()

    async def _look_after(self, now: InForce, problems: dict[ObjectRef, str]) -> None:
        """First nobody is sent to who is gone; then nobody is known any more.

        A host that `now` knows of had its Lease before: it is looked for once more.
        """
        told = {item.spec.node for item in now.snapshot.of(MeshWorkload).values()}
        known = told | now.snapshot.named(MeshNode).keys()
        is_due = self._clock() - self._looked_s >= LOOK_S
        if known and (is_due or not told <= self._attendance.present):
            await self._look()
        present = self._attendance.present
        seen = _parts(now, present)
        if len(seen) == len(self._seen) and all(map(is_, seen, self._seen)):
            return
        self._seen = ()  # as long as not all of it has gone well
        due = await asyncio.to_thread(self._due, now, present)
        for ref, write in due:
            try:
                await self._ask(write())
            except NotFound:
                pass
            except TulleError as error:  # again with the next look
                problems[ref] = str(error)
        if not problems:
            self._seen = seen

    def _due(self, now: InForce, present: frozenset[str]) -> list[tuple[ObjectRef, Write]]:
        return [*self._slices(now, present), *self._gone(now.snapshot, present)]

    async def _look(self) -> None:
        began_s = self._clock()
        body = await self._ask(self._api.get(self._leases, _ALL))
        metas = [item["metadata"] for item in read_json(body)["items"] or ()]
        versions = {host_of(meta["name"]): meta["resourceVersion"] for meta in metas}
        self._attendance.look(versions, self._clock())
        self._looked_s = began_s

    def _slices(self, now: InForce, present: frozenset[str]) -> Iterator[tuple[ObjectRef, Write]]:
        kind = self._resource("EndpointSlice")
        if kind is None:
            return
        services = now.snapshot.of(Service)
        have = {k: item for k, item in now.snapshot.of(EndpointSlice).items() if is_of_hosts(item)}
        zones = {name: node.zone for name, node in now.world.nodes.items()}
        own = {key: item for key, item in services.items() if not import_of(key[1])}
        wanted = slices_of(own, _hosted(now, present), zones)
        for key, item in wanted.items():
            if not says(have.get(key), item):
                service = services[key[0], item.metadata.labels[SERVICE_NAME_LABEL]]
                body = msgspec.json.encode(body_of(item, kind.group_version, service))
                path = kind.path(*key)
                write = partial(self._api.apply, path, body, MANAGER, force=True)
                yield ObjectRef("EndpointSlice", *key), write
        for key in have.keys() - wanted.keys():
            yield ObjectRef("EndpointSlice", *key), partial(self._api.delete, kind.path(*key))

    def _gone(
        self, snapshot: Snapshot, present: frozenset[str]
    ) -> Iterator[tuple[ObjectRef, Write]]:
        kind = self._resource("MeshWorkload")
        if kind is None:
            return
        for key, item in snapshot.of(MeshWorkload).items():
            if item.spec.node not in present:
                yield ObjectRef("MeshWorkload", *key), partial(self._api.delete, kind.path(*key))

    async def _ask(self, request: Coroutine[Any, Any, bytes]) -> bytes:
        return await asked(request, self._check_duty)

    def _check_duty(self) -> None:
        if not self._may_write():
            raise Unavailable("another one looks after hosts now")


def _parts(now: InForce, present: frozenset[str]) -> tuple[object, ...]:
    """All that decides what is due; what has not changed is the same object."""
    snapshot, world = now.snapshot, now.world
    hosts = sorted(snapshot.named(MeshNode))
    kinds = (MeshNode, MeshWorkload, Service, EndpointSlice)
    parts = (snapshot.kinds.get(kind.__name__) for kind in kinds)
    return (*parts, world.nodes, present, *(world.remote.get(name) for name in hosts))


def _hosted(now: InForce, present: frozenset[str]) -> Iterator[Workload]:
    """Of hosts that are there and in the mesh: one that clashes with others is not."""
    for name in now.snapshot.named(MeshNode):
        of_node: Mapping[Key, Workload] = now.world.remote.get(name, {})
        if name in present:
            yield from of_node.values()
