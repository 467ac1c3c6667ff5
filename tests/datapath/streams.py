"""HTTP as the kernel's parser reads it, and streams for it: generated, mutated and cut anywhere."""

from __future__ import annotations

import ctypes
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from struct import pack, pack_into, unpack_from

from tests.datapath.http_reference import Head, Reading
from tulle import abi
from tulle.abi import HttpLimit, HttpOutcome, HttpRefusal, HttpSeen
from tulle.edges.bpf import bpffs, syscall
from tulle.edges.bpf.datapath import remove
from tulle.edges.bpf.loader import Objects
from tulle.edges.bpf.maps import Map

_FIXED = ("reasons", "state", "events", "short_senders")  # the last has one for each socket
LIMITS = {name: 64 for name in abi.MAPS if name not in _FIXED}
LIMITS |= {"http_rules": 4096, "http_headers": 1024}
del LIMITS["events_lost"]
_HTTP = len(abi.HttpStream().pack())


class Parser:
    """One struct http_args is the packet, each time: making it anew would take most of the time."""

    def __init__(self, program: int, maps: Mapping[str, Map]) -> None:
        self._maps = maps
        raw = ctypes.create_string_buffer(len(abi.HttpArgs().pack()))
        size, place = len(raw), ctypes.addressof(raw)
        self._args = memoryview(raw).cast("B")
        attr = pack("=IIIIQQ56x", program, 0, size, size, place, place)
        self._attr = ctypes.create_string_buffer(attr, len(attr))

    def hold(self, rows: Mapping[str, Mapping[bytes, bytes]]) -> None:
        """The rules of a set."""
        for name, items in rows.items():
            self._maps[name].update_many(items.items())

    def read(self, pieces: Iterable[bytes], set_number: int = 0) -> Reading:
        """`allowed` gets, for each head, the place of the rule of the set that allows it, or -1."""
        looks = abi.HttpHeaderKey(set_number)
        fresh = abi.HttpStream(set=set_number, looks=set_number > 0, header=looks)
        self._args[:_HTTP] = fresh.pack()
        self.allowed: list[int] = []
        heads: list[Head] = []
        ended = 0
        for piece in pieces:
            while piece:
                outcome, used = self._step(piece[: HttpLimit.BLOCK])
                assert used or outcome == HttpOutcome.REFUSED
                piece = piece[used:]
                if outcome == HttpOutcome.MORE:
                    continue
                http = abi.HttpStream.unpack(self._args[:_HTTP])
                if outcome == HttpOutcome.REFUSED:
                    return Reading(tuple(heads), ended, HttpRefusal(http.refusal))
                if outcome == HttpOutcome.HEAD:
                    heads.append(_head(http))
                    (allowed,) = unpack_from("=I", self._args, _HTTP + 12)
                    self.allowed.append(http.rule if allowed else -1)
                ended += outcome == HttpOutcome.END or http.phase == abi.HttpPhase.START
        return Reading(tuple(heads), ended)

    def met(self, pieces: Iterable[bytes], set_number: int) -> int:
        """The conditions of a set that the headers of the one request meet."""
        self.read(pieces, set_number)
        http = abi.HttpStream.unpack(self._args[:_HTTP])
        return http.met & ~http.spoilt

    def _step(self, piece: bytes) -> tuple[int, int]:
        pack_into("=I12x", self._args, _HTTP, len(piece))
        self._args[_HTTP + 16 : _HTTP + 16 + len(piece)] = piece
        pack_into("=I", self._attr, 12, len(self._args))
        syscall.bpf(syscall.TEST_RUN, self._attr, "read HTTP")
        assert unpack_from("=I", self._attr, 4) == (0,)
        used, outcome = unpack_from("=II", self._args, _HTTP + 4)
        return outcome, used


def _head(http: abi.HttpStream) -> Head:
    """Of target and host what is kept, with blanks for the rest."""
    length = -1 if http.seen & HttpSeen.CHUNKED else http.length
    target = http.path[: http.path_length].ljust(http.path_length)
    host = http.host[: http.host_length].ljust(http.host_length)
    return Head(http.method[: http.method_length], target, host, length)


def as_kept(reading: Reading) -> Reading:
    """A reading with no more of targets and hosts than the kernel keeps."""
    return reading._replace(
        heads=tuple(
            head._replace(
                target=head.target[: HttpLimit.PATH_KEPT].ljust(len(head.target)),
                host=head.host[: HttpLimit.HOST_KEPT].ljust(min(len(head.host), 255)),
            )
            for head in reading.heads
        )
    )


@contextmanager
def parser(name: str) -> Iterator[Parser]:
    pins = bpffs.ROOT / "tulle" / f"{name}-{os.getpid()}"
    bpffs.mount()
    try:
        objects = Objects(pins, LIMITS)
        program = objects.load("decide", ("read_http",))["read_http"]
        yield Parser(program, objects.maps)
        os.close(program)
        objects.close()
    finally:
        remove(pins)


# --- streams ---

_METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PROPFIND", b"get", b"X" * 16)
_PATHS = (
    *(b"/", b"/a", b"/public/b?q=1", b"/a/../b", b"/a/./b", b"//a", b"/%2e%2e/", b"/a%20b"),
    *(b"/%41", b"/%2f", b"/%5c", b"/%252e", b"/%25", b"/%c0%ae", b"/%e0%80", b"/%f0%80", b"/..;a"),
    *(
        b"/.%3b",
        b"/a%3b",
        b"/%C3%A9",
        b"/%",
        b"/%4",
        b"/a#b",
        b"/a\\b",
        b"/{a}",
        b"*",
        b"http://w/",
    ),
    *(b"/" + b"p" * 126, b"/" + b"p" * 200, b"/?" + b"q" * 130, b"/...", b"/a/.b/..c", b"/a?/../"),
)
_FIELDS = (
    *(b"Host: web", b"host:a:80", b"Host: ", b"Host: a,b", b"Host: " + b"h" * 70, b"Host : a"),
    *(b"Content-Length: 0", b"Content-Length: 5", b"content-length:5 ", b"Content-Length: 5, 5"),
    *(b"Content-Length: +5", b"Content-Length: 0x5", b"Content-Length:", b"Content_Length: 5"),
    *(
        b"Content-Length: 1" + b"0" * 18,
        b"Transfer-Encoding: chunked",
        b"TRANSFER-ENCODING:CHUNKED",
    ),
    *(
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked ",
        b"Transfer-Encoding: c k",
    ),
    *(
        b"Transfer-Encoding:",
        b"Upgrade: h2c",
        b"Upgrade: WebSocket ",
        b" folded: a",
        b"X: \x00",
        b"X: \xe9",
        b"X:",
        b":a",
    ),
    *(b"X", b"X-Y_Z: a\tb", b"Accept: */*", b"X: a\rb", b"X: " + b"a" * 300),
)
# Headers that rules may ask for, none of them or some.
_NOTED = (
    *(b"X-Role: reader", b"x-role:reader\t", b"X-Role: readers", b"X_Role: reader", b"X-Role:"),
    *(b"X-Tier: 1", b"X-Tier: 2", b"X-Tiers: 1", b"X-Role: " + b"r" * 65, b"X-Tier: \xe9"),
)
_ASKED = (*((),) * 50, *((one,) for one in _NOTED), *product(_NOTED, _NOTED))
_BODIES = (
    b"",
    b"hello",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"0\r\n\r\n",
)
_HOSTILE = (
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b" ",
        b"\t",
        b":",
        b";",
        b"%",
        b"%2e",
        b"/..",
        b"/",
    ),
    *(
        b"0\r\n\r\n",
        b"-1",
        b"0x",
        b"f" * 16,
        b"\xff",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"GET / HTTP/1.1\r\n",
    ),
)


def stream(draw: random.Random) -> bytes:
    """One to three requests, most of them sound, some changed in a byte or two."""
    whole = b"".join(request(draw) for _ in range(draw.randint(1, 3)))
    for _ in range(draw.choice((0, 0, 1, 1, 2, 4))):
        whole = mutated(draw, whole)
    # So that no line is left of which a reader of lines could not tell what it says.
    return whole + b"\r\n\r\n\r\n"


def request(draw: random.Random) -> bytes:
    sound = draw.random() < 0.7
    version = b"HTTP/1.1" if draw.random() < 0.9 else draw.choice((b"HTTP/1.0", b"HTTP/2.0", b""))
    method, path = draw.choice(_METHODS[:6]), draw.choice(_PATHS[:3])
    fields, body = (
        [draw.choice((b"Host: web", b"Host: web", b"host:a:80")), *draw.choice(_ASKED)],
        b"",
    )
    if sound:
        body = draw.choice(_BODIES[:4])
        if body[:1] == b"5":
            fields.append(b"Transfer-Encoding: chunked")
        elif body:
            fields.append(b"Content-Length: %d" % len(body))
    else:
        method, path = draw.choice(_METHODS), draw.choice(_PATHS)
        fields = draw.sample(_FIELDS, draw.randint(0, 4)) + fields[: draw.randint(0, 3)]
        body = draw.choice(_BODIES)
    return b"\r\n".join([b"%s %s %s" % (method, path, version), *fields, b"", body])


def mutated(draw: random.Random, data: bytes) -> bytes:
    at = draw.randrange(len(data) + 1)
    kind = draw.randrange(4)
    if kind == 0:
        return data[:at] + draw.choice(_HOSTILE) + data[at:]
    if kind == 1:
        return data[:at] + data[at + draw.randint(1, 4) :]
    if kind == 2:
        return data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :]
    end = min(len(data), at + draw.randint(1, 20))
    return data[:end] + data[at:end] + data[end:]


def pieces(draw: random.Random, data: bytes) -> Sequence[bytes]:
    """Cut at random points."""
    cuts = sorted(draw.randrange(len(data) + 1) for _ in range(draw.choice((0, 0, 1, 2, 3))))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
