"""What lists and watches are made of: pages, events, the fields that all objects share. Pure.

An object's own words stay bytes: whoever asked for it knows what they mean.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from tulle.errors import Unavailable

from .depth import decoded

MAX_LINE_BYTES = 32 << 20  # an etcd value ends at 1.5 MB; escapes and managedFields on top

Key = tuple[str, str]  # namespace, "" for an object that is in none, and name
_INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Unreadable(Unavailable):
    """The server sent what no API server should."""


class Item(NamedTuple):
    """An object as the server has it. `raw` is JSON; objects of a list bear no kind there."""

    key: Key
    version: str
    raw: bytes


class Page(NamedTuple):
    """A part of a list; `rest` is the token to ask for the next one, "" on the last."""

    items: list[Item]
    version: str
    rest: str


class Event(NamedTuple):
    """`kind` is ADDED, MODIFIED, DELETED, BOOKMARK or ERROR; only an ERROR's item has no key.

    `is_initial_end`: with this bookmark all that was there at the beginning has been told.
    """

    kind: str
    item: Item
    is_initial_end: bool = False


class _Meta(msgspec.Struct):
    name: str | None = ""
    namespace: str | None = ""
    version: str | None = msgspec.field(default="", name="resourceVersion")
    rest: str | None = msgspec.field(default="", name="continue")
    annotations: dict[str, str | None] | None = None


class _Object(msgspec.Struct):
    metadata: _Meta


class _List(msgspec.Struct):
    metadata: _Meta
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_lists = msgspec.json.Decoder(_List)
_events = msgspec.json.Decoder(_Event)
_objects = msgspec.json.Decoder(_Object)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)


def read_page(body: bytes) -> Page:
    """Raises Unreadable."""
    try:
        page = decoded(_lists, body)
        items = [_item(bytes(raw)) for raw in page.items or ()]
    except _UNREADABLE as error:
        raise Unreadable(f"API server: a list that cannot be read: {error}") from error
    return Page(items, page.metadata.version or "", page.metadata.rest or "")


def read_rest(body: bytes) -> str:
    """The token of the next page. Raises Unreadable."""
    try:
        return decoded(_objects, body).metadata.rest or ""
    except _UNREADABLE as error:
        raise Unreadable(f"API server: a list that cannot be read: {error}") from error


def read_event(line: bytes) -> Event:
    """Raises Unreadable."""
    try:
        event = decoded(_events, line)
        raw = bytes(event.object)
        if event.type == "ERROR":
            return Event("ERROR", Item(("", ""), "", raw))
        if event.type == "BOOKMARK":  # of an object that is none: nothing but this may be read
            meta = decoded(_objects, raw).metadata
            ends = (meta.annotations or {}).get(_INITIAL_EVENTS_END) == "true"
            return Event("BOOKMARK", Item(("", ""), meta.version or "", raw), ends)
        return Event(event.type, _item(raw))
    except _UNREADABLE as error:
        raise Unreadable(f"API server: an event that cannot be read: {error}") from error


def _item(raw: bytes) -> Item:
    meta = decoded(_objects, raw).metadata
    if not meta.name:
        raise msgspec.ValidationError("an object without a name")
    return Item((sys.intern(meta.namespace or ""), meta.name), meta.version or "", raw)


class Lines:
    """Cuts a stream into its lines, however it was cut into pieces; an unended last one is none."""

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._pieces: list[bytes] = []
        self._held = 0
        self._max_bytes = max_bytes

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The lines that end in `piece`. Raises Unreadable for one that is too long."""
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            self._keep(piece[start:end])
            line = b"".join(self._pieces)
            self._pieces, self._held, start = [], 0, end + 1
            if line.strip():
                yield line
        self._keep(piece[start:])

    def _keep(self, piece: bytes) -> None:
        self._held += len(piece)
        if self._held > self._max_bytes:
            raise Unreadable(f"API server: an event of more than {self._max_bytes >> 20} MiB")
        if piece:
            self._pieces.append(piece)
