"""Requests that are malformed, pipelined, or shaped to be read in two ways, and what each must do.

Sent to a port where only GET and POST below /public are allowed. The marker stands in every request
that is denied: not a byte of it may reach the backend.
"""

from __future__ import annotations

from typing import NamedTuple

MARKER = b"denied"
IN_BODY = b"GET /public/x HTTP/1.1"
DENIED = b"GET /denied HTTP/1.1\r\nHost: web\r\n\r\n"
_GET = b"GET /public/a HTTP/1.1\r\nHost: web\r\n"
_POST = b"POST /public/b HTTP/1.1\r\nHost: web\r\n"
_UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: ZGVuaWVkZGVuaWVkZGVuaQ==\r\n\r\n"
)
GET, POST = b"GET /public/a HTTP/1.1", b"POST /public/b HTTP/1.1"
CLOSED = "closed"


class Case(NamedTuple):
    """`sent` in pieces; `answers` are the status codes; `reached` the requests at the backend.

    `rest` are answers that may follow: the proxy closes a connection that asks on and on without
    taking its answers. `perhaps` the backend has seen the head of what turned out to be malformed.
    """

    name: str
    sent: tuple[bytes, ...]
    answers: tuple[int, ...]
    reached: tuple[bytes, ...] = ()
    rest: tuple[int, ...] = ()
    perhaps: bool = False

    def is_answered(self, statuses: tuple[int, ...]) -> bool:
        whole = self.answers + self.rest
        return len(statuses) >= len(self.answers) and whole[: len(statuses)] == statuses

    def is_reached(self, raw: bytes) -> bool:
        """Whether no other requests than these came, bodies left aside."""
        lines = [line for line in raw.split(b"\r\n") if line.endswith(b" HTTP/1.1")]
        found = tuple(line for line in lines if line != IN_BODY)
        if self.rest or self.perhaps:
            return found == self.reached[: len(found)]
        return found == self.reached


def _case(
    name: str,
    sent: bytes | tuple[bytes, ...],
    *answers: int,
    reached: bytes | tuple[bytes, ...] = (),
    rest: tuple[int, ...] = (),
    perhaps: bool = False,
) -> Case:
    pieces = (sent,) if isinstance(sent, bytes) else sent
    lines = (reached,) if isinstance(reached, bytes) else reached
    return Case(name, pieces, answers, lines, rest, perhaps)


def _path(path: bytes) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: web\r\nX-Marker: denied\r\n\r\n"


def _post(*headers: bytes, body: bytes = b"") -> bytes:
    return _POST + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


