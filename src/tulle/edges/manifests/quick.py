"""Plain JSON, read at the speed of C where that gives what the careful way gives.

The careful way (`tree.compose`) knows where everything stands and what stands twice, and takes
fifteen times as long. Here a file that is out of the ordinary in any way is left to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate

import msgspec

from .tree import MAX_DEPTH, MAX_EVENTS, Value

_ORDINARY = bytes({*range(0x20, 0x7F), *b"\t\n\r"} - {*b"\\"})
_NUMBERS = b" \t\n\r{}[],:-0123456789"
_LONG = re.compile(rb"\d{18}")  # such numbers `tree.plain` judges
_NOT_BRACKETS = bytes({*range(256)} - {*b"{}[]"})
_STEP = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}


class _List(msgspec.Struct):
    items: list[msgspec.Raw]


def read(data: bytes) -> Value:
    """The one JSON value in `data`; None if it is for the careful way to read."""
    if data.lstrip()[:1] != b"{" or data.translate(None, _ORDINARY) or b'"<<"' in data:
        return None
    try:
        value: Value = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
    outside = _outside_strings(data)
    if not _is_simple(outside):
        return None
    # Of a key that stands twice only one is left: then there are fewer colons now.
    again = _outside_strings(msgspec.json.encode(value))
    return value if again.count(b":") == outside.count(b":") else None


def lines_of_items(data: bytes) -> Iterator[int]:
    """Where each item of a `kind: List` that `read` has read begins, from 1."""
    line, counted, end = 1, 0, 0
    for item in msgspec.json.decode(data, type=_List).items:
        text = bytes(item)
        start = data.index(text, end)  # only blanks and a comma stand in between
        line += data.count(b"\n", counted, start)
        yield line
        counted, end = start, start + len(text)


def _outside_strings(data: bytes) -> bytes:
    """Without backslashes, every second piece between quotes is inside of a string."""
    return b"".join(data.split(b'"')[::2])


def _is_simple(outside: bytes) -> bool:
    """No null, no fraction, no huge number, and not more or deeper than the careful way takes."""
    words = outside.translate(None, _NUMBERS).replace(b"true", b"").replace(b"false", b"")
    if words or _LONG.search(outside) or outside.count(b",") + outside.count(b":") > MAX_EVENTS / 4:
        return False
    brackets = outside.translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets))) <= MAX_DEPTH
