"""HTTP/2 by hand (RFC 9113): requests that a library would not send, and what they must do.

Fields are written as they are (RFC 7541, 6.2.2: literal, not indexed, without Huffman's code). All
requests are denied or malformed, so not a byte of any may reach the backend.
"""

from __future__ import annotations

from collections.abc import Iterable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _SETTINGS, _CONTINUATION = 1, 4, 9
_END_STREAM, _END_HEADERS = 1, 4

Fields = tuple[tuple[bytes, bytes], ...]


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


def _text(raw: bytes) -> bytes:
    """With its length, an integer of a prefix of 7 bits."""
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    length, more = len(raw) - 127, bytearray([127])
    while length >= 128:
        more.append(length % 128 + 128)
        length //= 128
    return bytes(more) + bytes([length]) + raw


def block(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


def request(fields: Fields, stream: int = 1) -> bytes:
    return frame(_HEADERS, _END_STREAM | _END_HEADERS, stream, block(fields))


def opening(*requests: bytes) -> bytes:
    return PREFACE + frame(_SETTINGS, 0, 0, b"") + b"".join(requests)


def fields(path: bytes, *more: tuple[bytes, bytes], method: bytes = b"GET") -> Fields:
    named = ((b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"web"))
    return (*named, *more)


PUBLIC = b"/public/a"
ALLOWED = opening(request(fields(PUBLIC)))
_SPLIT = block(fields(b"/denied"))

HTTP2_CASES: dict[str, bytes] = {
    "denied": opening(request(fields(b"/denied"))),
    "denied, in pieces of a header block": opening(
        frame(_HEADERS, _END_STREAM, 1, _SPLIT[:9]),
        frame(_CONTINUATION, _END_HEADERS, 1, _SPLIT[9:]),
    ),
    "upwards": opening(request(fields(b"/public/../denied"))),
    "slash encoded": opening(request(fields(b"/public/..%2fdenied"))),
    "line in the path": opening(request(fields(PUBLIC + b" HTTP/1.1\r\nX: denied"))),
    "blank in the path": opening(request(fields(PUBLIC + b" /denied"))),
    "no path": opening(request(((b":method", b"GET"), (b":scheme", b"http")))),
    "empty path": opening(request(fields(b""))),
    "path of no slash": opening(request(fields(b"public/a"))),
    "two paths": opening(request((*fields(PUBLIC), (b":path", b"/denied")))),
    "two methods": opening(request((*fields(PUBLIC), (b":method", b"DELETE")))),
    "method with a line": opening(request(fields(PUBLIC, method=b"GET /denied HTTP/1.1\r\n"))),
    "unknown pseudo-header": opening(request((*fields(PUBLIC), (b":denied", b"a")))),
    "pseudo-header behind others": opening(
        request(((b"a", b"b"), *fields(PUBLIC)[:3], (b":authority", b"denied")))
    ),
    "line in a value": opening(request(fields(PUBLIC, (b"x", b"a\r\nY: denied")))),
    "NUL in a value": opening(request(fields(PUBLIC, (b"x", b"denied\x00")))),
    "line in a name": opening(request(fields(PUBLIC, (b"x: a\r\ny", b"denied")))),
    "colon in a name": opening(request(fields(PUBLIC, (b"x:y", b"denied")))),
    "name in capitals": opening(request(fields(PUBLIC, (b"X-Denied", b"a")))),
    "chunked": opening(request(fields(PUBLIC, (b"transfer-encoding", b"chunked")))),
    "connection": opening(request(fields(PUBLIC, (b"connection", b"denied")))),
    "upgrade": opening(request(fields(PUBLIC, (b"upgrade", b"h2c")))),
    "two hosts": opening(request((*fields(PUBLIC)[:3], (b":authority", b"web,denied")))),
    "CONNECT": opening(request(((b":method", b"CONNECT"), (b":authority", b"denied:80")))),
    "CONNECT for a protocol": opening(
        request((*fields(b"/denied", method=b"CONNECT"), (b":protocol", b"websocket")))
    ),
}  # fmt: skip
