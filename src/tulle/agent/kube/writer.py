"""Brings statuses to the API server: few requests at a time, of each object only the newest value.

Level-triggered: whoever gains the duty compares everything with what the server has, and again from
time to time, so that nothing depends on what an earlier writer did or was told.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from tulle.edges.kubernetes.backoff import Backoff
from tulle.edges.kubernetes.depth import read_json
from tulle.edges.kubernetes.errors import ApiError, Conflict, Forbidden, NotFound
from tulle.errors import Unavailable
from tulle.model.kubernetes import ObjectRef

from .bucket import Bucket
from .queue import DueQueue
from .statuses import Told
from .writes import MANAGER, Write, write_of

Json = dict[str, Any]
Query = Mapping[str, str | int]
log = logging.getLogger("tulle")

PER_S = 20.0
AT_ONCE = 8
COMPARE_PERIOD_S = 600.0
REQUEST_S = 5.0  # ends before a lease that counts as lost can be another's
_PAGE = 500
_FORBIDDEN_S = 60.0
_LOOK_AGAIN_S = 0.2
# Addresses are waited for; of routes and policies there may be thousands.
_FIRST = frozenset({"Gateway", "GatewayClass", "Ingress", "Service"})
_TOO_MANY = 429


class Resource(Protocol):
    """Where the objects of a kind are."""

    @property
    def has_status(self) -> bool: ...

    def path(self, namespace: str = "", name: str = "", sub: str = "") -> str: ...


class Api(Protocol):
    """What a writer needs of a client."""

    async def get(self, path: str, query: Query = ...) -> bytes: ...

    def list_pages(self, path: str, query: Query, limit: int = ...) -> AsyncIterator[bytes]: ...

    async def apply(self, path: str, body: bytes, manager: str, *, force: bool) -> bytes: ...

    async def merge_patch(self, path: str, body: bytes = ..., query: Query = ...) -> bytes: ...


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _of_one_object() -> Backoff:
    return Backoff(1.0, 300.0)


class Writer:
    """Only for one event loop. `problems` are what could not be written, and why.

    `is_running` once the server's statuses have been compared.
    """

    def __init__(
        self,
        api: Api,
        resource: Callable[[str], Resource | None],
        may_write: Callable[[], bool],
        *,
        per_s: float = PER_S,
        now: Callable[[], str] = _now,
        backoff: Callable[[], Backoff] = _of_one_object,
    ) -> None:
        """`resource` knows what the server has of a kind; `may_write`, whether the duty is ours."""
        self.written = 0
        self.problems: dict[ObjectRef, str] = {}
        self._api, self._resource, self._may_write = api, resource, may_write
        self._now, self._backoff = now, backoff
        self._bucket = Bucket(per_s, AT_ONCE)
        self._wanted: Mapping[ObjectRef, Told] = {}
        self._settled: dict[ObjectRef, Told] = {}  # what the server is known to say
        self._queue: DueQueue[ObjectRef] = DueQueue(time.monotonic)
        self._busy: set[ObjectRef] = set()
        self._tries: dict[ObjectRef, Backoff] = {}
        self._away, self._pause_until_s = backoff(), 0.0
        self.is_running = False

    def want(self, statuses: Mapping[ObjectRef, Told]) -> None:
        """From now on these, of all objects; a status that is not among them stays as it is."""
        self._wanted = statuses
        if self.is_running:
            self._look_at_all()

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self._busy)

    async def run(self) -> None:
        """As long as the duty is ours: until cancelled."""
        self._settled.clear()
        await self._compare()
        self.is_running = True
        self._look_at_all()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._compare_again())
                for _ in range(AT_ONCE):
                    group.create_task(self._work())
        finally:
            self.is_running = False
            self._queue.clear()
            self._busy.clear()

    # --- what is to be done ---

    def _look_at_all(self) -> None:
        for ref in {*self._settled, *self._tries} - self._wanted.keys():
            self._forget(ref)
        for ref in self._wanted:
            self._look_at(ref)

    def _forget(self, ref: ObjectRef) -> None:
        self._settled.pop(ref, None)
        self._tries.pop(ref, None)
        self.problems.pop(ref, None)
        self._queue.discard(ref)

    def _look_at(self, ref: ObjectRef) -> None:
        wanted, known = self._wanted.get(ref), self._settled.get(ref)
        if wanted is None or known == wanted:
            self._queue.discard(ref)
        elif ref not in self._busy:  # else it is looked at when that is done
            self._queue.add(ref, 0.0 if ref.kind in _FIRST else None)

    # --- comparing ---

    async def _compare_again(self) -> None:
        while True:
            await asyncio.sleep(COMPARE_PERIOD_S)
            await self._compare()
            self._look_at_all()

    async def _compare(self) -> None:
        """Objects that say what they should are settled, all others are not."""
        for kind in sorted({ref.kind for ref in self._wanted}):
            resource = self._resource(kind)
            if resource is None or not resource.has_status:
                continue
            try:
                async for item in self._all(resource, kind):
                    self._compare_one(_ref_of(kind, item), item)
            except Unavailable as error:  # each is looked at by itself then
                log.warning("statuses of %s: cannot be compared: %s", kind, error)

    async def _all(self, resource: Resource, kind: str) -> AsyncIterator[Json]:
        self._check_duty()
        async for page in self._api.list_pages(resource.path(), {}, _PAGE):
            for item in _items(page, kind):
                yield item
            self._check_duty()

    def _compare_one(self, ref: ObjectRef, have: Json) -> None:
        wanted = self._wanted.get(ref)
        if wanted is None or ref in self._busy:
            return
        if _is_meant(have, wanted) and write_of(ref, wanted.status, have, self._now()) is None:
            self._settled[ref] = wanted
        else:
            self._settled.pop(ref, None)

    # --- writing ---

    async def _work(self) -> None:
        while True:
            ref = await self._queue.take()
            self._busy.add(ref)
            await self._turn()
            try:
                await self._settle(ref)
            except Exception as error:
                self._put_off(ref, error)
            else:
                self._away.reset()
                self._tries.pop(ref, None)
                self.problems.pop(ref, None)
            finally:
                self._busy.discard(ref)
            self._look_at(ref)

    async def _turn(self) -> None:
        while True:
            now_s = time.monotonic()
            wait_s = self._pause_until_s - now_s if self._may_write() else _LOOK_AGAIN_S
            if wait_s <= 0:
                if self._bucket.take(now_s):
                    return
                wait_s = self._bucket.wait_s(now_s)
            await asyncio.sleep(wait_s)

    async def _settle(self, ref: ObjectRef) -> None:
        wanted, resource = self._wanted.get(ref), self._resource(ref.kind)
        if wanted is None:
            return
        if resource is not None and resource.has_status:
            try:
                path = resource.path(ref.namespace, ref.name)
                have = read_json(await self._ask(self._api.get(path)))
                write = write_of(ref, wanted.status, have, self._now())
                if write is not None and _is_meant(have, wanted):
                    await self._ask(self._sent(write, resource))
                    self.written += 1
            except NotFound:
                pass  # one that is made anew is another object
        self._settled[ref] = wanted

    def _sent(self, write: Write, resource: Resource) -> Coroutine[Any, Any, bytes]:
        path = resource.path(write.ref.namespace, write.ref.name, "status")
        body = msgspec.json.encode(write.body)
        if write.way == "apply":
            return self._api.apply(path, body, MANAGER, force=True)
        return self._api.merge_patch(path, body, {"fieldManager": MANAGER})

    async def _ask(self, request: Coroutine[Any, Any, bytes]) -> bytes:
        return await asked(request, self._check_duty)

    def _check_duty(self) -> None:
        if not self._may_write():
            raise Unavailable("another one writes statuses now")

    def _put_off(self, ref: ObjectRef, error: Exception) -> None:
        expected = isinstance(error, Unavailable)
        text = str(error) if expected else f"internal error: {error!r}"
        if self.problems.get(ref) != text and not isinstance(error, Conflict):
            self.problems[ref] = text
            log.warning("status of %s: %s", ref, text, exc_info=not expected)
        wait_s = self._tries.setdefault(ref, self._backoff()).next()
        now_s = time.monotonic()
        if isinstance(error, ApiError):
            wait_s = max(wait_s, error.retry_after_s)
        if isinstance(error, Forbidden):
            wait_s = max(wait_s, _FORBIDDEN_S)
        if _is_of_all(error):
            pause_s = max(self._away.next(), getattr(error, "retry_after_s", 0.0))
            self._pause_until_s = max(self._pause_until_s, now_s + pause_s)
        self._queue.add(ref, now_s + wait_s)


async def asked(request: Coroutine[Any, Any, bytes], check: Callable[[], object]) -> bytes:
    """Its answer, in time; `check` raises Unavailable if the duty is another's now."""
    try:
        check()
        async with asyncio.timeout(REQUEST_S):
            return await request
    except TimeoutError as error:
        raise Unavailable(f"no answer within {REQUEST_S:.0f} s") from error
    finally:
        request.close()


def _is_meant(have: Json, wanted: Told) -> bool:
    """And not one of the same name, from before or after."""
    return wanted.uid in ("", have["metadata"].get("uid"))


def _is_of_all(error: Exception) -> bool:
    """Whether it says something of the server and not of the object."""
    if isinstance(error, ApiError):
        return error.status == _TOO_MANY or error.status >= 500
    return isinstance(error, Unavailable)


def _items(page: bytes, kind: str) -> Iterator[Json]:
    """Objects of a list, of which only the whole may say what they are."""
    listed = read_json(page)
    for item in listed.get("items") or ():
        yield {"apiVersion": listed["apiVersion"], "kind": kind, **item}


def _ref_of(kind: str, item: Json) -> ObjectRef:
    metadata = item["metadata"]
    return ObjectRef(kind, metadata.get("namespace", ""), metadata["name"])
