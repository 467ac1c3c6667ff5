"""One resource of an API server, told to a sink as it is and as it changes: list, then watch.

A watch goes on where the last one ended. When the server has forgotten that, or said something
that cannot be read, all is listed anew: what was deleted meanwhile is what the list lacks.
Nothing that goes wrong takes anything from the sink.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Set
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from tulle.errors import Unavailable

from .backoff import FIRST_S, Backoff
from .client import PAGE, Client, Query
from .condition import Condition, Phase
from .discovery import Resource
from .errors import ApiError, Forbidden, Gone, NotFound, error_of_event
from .ordering import Fence, later
from .wire import Event, Item, Key, Unreadable, read_event, read_page

WATCH_S = 300
SHORT_S = 1.0  # a stream that gave nothing in less was no success
SPACING_S = 0.5  # between the beginnings of two streams, however well they went
REST_S = 5.0  # at most, after streams that were no success
FUTILE = 5  # such streams, and all is listed anew
RELIST_S = (600.0, 1200.0)  # mends what no rule here has thought of
WATCH_LIST_MINOR = 34
_RELIST = (400, 404, 410, 500, 504)  # what we would go on from may be no good


class Sink(Protocol):
    """Whom it is told to. Nothing of it may raise, or block."""

    def put(self, item: Item) -> None:
        """Added or changed, or in a list again: each page is told as it comes."""

    def keep(self, keys: Set[Key]) -> None:
        """Of a whole list all has been told: what is not in it is gone."""

    def drop(self, key: Key, version: str) -> None:
        """Deleted, or selected no longer; it may be one that was never told."""

    def state(self, now: Condition) -> None:
        """Whenever that changes."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How to go about it."""

    watch_list: bool = False  # from WATCH_LIST_MINOR on: one stream instead of pages
    page: int = PAGE
    watch_s: int = WATCH_S
    short_s: float = SHORT_S
    spacing_s: float = SPACING_S
    rest_s: float = REST_S
    relist_s: tuple[float, float] = RELIST_S
    chance: Callable[[], float] = random.random


