"""The kernel's parser of HTTP against the strict reference, and against what is published."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.datapath.http_reference import read
from tests.datapath.streams import Parser, as_kept, parser, pieces, stream
from tulle.abi import HttpRefusal
from tulle.compile.http import Held, hold
from tulle.compile.rules import HeaderTest, HttpRule, Layer7

SEED = int(os.environ.get("TULLE_HTTP_SEED", "1"))
STREAMS = int(os.environ.get("TULLE_HTTP_STREAMS", "50000"))


@pytest.fixture(scope="module")
def kernel() -> Iterator[Parser]:
    with parser("http") as found:
        yield found


def test_kernel_and_reference_read_the_same(kernel: Parser) -> None:
    """TULLE_HTTP_STREAMS=1000000 with a seed of the day is the nightly run."""
    draw = random.Random(SEED)
    allowed = refused = 0
    for number in range(STREAMS):
        data = stream(draw)
        cut = pieces(draw, data)
        ours, theirs = as_kept(read(data)), kernel.read(cut)
        assert ours[:2] == theirs[:2], (SEED, number, cut, ours, theirs)
        # Of a last line that is not whole the kernel may know already.
        expected = ours.refusal or (theirs.refusal and read(data + b"\r\n\r\n").refusal)
        assert (expected is None) == (theirs.refusal is None), (number, cut, ours, theirs)
        allowed += theirs.ended
        refused += theirs.refusal is not None
    assert allowed > STREAMS / 2 and refused > STREAMS / 10


def test_conditions_on_headers_are_met_as_rules_word_them(kernel: Parser) -> None:
    """In any case and with any blanks around, but not by half; if there are several, by all."""
    names, values = ("x", "x-tier", "n" * 32), ("gold", "a b\tc", "v" * 64)
    tests = [HeaderTest(name, value) for name in names for value in (None, *values)]
    rule = HttpRule("r", headers=tuple(tests))
    found = hold(True, [("", Layer7("", (rule,)))], audit=False, outgoing=False, host=False)
    assert isinstance(found, Held)
    kernel.headers.update_many(found.rows(7)["http_headers"].items())
    draw, seen = random.Random(SEED), set()
    for _ in range(4000):
        fields = [
            (
                draw.choice((*names, "X-Tier", "n" * 33, "y")),
                draw.choice((*values, "gol", "golden")),
            )
            for _ in range(draw.randint(0, 4))
        ]
        around = draw.choice(("", " ", " \t"))
        lines = "".join(f"{name}:{around}{value}{around}\r\n" for name, value in fields)
        data = b"GET / HTTP/1.1\r\nHost: w\r\n" + lines.encode() + b"\r\n"
        have: dict[str, list[str]] = {}
        for name, value in fields:
            have.setdefault(name.lower(), []).append(value)
        expected = sum(
            1 << place
            for place, (name, value) in enumerate(found.conditions)
            if (got := have.get(name.decode())) and (not value or set(got) == {value.decode()})
        )
        assert kernel.met(pieces(draw, data), 7) == expected, (fields, around)
        seen.add(expected)
    assert len(seen) > 30


_GET = b"GET /a HTTP/1.1\r\nHost: w\r\n"
_POST = b"POST /a HTTP/1.1\r\nHost: w\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (_POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", "BAD_TRANSFER"),
        (_CHUNKED + b"Content-Length: 4\r\n\r\n", "BAD_TRANSFER"),
        (_CHUNKED + b"Transfer-Encoding: identity\r\n\r\n", "BAD_TRANSFER"),
        (_POST + b"Transfer-Encoding: xchunked\r\n\r\n", "BAD_TRANSFER"),
        (_POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", "BAD_LENGTH"),
        (_POST + b"Content-Length: 18446744073709551652\r\n\r\n", "BAD_LENGTH"),
        (_POST + b"Content-Length: +1\r\n\r\n", "BAD_LENGTH"),
        (_POST + b"Content_Length: 1\r\n\r\n", "BAD_NAME"),
        (_POST + b"Transfer-Encoding : chunked\r\n\r\n", "BAD_NAME"),
        (b"GET /a HTTP/1.1\nHost: w\n\n", "BAD_LINE"),
        (_GET + b"X: a\n", "BAD_LINE"),
        (_GET + b" folded\r\n", "FOLDED"),
        (_GET + b"X: a\x00\r\n", "BAD_VALUE"),
        (_GET + b"X: a\rb\r\n", "BAD_LINE"),
        (_GET + b"Host: w\r\n\r\n", "BAD_HOST"),
        (b"GET /a HTTP/1.1\r\n\r\n", "BAD_HOST"),
        (_GET + b"Upgrade: h2c\r\n\r\n", "UPGRADES"),
        (_GET + b"Upgrade: websocket, h2c\r\n\r\n", "UPGRADES"),
        (_GET + b"Upgrade: websocket\r\nContent-Length: 1\r\n\r\n", "UPGRADES"),
        (_GET + b"X: " + b"a" * 8192, "TOO_LONG"),
        (_CHUNKED + b"\r\n0x1\r\n", "BAD_CHUNK"),
        (_CHUNKED + b"\r\n1\r\nxx", "BAD_CHUNK"),
        (_CHUNKED + b"\r\n" + b"f" * 16, "BAD_CHUNK"),
        (b"GET http://w/a HTTP/1.1\r\n", "BAD_TARGET"),
        (b"GET /a HTTP/3.0\r\n", "BAD_VERSION"),
        (b"\x16\x03\x01", "BAD_METHOD"),
        *(
            (b"GET " + path + b" HTTP/1.1\r\n", "AMBIGUOUS_PATH")
            for path in (
                *(b"/a/../b", b"/a/./b", b"/a/..", b"//a", b"/%2e%2e/", b"/%41", b"/a%2fb"),
                *(b"/a%5cb", b"/%252e", b"/%c0%ae", b"/%e0%80%af", b"/%00", b"/..;x", b"/..%3bx"),
                *(b"/%zz", b"/%"),
            )
        ),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(kernel: Parser, sent: bytes, why: str) -> None:
    """The shapes that are published, whole and byte by byte."""
    for cut in ([sent], [bytes([byte]) for byte in sent]):
        assert kernel.read(cut).refusal is HttpRefusal[why]