CASES = (
    # one after another
    _case("allowed", _GET + b"\r\n", 200, reached=GET),
    _case("denied", DENIED, 403),
    _case("allowed, then denied", _GET + b"\r\n" + DENIED, 200, 403, reached=GET),
    _case("denied, then allowed", DENIED + _GET + b"\r\n", 403, 200, reached=GET),
    _case(
        "denied between two that are allowed",
        _GET + b"\r\n" + DENIED + _post(b"Content-Length: 0"),
        *(200, 403),
        reached=(GET, POST),
        rest=(200,),
    ),
    _case("many denied", DENIED * 20, 403, rest=(403,) * 19),
    _case(
        "cut into pieces",
        (
            *(b"GET /pub", b"lic/a HTTP/1.1\r\nHo", b"st: web\r\n\r", b"\nGET /den"),
            *(b"ied HTTP/1.1\r\n", b"Host: web\r\n", b"\r\n"),
        ),
        *(200, 403),
        reached=GET,
    ),
    _case("byte by byte", tuple(bytes([byte]) for byte in DENIED), 403),
    # bodies
    _case(
        "body that looks like a request",
        _post(b"Content-Length: 37", body=IN_BODY + b"\r\nHost: web\r\n\r\n"),
        200,
        reached=POST,
    ),
    _case(
        "denied with a body that looks like a request",
        b"POST /denied HTTP/1.1\r\nHost: web\r\nContent-Length: 36\r\n\r\n" + _GET + b"\r\n",
        403,
    ),
    _case(
        "denied with a body to come",
        b"POST /denied HTTP/1.1\r\nHost: web\r\nContent-Length: 1000000\r\n\r\ndenied",
        403,
    ),
    _case(
        "denied in chunks",
        b"POST /denied HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ndenied\r\n",
        403,
    ),
    _case(
        "denied, that waits for 100",
        b"POST /denied HTTP/1.1\r\nHost: web\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n",
        *(100, 403),
    ),
    _case(
        "chunks, then denied",
        _post(b"Transfer-Encoding: chunked", body=b"1\r\nx\r\n0\r\n\r\n" + DENIED),
        *(200, 403),
        reached=POST,
    ),
    _case(
        "extensions of chunks",
        _post(b"Transfer-Encoding: chunked", body=b"1;a=marked\r\nx\r\n0\r\n\r\n" + DENIED),
        *(200, 403),
        reached=POST,
    ),
    _case(
        "trailers",
        _post(b"Transfer-Encoding: chunked", body=b"0\r\nX: marked\r\n\r\n" + DENIED),
        *(200, 403),
        reached=POST,
    ),
    # two lengths
    _case(
        "length and chunks",
        _post(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + DENIED),
        400,
    ),
    _case(
        "chunks and length",
        _post(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"0\r\n\r\n" + DENIED),
        400,
    ),
    _case("two lengths", _post(b"Content-Length: 0", b"Content-Length: 35", body=DENIED), 400),
    _case("a list of lengths", _post(b"Content-Length: 35, 35", body=DENIED), 400),
    _case("length with a sign", _post(b"Content-Length: +35", body=DENIED), 400),
    _case("length below nothing", _post(b"Content-Length: -1", body=DENIED), 400),
    _case("length in hex", _post(b"Content-Length: 0x23", body=DENIED), 400),
    _case("length beyond 64 bits", _post(b"Content-Length: 18446744073709551652"), 400),
    _case("length of nothing", _post(b"Content-Length: ", body=DENIED), 400),
    # encodings of the transfer
    _case("chunked with a prefix", _post(b"Transfer-Encoding: xchunked", body=DENIED), 501),
    _case("chunked, not last", _post(b"Transfer-Encoding: chunked, identity", body=DENIED), 501),
    _case("chunked behind gzip", _post(b"Transfer-Encoding: gzip, chunked", body=DENIED), 501),
    _case(
        "chunked and another",
        _post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=DENIED),
        501,
    ),
    _case("chunked with a control", _post(b"Transfer-Encoding: \x0bchunked", body=DENIED), 400),
    _case("chunked, folded", _post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n" + DENIED),
          200, 403, reached=POST),
    _case("blank before the colon", _post(b"Transfer-Encoding : chunked", body=DENIED), 400),
    _case("underscore", _post(b"Transfer_Encoding: chunked", b"Content-Length: 0") + DENIED,
          200, 403, reached=POST),
    # sizes of chunks
    _case("size in 0x", _post(b"Transfer-Encoding: chunked", body=b"0x0\r\n\r\n" + DENIED),
          400, reached=POST, perhaps=True),
    _case("size beyond 64 bits",
          _post(b"Transfer-Encoding: chunked", body=b"1" + b"0" * 16 + b"\r\n" + DENIED), 400,
          reached=POST, perhaps=True),
    _case("size with a sign", _post(b"Transfer-Encoding: chunked", body=b"-1\r\n" + DENIED), 400,
          reached=POST, perhaps=True),
    _case("chunk longer than its size",
          _post(b"Transfer-Encoding: chunked", body=b"1\r\nxx\r\n0\r\n\r\n" + DENIED),
          200, 403, reached=POST),
    _case("end of line in an extension",
          _post(b"Transfer-Encoding: chunked", body=b"0;\n\r\n" + DENIED), 400,
          reached=POST, perhaps=True),
    # lines
    _case("lines that end in LF", b"GET /public/a HTTP/1.1\nHost: web\n\n" + DENIED,
          200, 403, reached=GET),
    _case("CR in a header", b"GET /public/a HTTP/1.1\r\nHost: web\rX: denied\r\n\r\n", 400),
    _case("NUL in a header", _GET + b"X: denied\x00\r\n\r\n", 400),
    _case("blank before a header's colon", b"GET /public/a HTTP/1.1\r\nHost : denied\r\n\r\n", 400),
    _case("header without a name", _GET + b": denied\r\n\r\n", 400),
    _case("header without a colon", _GET + b"denied\r\n\r\n", 400),
    _case("blank line first", b"\r\n\r\n" + _GET + b"\r\n" + DENIED, 200, 403, reached=GET),
    _case("no host", b"GET /public/a HTTP/1.1\r\nX: denied\r\n\r\n", 400),
    _case("two hosts", _GET + b"Host: denied\r\n\r\n", 400),
    _case("HTTP/0.9", b"GET /denied\r\n\r\n", 400),
    _case("HTTP/1.0, denied", b"GET /denied HTTP/1.0\r\nHost: web\r\n\r\n", 403),
    _case("another version", b"GET /denied HTTP/3.0\r\nHost: web\r\n\r\n", 403),
    _case("headers too large", b"GET /denied HTTP/1.1\r\nX: " + b"a" * 70000 + b"\r\n\r\n", 431),
    _case("no HTTP", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03denied", 400),
    # methods and targets
    _case("CONNECT", b"CONNECT denied:80 HTTP/1.1\r\nHost: denied:80\r\n\r\n" + DENIED, 403),
    _case("method in lower case", b"get /public/denied HTTP/1.1\r\nHost: web\r\n\r\n", 403),
    _case("absolute, denied", b"GET http://web/denied HTTP/1.1\r\nHost: web\r\n\r\n", 403),
    _case("server's options", b"OPTIONS * HTTP/1.1\r\nHost: web\r\nX: denied\r\n\r\n", 404),
    _case("blank in the path", _path(b"/public/a /denied"), 400),
    _case("upwards", _path(b"/public/../denied"), 403),
    _case("upwards, encoded", _path(b"/public/%2e%2E/denied"), 403),
    _case("upwards, half encoded", _path(b"/public/.%2e/denied"), 403),
    _case("slash encoded", _path(b"/public/..%2fdenied"), 400),
    _case("backslash", _path(b"/public\\..\\denied"), 403),
    _case("backslash encoded", _path(b"/public/..%5cdenied"), 400),
    _case("upwards with a parameter", _path(b"/public/..;a=b/denied"), 403),
    _case("parameter encoded", _path(b"/public/..%3b/denied"), 400),
    _case("encoded twice", _path(b"/public/%252e%252e/denied"), 400),
    _case("overlong UTF-8", _path(b"/public/%c0%ae%c0%ae/denied"), 400),
    _case("raw bytes", _path(b"/public/\xc0\xae\xc0\xae/denied"), 400),
    _case("NUL encoded", _path(b"/public/%00/denied"), 400),
    _case("line encoded", _path(b"/public/%0d%0aX:%20denied"), 400),
    _case("fragment", _path(b"/public#/denied"), 400),
    # other protocols
    _case(
        "WebSocket that the backend does not know, then denied",
        _GET + _UPGRADE + DENIED,
        200,
        reached=GET,
    ),
    _case("WebSocket, denied", b"GET /denied HTTP/1.1\r\nHost: web\r\n" + _UPGRADE + DENIED, 403),
    _case(
        "h2c by upgrade, then denied",
        _GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n" + DENIED,
        *(200, 403),
        reached=GET,
    ),
)  # fmt: skip

