"""JSON that is nested more deeply than a decoder follows, as API servers take it. Pure.

One such object must not hide the others of its list.
"""

from __future__ import annotations

import re
from typing import Any, Protocol, TypeVar

import msgspec

LIMIT = 100  # no kind comes near it
HIDDEN = b'"nested too deeply"'
_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)

_R = TypeVar("_R", covariant=True)


class Decoder(Protocol[_R]):
    def decode(self, buf: bytes, /) -> _R: ...


_anything: Decoder[Any] = msgspec.json.Decoder()


def decoded(decoder: Decoder[_R], text: bytes) -> _R:
    """Without what is nested too deeply. Raises MsgspecError."""
    try:
        return decoder.decode(text)
    except RecursionError:
        return decoder.decode(shallow(text))


def read_json(text: bytes) -> Any:
    """As `decoded`, whatever it is."""
    return decoded(_anything, text)


def shallow(text: bytes, limit: int = LIMIT) -> bytes:
    """With HIDDEN in place of each value that would be at a level beyond the limit.

    >>> shallow(b'{"a": [1], "b": {"]": []}}', limit=1)
    b'{"a": "nested too deeply", "b": "nested too deeply"}'
    """
    kept: list[bytes] = []
    start = depth = 0
    for token in _TOKENS.finditer(text):
        if token[0] in (b"[", b"{"):
            depth += 1
            if depth == limit + 1:
                kept.append(text[start : token.start()])
        elif token[0] in (b"]", b"}"):
            if depth == limit + 1:
                kept.append(HIDDEN)
                start = token.end()
            depth -= 1
    return b"".join(kept) + text[start:]