class Reflector:
    """`run` it in a task of its own; cancelling ends it."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        query: Query,
        sink: Sink,
        clock: Callable[[], float],
        backoff: Backoff,
        *,
        namespace: str = "",
        ways: Ways | None = None,
    ) -> None:
        """`query` selects: labelSelector, fieldSelector. `clock` never goes back."""
        self._client, self._path = client, resource.path(namespace)
        self._query, self._sink = dict(query), sink
        self._clock, self._backoff = clock, backoff
        self._ways = ways or Ways()
        self._ends = Backoff(min(FIRST_S, self._ways.rest_s), self._ways.rest_s)
        self._fence = Fence()
        self._version = ""  # to go on from; "" if there is nothing to go on from
        self._relist_at = 0.0
        self._began = -self._ways.spacing_s
        self._page = self._ways.page
        self._asks_watch_list = self._ways.watch_list
        self._told: Condition | None = None
        self._futile = 0  # streams one after the other that gave nothing

    async def run(self) -> None:
        while True:
            try:
                if await self._once():
                    self._backoff.reset()
                    self._ends.reset()
                    self._futile = 0
                else:
                    self._backoff.reset()  # it answers, at least
                    await self._rest(self._ends.next())
            except Unavailable as error:
                if _spoils_version(error):
                    self._version = ""
                self._tell(_phase_of(error), str(error))
                after_s = error.retry_after_s if isinstance(error, ApiError) else 0.0
                await asyncio.sleep(max(self._backoff.next(), after_s))

    async def _rest(self, pause_s: float) -> None:
        self._futile += 1
        if self._futile % FUTILE == 0:
            self._version = ""  # whatever it is that it does not tell
        if pause_s > self._ways.short_s:
            self._tell("behind", "API server: watches end as soon as they begin")
        await asyncio.sleep(pause_s)

    async def _once(self) -> bool:
        """List if need be, then watch until the stream ends; whether that was worth it.

        Raises Unavailable.
        """
        if self._clock() >= self._relist_at:
            self._version = ""
        is_whole = not self._version and self._asks_watch_list
        if not self._version and not is_whole:
            await self._list()
        await asyncio.sleep(max(0.0, self._began + self._ways.spacing_s - self._clock()))
        self._began = self._clock()
        heard = await (self._watch_list() if is_whole else self._watch())
        return heard or self._clock() - self._began >= self._ways.short_s

    async def _list(self) -> None:
        pages = self._client.list_pages(self._path, self._query, self._page)
        told: dict[Key, str] = {}
        version = ""
        try:
            async for body in pages:
                page = read_page(body)
                for item in page.items:
                    told[item.key] = item.version
                    self._sink.put(item)
                version = page.version
        except Gone:
            self._page = 0  # so slow a reader gets it in one piece
            raise
        self._page = self._ways.page
        self._listed(told, version)

    def _listed(self, told: Mapping[Key, str], version: str) -> None:
        """All that there is has been told, in these versions."""
        if not version:
            raise Unreadable("API server: a list without a version")
        self._fence.restart(told, version)
        self._sink.keep(told.keys())
        self._version = version
        low, high = self._ways.relist_s
        self._relist_at = self._clock() + low + (high - low) * self._ways.chance()
        self._tell("synced")

    async def _watch(self) -> bool:
        """Whether anything came. Raises Unavailable if it did not begin, or ended with an error."""
        async with self._stream({"resourceVersion": self._version}) as lines:
            self._tell("synced")
            return await self._follow(lines)

    async def _watch_list(self) -> bool:
        """As `_watch`, of a stream that begins with all that there is."""
        query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        try:
            async with self._stream(query) as lines:
                if not await self._take_initial(lines):
                    return False
                return await self._follow(lines)
        except ApiError as error:
            if error.status not in (400, 422):
                raise
            self._asks_watch_list = False  # it cannot, and says so
            return False

    async def _take_initial(self, lines: AsyncIterator[bytes]) -> bool:
        """False if the stream ended before all was told."""
        told: dict[Key, str] = {}
        with _cut_is_end():
            async for line in lines:
                event = _read(line)
                key, version, _ = event.item
                if event.is_initial_end:
                    self._listed(told, version)
                    return True
                if event.kind == "DELETED":
                    told.pop(key, None)
                elif event.kind != "BOOKMARK":
                    told[key] = version
                    self._sink.put(event.item)
            self._asks_watch_list = False  # an orderly end: it does not know what it was asked
        return False

    async def _follow(self, lines: AsyncIterator[bytes]) -> bool:
        heard = False
        with _cut_is_end():
            async for line in lines:
                self._take(_read(line))
                heard = True
        return heard

    def _take(self, event: Event) -> None:
        key, version, _ = event.item
        if event.kind == "DELETED":
            if self._fence.dropped(key, version):
                self._sink.drop(key, version)
        elif event.kind != "BOOKMARK" and self._fence.admits(key, version):
            self._sink.put(event.item)
        self._version = later(self._version, version)

    def _stream(self, more: Query) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        seconds = self._ways.watch_s + int(self._ways.watch_s * self._ways.chance())
        query: Query = {"allowWatchBookmarks": "true", "timeoutSeconds": seconds}
        return self._client.stream(self._path, {**self._query, **query, **more})

    def _tell(self, phase: Phase, problem: str = "") -> None:
        told = self._told
        if told and (told.phase, told.problem) == (phase, problem):
            return
        since = told.since if told and told.phase == phase else self._clock()
        self._told = Condition(phase, since, problem)
        self._sink.state(self._told)


def _read(line: bytes) -> Event:
    event = read_event(line)
    if event.kind == "ERROR":
        raise error_of_event(event.item.raw)
    if event.kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
        raise Unreadable("API server: an event of a kind that there is not")
    return event


@contextmanager
def _cut_is_end() -> Iterator[None]:
    """A connection that breaks is an end like any other; only what the server says is trouble."""
    try:
        yield
    except (ApiError, Unreadable):
        raise
    except Unavailable:
        pass


def _spoils_version(error: Unavailable) -> bool:
    """Whether going on from the last version would not help."""
    if isinstance(error, ApiError):
        return error.status in _RELIST
    return isinstance(error, Unreadable)


def _phase_of(error: Unavailable) -> Phase:
    if isinstance(error, Forbidden):
        return "forbidden"
    return "absent" if isinstance(error, NotFound) else "behind"