# What the kernel answers where that is not what the proxy does. It refuses what it would have to
# change, upgrades to anything but WebSocket, and all that it does not read in one way only. A
# connection ends with its first refusal; in a body there is no place for one.
_CUT = (
    *("size in 0x", "size beyond 64 bits", "size with a sign", "chunk longer than its size"),
    "end of line in an extension",
)
_ENDED = ("denied, then allowed", "denied, that waits for 100")
_MALFORMED = (
    "HTTP/0.9",
    *("chunked with a prefix", "chunked, not last", "chunked behind gzip", "chunked and another"),
    *("chunked, folded", "underscore", "lines that end in LF", "blank line first"),
    *("another version", "headers too large", "CONNECT", "absolute, denied", "server's options"),
    *("upwards", "upwards, encoded", "upwards, half encoded", "backslash"),
    *("upwards with a parameter", "h2c by upgrade, then denied"),
)
_HELD: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(_CUT, ()),
    "denied between two that are allowed": (200, 403),
    "WebSocket that the backend does not know, then denied": (200, 403),
    **dict.fromkeys(_ENDED, (403,)),
    **dict.fromkeys(_MALFORMED, (400,)),
}


def as_held(case: Case) -> Case:
    """The case as the kernel judges it."""
    if case.name not in _HELD:
        return case
    return case._replace(answers=_HELD[case.name], rest=(), perhaps=True)
