"""Messages put together from parts that are serialised already.

The fields of a protobuf message may stand in any order, and a repeated one is each of its elements
after the other, so a message is the concatenation of its fields (protobuf's encoding guide).
"""

from __future__ import annotations

from collections.abc import Iterable

_LENGTH_DELIMITED = 2
_MORE = 0x80


def joined(number: int, parts: Iterable[bytes]) -> bytes:
    """A repeated field of messages or texts.

    >>> joined(1, [b"a", b"bc"])
    b'\\n\\x01a\\n\\x02bc'
    """
    tag = varint(number << 3 | _LENGTH_DELIMITED)
    return b"".join(piece for part in parts for piece in (tag, varint(len(part)), part))


def varint(number: int) -> bytes:
    """
    >>> varint(300).hex()
    'ac02'
    """
    result = bytearray()
    while number >= _MORE:
        result.append(number & (_MORE - 1) | _MORE)
        number >>= 7
    result.append(number)
    return bytes(result)
