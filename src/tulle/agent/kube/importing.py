"""What one writes for all about Services of the cluster set: the ServiceImports of this cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Protocol

import msgspec

from tulle.edges.kubernetes.errors import Conflict, NotFound
from tulle.edges.manifests.directory import Snapshot
from tulle.errors import TulleError, Unavailable
from tulle.model.kubernetes import ObjectRef, Service
from tulle.model.multicluster import SERVICE_IMPORT, ServiceImport
from tulle.model.world import Key

from .clusterset import body_of, imports_of, is_ours, unread
from .hosting import Api, Resource, Write
from .news import log_news
from .writer import asked
from .writes import MANAGER

AGAIN_S = 5.0  # after a failure
_PAUSE_S = 0.5


class Given(Protocol):
    @property
    def services(self) -> Mapping[Key, Service]: ...


class InForce(Protocol):
    """`allocated` are Services with their addresses."""

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def allocated(self) -> Given: ...


class Importing:
    """Only for one event loop. `problems` are what could not be written, and why."""

    def __init__(
        self,
        api: Api,
        resource: Callable[[str], Resource | None],
        may_write: Callable[[], bool],
    ) -> None:
        self.problems: dict[ObjectRef, str] = {}
        self._api, self._resource, self._may_write = api, resource, may_write
        self._now: InForce | None = None
        self._news = asyncio.Event()

    def tell(self, now: InForce) -> None:
        """After each pass."""
        self._now = now
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            problems = await self._write(self._now) if self._now else {}
            log_news(problems, self.problems)
            self.problems = problems
            await asyncio.sleep(_PAUSE_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S if problems else None):
                    await self._news.wait()
            self._news.clear()

    async def _write(self, now: InForce) -> dict[ObjectRef, str]:
        """What went wrong; the others are written all the same."""
        problems = {}
        for ref, write in self._due(now.snapshot, now.allocated.services):
            try:
                await asked(write(), self._check_duty)
            except (NotFound, Conflict):
                pass  # its namespace goes, or it has gone already; it came, and will be told of
            except TulleError as error:
                problems[ref] = str(error)
        return problems

    def _due(
        self, snapshot: Snapshot, services: Mapping[Key, Service]
    ) -> Iterator[tuple[ObjectRef, Write]]:
        """An import is not ended before it is known of all clusters that none exports it.

        One that cannot be read may be another controller's.
        """
        kind = self._resource(SERVICE_IMPORT)
        if kind is None:
            return
        have, wanted = snapshot.of(ServiceImport), imports_of(services)
        passed_by = unread(snapshot) | {key for key, item in have.items() if not is_ours(item)}
        for key, item in wanted.items():
            known = have.get(key)
            if key not in passed_by and (known is None or known.spec != item.spec):
                body = msgspec.json.encode(body_of(item, kind.group_version))
                force = known is not None
                write = partial(self._api.apply, kind.path(*key), body, MANAGER, force=force)
                yield ObjectRef(SERVICE_IMPORT, *key), write
        for key in have.keys() - wanted.keys() - passed_by:
            if snapshot.clusterset.whole:
                write = partial(self._api.delete, kind.path(*key))
                yield ObjectRef(SERVICE_IMPORT, *key), write

    def _check_duty(self) -> None:
        if not self._may_write():
            raise Unavailable("another one writes imports now")
