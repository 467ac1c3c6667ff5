"""What a stream of bytes says in HTTP/1.1 (RFC 9112), read strictly: the kernel's reference.

It takes whole lines and whole texts where the kernel goes byte by byte, so that tests can hold the
one against the other. What could be read in two ways is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from tulle.abi import HttpLimit, HttpRefusal

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_METHOD = re.compile(_TOKEN)
_QUERY = re.compile(rb"[!-~]*")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):([\t -~\x80-\xff]*)")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(;[\t -~\x80-\xff]*)?")
_HOST = re.compile(rb"[0-9A-Za-z._:\[\]-]+")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_PLAIN = re.compile(rb"[0-9A-Za-z._~-]")
_IN_PATH = re.compile(rb"[0-9A-Za-z._~!$&'()*+,;=:@/%-]*")
_OVERLONG = re.compile(rb"%[Ee]0%[89][0-9A-Fa-f]|%[Ff]0%8[0-9A-Fa-f]")
_TWICE = re.compile(rb"%25[0-9A-Fa-f]{2}")
_NEVER = (0xC0, 0xC1, *range(0xF5, 0x100))  # in UTF-8
_END = b"\r\n"


class Head(NamedTuple):
    """`length` is of the body, -1: in chunks."""

    method: bytes
    target: bytes
    host: bytes
    length: int


Fields = tuple[tuple[bytes, bytes], ...]


class Reading(NamedTuple):
    """`ended`: how many of the requests have come to their end. `fields` are those of each head."""

    heads: tuple[Head, ...]
    ended: int
    refusal: HttpRefusal | None = None
    fields: tuple[Fields, ...] = ()


class _RefusedError(Exception):
    def __init__(self, why: HttpRefusal) -> None:
        super().__init__(why.name)
        self.why = why


class _MoreError(Exception):
    """What has come so far says nothing wrong, but is not all."""


def read(data: bytes, asked: Collection[bytes] = ()) -> Reading:
    """All that the bytes say. Of an incomplete last line it does not look at what it may become.

    `asked` are names of headers that rules look at.
    """
    heads: list[Head] = []
    fields: list[Fields] = []
    ended = 0
    try:
        while data:
            head, said, data = _head(data, asked)
            heads.append(head)
            fields.append(said)
            data = _chunks(data) if head.length < 0 else _body(data, head.length)
            ended += 1
    except _MoreError:
        pass
    except _RefusedError as refused:
        return Reading(tuple(heads), ended, refused.why, tuple(fields))
    return Reading(tuple(heads), ended, None, tuple(fields))


def _line(data: bytes) -> tuple[bytes, bytes]:
    line, end, rest = data.partition(_END)
    if not end:
        raise _MoreError
    return line, rest


def _head(data: bytes, asked: Collection[bytes]) -> tuple[Head, Fields, bytes]:
    end = data.find(_END + _END)
    if (end < 0 and len(data) > HttpLimit.HEAD_MAX) or end + 4 > HttpLimit.HEAD_MAX:
        _refuse_early(data, asked)
        raise _RefusedError(HttpRefusal.TOO_LONG)
    line, rest = _line(data)
    method, target, old = _request_line(line)
    fields: dict[bytes, bytes] = {}
    said: list[tuple[bytes, bytes]] = []
    while True:
        line, rest = _line(rest)
        if not line:
            return _framed(method, target, old, fields), tuple(said), rest
        said.append(_field(line, fields, asked))


def _refuse_early(data: bytes, asked: Collection[bytes]) -> None:
    """For what is wrong before it is too long."""
    lines = data[: HttpLimit.HEAD_MAX].split(_END)[:-1]
    if lines:
        _request_line(lines[0])
        fields: dict[bytes, bytes] = {}
        for line in lines[1:]:
            _field(line, fields, asked)


def _request_line(line: bytes) -> tuple[bytes, bytes, bool]:
    method, blank, rest = line.partition(b" ")
    if not blank or not _METHOD.fullmatch(method) or len(method) > 15:
        raise _RefusedError(HttpRefusal.BAD_METHOD)
    target, blank, version = rest.partition(b" ")
    _target(target)
    if not blank or version not in (b"HTTP/1.0", b"HTTP/1.1"):
        raise _RefusedError(HttpRefusal.BAD_VERSION)
    return method, target, version == b"HTTP/1.0"


def _target(target: bytes) -> None:
    path, _, query = target.partition(b"?")
    if not path.startswith(b"/") or not _IN_PATH.fullmatch(path):
        raise _RefusedError(HttpRefusal.BAD_TARGET)
    if not _QUERY.fullmatch(query) or b"#" in query:
        raise _RefusedError(HttpRefusal.BAD_TARGET)
    if not is_normal(path):
        raise _RefusedError(HttpRefusal.AMBIGUOUS_PATH)


def is_normal(path: bytes) -> bool:
    """Nothing escaped that need not be, no dot segments, no empty ones but the last.

    >>> is_normal(b"/a/b%20c/"), is_normal(b"/a/%2e%2e/"), is_normal(b"/a//b"), is_normal(b"/..;x")
    (True, False, False, False)
    """
    if len(_ESCAPE.findall(path)) != path.count(b"%"):
        return False
    for escaped in _ESCAPE.findall(path):
        byte = int(escaped, 16)
        if byte < 0x20 or byte == 0x7F or byte in b"/\\" or byte in _NEVER:
            return False
        if _PLAIN.fullmatch(bytes([byte])):
            return False
    if _OVERLONG.search(path) or _TWICE.search(path):
        return False
    segments = path.split(b"/")[1:]
    bare = [re.split(rb";|%3[Bb]", segment)[0] for segment in segments]
    return not (b"" in segments[:-1] or b"." in bare or b".." in bare)


def _field(
    line: bytes, fields: dict[bytes, bytes], asked: Collection[bytes]
) -> tuple[bytes, bytes]:
    if line[:1] in (b" ", b"\t"):
        raise _RefusedError(HttpRefusal.FOLDED)
    found = _FIELD.fullmatch(line)
    if not found:
        raise _RefusedError(HttpRefusal.BAD_NAME if b":" not in line else HttpRefusal.BAD_VALUE)
    name, value = found[1].lower(), found[2].strip(b" \t")
    known = name.replace(b"_", b"-")
    if known != name and (known in _KNOWN or known in asked):
        raise _RefusedError(HttpRefusal.BAD_NAME)
    if name not in _KNOWN:
        return found[1], value
    if name in fields or not _KNOWN[name][0].fullmatch(value):
        raise _RefusedError(_KNOWN[name][1])
    fields[name] = value
    return found[1], value


_KNOWN = {
    b"host": (_HOST, HttpRefusal.BAD_HOST),
    b"content-length": (re.compile(rb"[0-9]{1,18}"), HttpRefusal.BAD_LENGTH),
    b"transfer-encoding": (re.compile(rb"(?i)chunked"), HttpRefusal.BAD_TRANSFER),
    b"upgrade": (re.compile(rb"(?i)websocket"), HttpRefusal.UPGRADES),
}


def _framed(method: bytes, target: bytes, old: bool, fields: dict[bytes, bytes]) -> Head:
    if not old and b"host" not in fields:
        raise _RefusedError(HttpRefusal.BAD_HOST)
    length = int(fields.get(b"content-length", b"0"))
    if b"transfer-encoding" in fields:
        if old or b"content-length" in fields:
            raise _RefusedError(HttpRefusal.BAD_TRANSFER)
        length = -1
    if b"upgrade" in fields and (old or length):
        raise _RefusedError(HttpRefusal.UPGRADES)
    return Head(method, target, fields.get(b"host", b""), length)


def _body(data: bytes, length: int) -> bytes:
    if len(data) < length:
        raise _MoreError
    return data[length:]


def _chunks(data: bytes) -> bytes:
    while True:
        line, data = _line(data)
        found = _SIZE.fullmatch(line)
        if not found:
            raise _RefusedError(HttpRefusal.BAD_CHUNK)
        size = int(found[1], 16)
        if not size:
            return _trailer(data)
        data, end = _body(data, size), data[size : size + 2]
        if end != _END[: len(end)]:
            raise _RefusedError(HttpRefusal.BAD_CHUNK)
        data = _body(data, 2)


def _trailer(data: bytes) -> bytes:
    while True:
        line, data = _line(data)
        if not line:
            return data
        if not _FIELD.fullmatch(line):
            raise _RefusedError(HttpRefusal.BAD_CHUNK)
