"""Connections of HTTP/2, made by the `hpack` library and by an encoder that does what it may do."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import pack
from typing import NamedTuple

from hpack import Decoder, Encoder
from hpack.hpack import encode_integer
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING = 0, 1, 2, 3, 4, 5, 6
GOAWAY, WINDOW_UPDATE, CONTINUATION = 7, 8, 9
END_STREAM, END_HEADERS, PADDED, PRIORITISED = 1, 4, 8, 32
_HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
_METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"PROPFIND")
_PATHS = (
    *(b"/", b"/index.html", b"/shop.Cart/Add", b"/shop.Cart/List", b"/a?b=%20", b"/" + b"p" * 150),
    *(b"/\xc3\xa9\x01|~{}<>", b"/" + bytes(range(33, 126))),
)
_HOSTS = (b"web", b"web.shop:8080", b"h" * 70)
_STATUSES = (b"200", b"204", b"404", b"500", b"201", b"301", b"418", b"503")
_GRPC = (b"content-type", b"application/grpc")
_OTHERS = (
    *((b"user-agent", b"grpc-test/1"), (b"te", b"trailers"), (b"x", b"y" * 300), (b"empty", b"")),
    *((b"content-type", b"text/html"), (b"cookie", b"\xff\x00a"), (b"big", b"z" * 5000)),
)
Fields = Sequence[tuple[bytes, bytes]]


class Request(NamedTuple):
    """`status` 0: no answer that counts. `grpc` is what that says and 1; 0: it is not gRPC."""

    method: bytes
    path: bytes
    host: bytes
    status: int
    grpc: int


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return pack("!I", len(payload))[1:] + pack("!BBI", kind, flags, stream) + payload


class Wild:
    """Encodes each field in any of the ways of RFC 7541, 6."""

    def __init__(self, draw: random.Random) -> None:
        self._draw, self._table = draw, HeaderTable()

    def encode(self, fields: Fields) -> bytes:
        start = b""
        if self._draw.random() < 0.1:
            size = self._draw.choice((0, 100, 4096))
            self._table.maxsize = size
            start = _number(size, 5, 0x20)
        return start + b"".join(self._field(name, value) for name, value in fields)

    def _field(self, name: bytes, value: bytes) -> bytes:
        found = self._table.search(name, value)
        if found and found[2] is not None and self._draw.random() < 0.7:
            return _number(found[0], 7, 0x80)
        index = found[0] if found and self._draw.random() < 0.8 else 0
        bits, mark = self._draw.choice(((6, 0x40), (6, 0x40), (4, 0), (4, 0x10)))
        if mark == 0x40:
            self._table.add(name, value)
        said = _number(index, bits, mark) + (b"" if index else self._text(name))
        return said + self._text(value)

    def _text(self, text: bytes) -> bytes:
        if self._draw.random() < 0.5:
            return _number(len(text), 7, 0) + text
        coded = _HUFFMAN.encode(text)
        return _number(len(coded), 7, 0x80) + coded


class Library:
    """As most clients and servers have it."""

    def __init__(self, draw: random.Random) -> None:
        self._draw, self._encoder = draw, Encoder()

    def encode(self, fields: Fields) -> bytes:
        return self._encoder.encode(list(fields), huffman=self._draw.random() < 0.8)


def _number(value: int, bits: int, mark: int) -> bytes:
    coded = encode_integer(value, bits)
    coded[0] |= mark
    return bytes(coded)


@dataclass
class Connection:
    """Turns of both ends, and what is to be seen in them."""

    draw: random.Random
    turns: list[tuple[bytes, bytes]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    plain: bool = False  # no field is named in full that has a number

    def make(self) -> Connection:
        kind = self.draw.choice((Wild, Library))
        self.plain = kind is Library
        client, server = kind(self.draw), kind(self.draw)
        settings = frame(SETTINGS, 0, 0, pack("!HI", 4, 65535) * self.draw.randint(0, 2))
        said, answers, stream = PREFACE + settings, settings, -1
        check = Decoder(), Decoder()
        for item in check:
            item.max_header_list_size = 1 << 20
        for _ in range(self.draw.randint(1, 4)):
            for _ in range(self.draw.randint(1, 4)):
                stream += self.draw.choice((2, 2, 4))
                request = self._request()
                self.requests.append(request)
                said += self._ask(client, check[0], stream, request)
                answers += self._answer(server, check[1], stream, request)
            self.turns.append((said, answers))
            said = answers = b""
        return self

    def _request(self) -> Request:
        draw = self.draw
        status = int(draw.choice(_STATUSES)) if draw.random() < 0.95 else 0
        grpc = draw.randint(1, 17) if status and draw.random() < 0.4 else 0
        what = draw.choice(_METHODS), draw.choice(_PATHS), draw.choice(_HOSTS)
        return Request(*what, status, grpc)

    def _ask(self, encoder: Wild | Library, check: Decoder, stream: int, request: Request) -> bytes:
        fields = [
            (b":method", request.method),
            (b":scheme", b"http"),
            (b":path", request.path),
            (b":authority", request.host),
        ]
        self.draw.shuffle(fields)
        said = self._block(encoder, check, stream, fields + self._others())
        said += self._data(stream)
        if self.draw.random() < 0.1:
            said += self._block(encoder, check, stream, self._others())
        if not request.status:
            said += frame(RST_STREAM, 0, stream, bytes(4))
        return said + self._between()

    def _answer(
        self, encoder: Wild | Library, check: Decoder, stream: int, request: Request
    ) -> bytes:
        said = self._between()
        if self.draw.random() < 0.1:
            promise = pack("!I", 2 * stream)
            fields = ((b":method", b"GET"), (b":path", b"/pushed"), (b":status", b"299"))
            said += self._block(encoder, check, stream, fields, PUSH_PROMISE, promise)
        if self.draw.random() < 0.2:
            said += self._block(encoder, check, stream, [(b":status", b"103"), *self._others()])
        said += self._final(encoder, check, stream, request) if request.status else b""
        return said + self._block(encoder, check, stream, [(b"grpc-message", b"x")])

    def _final(
        self, encoder: Wild | Library, check: Decoder, stream: int, request: Request
    ) -> bytes:
        """gRPC's status may stand in the first block, where there are no messages."""
        fields = [(b":status", str(request.status).encode()), *self._others()]
        trailer = [(b"grpc-status", str(request.grpc - 1).encode())]
        if not request.grpc:
            return self._block(encoder, check, stream, fields) + self._data(stream)
        fields.append(_GRPC)
        if self.draw.random() < 0.3:
            return self._block(encoder, check, stream, fields + trailer)
        said = self._block(encoder, check, stream, fields) + self._data(stream)
        if self.draw.random() < 0.1:
            return said + frame(RST_STREAM, 0, stream, bytes(4))
        return said + self._block(encoder, check, stream, self._others() + trailer)

    def _others(self) -> list[tuple[bytes, bytes]]:
        return self.draw.sample(_OTHERS, self.draw.choice((0, 1, 2, 3)))

    def _between(self) -> bytes:
        return b"".join(
            self.draw.choice(
                (
                    frame(PING, 0, 0, bytes(8)),
                    frame(WINDOW_UPDATE, 0, 0, pack("!I", 1)),
                    frame(SETTINGS, 1, 0),
                    frame(PRIORITY, 0, 1, bytes(5)),
                    frame(0x77, 255, 1, b"unknown"),
                )
            )
            for _ in range(self.draw.choice((0, 0, 1, 2)))
        )

    def _data(self, stream: int) -> bytes:
        sizes = [self.draw.choice((0, 5, 100, 3000)) for _ in range(self.draw.choice((0, 1, 2)))]
        return b"".join(frame(DATA, 0, stream, PREFACE[:1] * size) for size in sizes)

    def _block(
        self,
        encoder: Wild | Library,
        check: Decoder,
        stream: int,
        fields: Fields,
        kind: int = HEADERS,
        ahead: bytes = b"",
    ) -> bytes:
        """In one frame or several, padded or not."""
        block = encoder.encode(fields)
        assert [tuple(item) for item in check.decode(block, raw=True)] == list(fields)
        parts = _cut(self.draw, block, self.draw.choice((0, 0, 0, 1, 2)))
        flags = 0 if len(parts) > 1 else END_HEADERS
        first, behind = ahead + parts[0], b""
        if kind == HEADERS and self.draw.random() < 0.3:
            flags |= PRIORITISED
            first = bytes(5) + first
        if self.draw.random() < 0.2:
            flags |= PADDED
            behind = bytes(self.draw.choice((0, 1, 255)))
            first = bytes([len(behind)]) + first
        said = frame(kind, flags, stream, first + behind)
        for place, part in enumerate(parts[1:], 2):
            said += frame(CONTINUATION, END_HEADERS * (place == len(parts)), stream, part)
        return said


def _cut(draw: random.Random, data: bytes, times: int) -> list[bytes]:
    cuts = sorted(draw.randrange(len(data) + 1) for _ in range(times))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
