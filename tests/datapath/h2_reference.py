"""What a client says in HTTP/2, read by the `hpack` library: the kernel's reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hpack import Decoder, HPACKError

from tests.datapath.h2_streams import (
    CONTINUATION,
    END_HEADERS,
    HEADERS,
    PADDED,
    PREFACE,
    PRIORITISED,
    PUSH_PROMISE,
    SETTINGS,
)


class Asked(NamedTuple):
    """The values of each field, in a sound request one."""

    methods: tuple[bytes, ...]
    paths: tuple[bytes, ...]
    hosts: tuple[bytes, ...]


class _NoFrameError(Exception):
    pass


def read(data: bytes) -> tuple[list[Asked], bool]:
    """The requests, and whether all of it makes sense."""
    found: list[Asked] = []
    try:
        found.extend(_requests(data[len(PREFACE) :]))  # up to what makes no sense
    except (_NoFrameError, HPACKError):
        return found, False
    return found, True


def _requests(data: bytes) -> Iterator[Asked]:
    decoder, block, opened, last = Decoder(), b"", 0, 0
    decoder.max_header_list_size = 1 << 20
    for number, (kind, flags, stream, payload) in enumerate(_frames(data)):
        if number == 0 and (kind != SETTINGS or flags & 1 or stream):
            raise _NoFrameError
        if (kind == CONTINUATION) != bool(opened) or (opened and stream != opened):
            raise _NoFrameError
        if kind == PUSH_PROMISE or (kind == HEADERS and not stream):
            raise _NoFrameError
        if kind not in (HEADERS, CONTINUATION):
            continue
        block += _part(flags, payload) if kind == HEADERS else payload
        opened = stream
        if not flags & END_HEADERS:
            continue
        fields = [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
        block, opened = b"", 0
        if stream % 2 and stream > last:
            last = stream
            yield Asked(*(_of(fields, name) for name in (b":method", b":path", b":authority")))


def _of(fields: list[tuple[bytes, bytes]], wanted: bytes) -> tuple[bytes, ...]:
    return tuple(value for name, value in fields if name == wanted)


def _frames(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    while len(data) >= 9:
        size = int.from_bytes(data[:3], "big")
        if len(data) < 9 + size:
            return
        stream = int.from_bytes(data[5:9], "big") & 0x7FFFFFFF
        yield data[3], data[4], stream, data[9 : 9 + size]
        data = data[9 + size :]


def _part(flags: int, payload: bytes) -> bytes:
    padding, ahead = 0, 5 * bool(flags & PRIORITISED)
    if flags & PADDED:
        if not payload:
            raise _NoFrameError
        padding, payload = payload[0], payload[1:]
    if len(payload) < ahead + padding:
        raise _NoFrameError
    return payload[ahead : len(payload) - padding]
