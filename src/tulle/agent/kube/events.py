"""Events about objects, as `kubectl describe` shows them: what happened, and how often.

Few: one that goes on is one Event, whose series is counted ever more rarely, and there is a limit
of all. An Event's name is a digest of what it says, so that whoever says it again, after a restart
or as another writer, counts on.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from tulle.edges.kubernetes.depth import read_json
from tulle.edges.kubernetes.discovery import Resource
from tulle.edges.kubernetes.errors import Conflict, Forbidden, NotFound
from tulle.errors import Unavailable
from tulle.model.kubernetes import ObjectRef

from .bucket import Bucket
from .queue import DueQueue
from .writes import MANAGER

Json = dict[str, Any]
Query = Mapping[str, str | int]
log = logging.getLogger("tulle")

EVENTS = Resource("events.k8s.io", "v1", "events", "Event", True)
PODS = Resource("", "v1", "pods", "Pod", True)
PER_MINUTE, AT_ONCE = 25.0, 25.0
FIRST_PAUSE_S, LAST_PAUSE_S = 10.0, 600.0  # between two words about one thing
_AGAIN_S = 30.0
_TABLE = 1024
_REQUEST_S = 5.0
_NOTE_BYTES, _NAME_CHARS, _INSTANCE_CHARS = 1024, 200, 128  # the API's limits


class Happening(NamedTuple):
    """`reason` is one word, `note` a sentence."""

    ref: ObjectRef
    reason: str
    action: str
    note: str


class Api(Protocol):
    """What a recorder needs of a client."""

    async def get(self, path: str, query: Query = ...) -> bytes: ...

    async def create(self, path: str, body: bytes = ..., query: Query = ...) -> bytes: ...

    async def merge_patch(self, path: str, body: bytes = ..., query: Query = ...) -> bytes: ...


def event_of(what: Happening, about: Json, instance: str, at: datetime) -> Json:
    """`about` is the object as the API has it."""
    return {
        "apiVersion": EVENTS.group_version,
        "kind": EVENTS.kind,
        "metadata": {"name": name_of(what, about), "namespace": place_of(what.ref)},
        "type": "Warning",
        "eventTime": _micro(at),
        "reportingController": "tulle.io/agent",
        "reportingInstance": instance[:_INSTANCE_CHARS],
        "action": what.action,
        "reason": what.reason,
        "note": _cut(what.note),
        "regarding": {
            "apiVersion": about["apiVersion"],
            "kind": what.ref.kind,
            "name": what.ref.name,
            **({"namespace": what.ref.namespace} if what.ref.namespace else {}),
            "uid": about["metadata"]["uid"],
        },
    }


def series_of(count: int, last: datetime) -> Json:
    return {"series": {"count": max(2, count), "lastObservedTime": _micro(last)}}


def name_of(what: Happening, about: Json) -> str:
    words = "\0".join([what.ref.kind, about["metadata"]["uid"], what.reason, what.note])
    digest = hashlib.blake2b(words.encode(), digest_size=8).hexdigest()
    return f"{what.ref.name[:_NAME_CHARS].rstrip('.-')}.{digest}"


def place_of(ref: ObjectRef) -> str:
    """An Event is in a namespace, whatever it is about."""
    return ref.namespace or "default"


def _cut(note: str) -> str:
    raw = note.encode()
    if len(raw) <= _NOTE_BYTES:
        return note
    return raw[: _NOTE_BYTES - 3].decode(errors="ignore") + "…"


def _micro(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"


@dataclass(slots=True)
class _Entry:
    what: Happening
    first: datetime
    last: datetime
    count: int = 0
    said: int = 0  # the count that the API knows
    path: str = ""  # of the Event, once it is there
    pause_s: float = FIRST_PAUSE_S
    next_s: float = 0.0  # not before


@dataclass(slots=True)
class Recorder:
    """Only for one event loop. `instance` says who tells; `lost` is what there was no room for."""

    api: Api
    resource: Callable[[str], Any]
    instance: str
    bucket: Bucket = field(default_factory=lambda: Bucket(PER_MINUTE / 60, AT_ONCE))
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    problem: str = ""
    written: int = 0
    lost: int = 0
    _entries: dict[Happening, _Entry] = field(default_factory=dict)
    _queue: DueQueue[Happening] = field(init=False)
    _next_s: dict[ObjectRef, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._queue = DueQueue(self.clock)

    def tell(self, what: Happening, times: int = 1) -> None:
        """It happened, so many times."""
        now = self.wall()
        entry = self._entries.get(what)
        if entry is None:
            if len(self._entries) >= _TABLE and not self._make_room():
                self.lost += times
                return
            entry = self._entries[what] = _Entry(what, now, now)
        entry.count += times
        entry.last = now
        due_s = max(self.clock(), entry.next_s, self._next_s.get(what.ref, 0.0))
        self._queue.add(what, due_s)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            what = await self._queue.take()
            entry = self._entries[what]
            now_s = self.clock()
            if (next_s := self._next_s.get(what.ref, 0.0)) > now_s:
                self._queue.add(what, next_s)  # another one about the object was first
                continue
            await self._turn()
            await self._try(entry)

    def status(self) -> Json:
        return {"written": self.written, "lost": self.lost, "problem": self.problem}

    async def _turn(self) -> None:
        while True:
            if self.bucket.take(self.clock()):
                return
            await asyncio.sleep(self.bucket.wait_s(self.clock()))

    def _make_room(self) -> bool:
        """For one, in place of one of which all has been said."""
        for what, entry in self._entries.items():
            if entry.said == entry.count:
                del self._entries[what]
                if self._next_s.get(what.ref, 0.0) <= self.clock():
                    self._next_s.pop(what.ref, None)
                return True
        return False

    async def _try(self, entry: _Entry) -> None:
        what, count = entry.what, entry.count
        try:
            async with asyncio.timeout(_REQUEST_S):
                await self._say(entry)
        except (Unavailable, TimeoutError) as error:
            text = str(error) or "API server: no answer in time"
            if self.problem != text:
                log.warning("events: %s", text)
            self.problem = text
            self._queue.add(what, self.clock() + _AGAIN_S)
            return
        except Exception:
            log.exception("event about %s: internal error", what.ref)
        self.problem = ""
        entry.said = count
        self._next_s[what.ref] = self.clock() + FIRST_PAUSE_S
        entry.next_s = self.clock() + entry.pause_s
        entry.pause_s = min(2 * entry.pause_s, LAST_PAUSE_S)
        if entry.count > count:
            self._queue.add(what, entry.next_s)

    async def _say(self, entry: _Entry) -> None:
        if entry.path and await self._count(entry):
            return
        what = entry.what
        about = await self._about(what.ref)
        if about is None:
            return  # nobody can look at it any more
        event = event_of(what, about, self.instance, entry.first)
        place = place_of(what.ref)
        entry.path = EVENTS.path(place, event["metadata"]["name"])
        try:
            await self.api.create(EVENTS.path(place), msgspec.json.encode(event))
            self.written += 1
        except Conflict:
            await self._count(entry)

    async def _about(self, ref: ObjectRef) -> Json | None:
        """The object, by a list of one: whoever follows a kind may list it, and needs no more."""
        resource = PODS if ref.kind == PODS.kind else self.resource(ref.kind)
        if resource is None:
            return None
        query = {"fieldSelector": f"metadata.name={ref.name}"}
        try:
            listed = read_json(await self.api.get(resource.path(ref.namespace), query))
        except (Forbidden, NotFound):
            return None
        found = listed.get("items") or [None]
        return {"apiVersion": listed["apiVersion"], **found[0]} if found[0] else None

    async def _count(self, entry: _Entry) -> bool:
        """Whether the Event is still there: servers forget them after an hour."""
        body = msgspec.json.encode(series_of(entry.count, entry.last))
        try:
            await self.api.merge_patch(entry.path, body, {"fieldManager": MANAGER})
        except NotFound:
            return False
        self.written += 1
        return True
