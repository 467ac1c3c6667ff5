"""The kernel's parser of HTTP against the strict reference, `explain`, and what is published."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest

from tests.datapath.http_reference import Fields, Head, read
from tests.datapath.streams import Parser, as_kept, parser, pieces, stream
from tests.unit.compile.explain.request_rows import ruled
from tests.unit.compile.explain.town import asked, policy, town
from tulle.abi import HttpRefusal
from tulle.compile import Ids, compile_world
from tulle.compile.explain.cilium_requests import allowing
from tulle.compile.explain.kernel_requests import unreadable
from tulle.compile.explain.requests import Request
from tulle.compile.http import Held, hold
from tulle.compile.rules import HeaderTest, HttpRule, Layer7
from tulle.model.verdict import RequestRule
from tulle.model.world import Settings, World

SEED = int(os.environ.get("TULLE_HTTP_SEED", "1"))
CNP = "CiliumNetworkPolicy"
SETS = 40  # of rules
STREAMS = int(os.environ.get("TULLE_HTTP_STREAMS", "50000"))


@pytest.fixture(scope="module")
def kernel() -> Iterator[Parser]:
    with parser("http") as found:
        yield found


class Rules(NamedTuple):
    """Two policies' rules of one port, as `explain` and as the kernel have them."""

    world: World
    requests: tuple[RequestRule, ...]
    held: Held
    names: tuple[str, ...]
    asked: frozenset[str]  # headers

    @classmethod
    def drawn(cls, draw: random.Random) -> Rules:
        items = [policy(f"shop/{name}", ruled(_rules(draw)), CNP) for name in "ab"]
        world = replace(town(*items), settings=Settings(stream=True))
        (found,) = compile_world(world, Ids()).memo.isolation.rule_sets.values()
        requests = asked("shop/web > shop/db", *items).requests
        assert found.held
        return cls(world, requests, found.held, found.rules, found.held.asked)

    def explained(self, request: Request) -> int:
        """The place of the rule that allows it, -1 if none does, -2 if it cannot be read."""
        if unreadable(request, self.asked):
            return -2
        name = allowing(self.world, self.requests, request)
        return self.names.index(name) if name else -1


def _rules(draw: random.Random) -> str:
    """What a map can hold, of the words that streams use."""
    words = {
        "method": ("'GET'", "'POST|PUT'", "'(DEL|X)ETE'", "'DELETE'"),
        "path": (
            "'/'",
            "'/a'",
            "'/public/.*'",
            "'/.*'",
            "'/a|/a%20b'",
            "'/public/b\\?q=1'",
            "'/\\.\\.\\.'",
        ),
        "host": ("'web'", "'a:80'", "'web(:80|)'", "'a:80|web'"),
        "headers": ("[X-Role]", "['X-Role: reader']", "['X-Tier 1', X-Role]", "['X-Tier: 2']"),
        "headerMatches": ("[{name: x-tier, value: '1'}]", "[{name: X-Role}]"),
    }
    rules = []
    for _ in range(draw.randint(1, 3)):
        parts = {name: draw.choice(words[name]) for name in words if draw.random() < 0.35}
        said = (f"{key}: {text}" for key, text in parts.items())
        rules.append("{" + ", ".join(said) + "}")
    return ", ".join(rules)


def _request(head: Head, fields: Fields) -> Request:
    texts = [(name.decode(), _text(value)) for name, value in fields if name.lower() != b"host"]
    return Request(head.method.decode(), _text(head.target), _text(head.host), tuple(texts))


def _first(data: bytes) -> Request | None:
    """The first head as it comes, right or wrong; None if it is no HTTP/1.1 with one host."""
    lines, end, _ = data.partition(b"\r\n\r\n")
    start, *rest = lines.split(b"\r\n")
    words, fields = start.split(b" "), [line.partition(b":") for line in rest]
    hosts = [value for name, _, value in fields if name.lower() == b"host"]
    if not end or len(words) != 3 or words[2] != b"HTTP/1.1" or len(hosts) != 1:
        return None
    if not all(colon for _, colon, _ in fields):
        return None
    headers = [
        (_text(name), _text(value.strip(b" \t")))
        for name, _, value in fields
        if name.lower() != b"host"
    ]
    host = _text(hosts[0].strip(b" \t"))
    return Request(_text(words[0]), _text(words[1]), host, tuple(headers))


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def test_kernel_reference_and_explain_say_the_same(kernel: Parser) -> None:
    """Of what is read, of what is refused, and of which rule allows what.

    TULLE_HTTP_STREAMS=1000000 with a seed of the day is the nightly run.
    """
    draw = random.Random(SEED)
    sets = [Rules.drawn(draw) for _ in range(SETS)]
    for number, rules in enumerate(sets, 1):
        kernel.hold(rules.held.rows(number))
    seen: Counter[str] = Counter()
    for number in range(STREAMS):
        rules, data = sets[number % SETS], stream(draw)
        cut, names = pieces(draw, data), {name.encode() for name in rules.asked}
        said, theirs = read(data, names), kernel.read(cut, number % SETS + 1)
        ours = as_kept(said)
        assert ours[:2] == theirs[:2], (SEED, number, cut, ours, theirs)
        # Of a last line that is not whole the kernel may know already.
        expected = ours.refusal or (theirs.refusal and read(data + b"\r\n\r\n", names).refusal)
        assert (expected is None) == (theirs.refusal is None), (number, cut, ours, theirs)
        seen.update(refused=theirs.refusal is not None, ended=theirs.ended)
        for head, fields, allowed in zip(said.heads, said.fields, kernel.allowed, strict=True):
            if not head.host:  # of HTTP/1.0, which `explain` does not speak of
                continue
            explained = rules.explained(_request(head, fields))
            assert explained == allowed, (SEED, number, head, fields, rules.names)
            seen["allowed" if allowed >= 0 else "denied"] += 1
        if not said.heads and (first := _first(data)):
            assert rules.explained(first) == -2, (SEED, number, first)
            seen["explained"] += 1
    assert seen["ended"] > STREAMS / 2 and seen["refused"] > STREAMS / 10
    assert min(seen["allowed"], seen["denied"]) > STREAMS / 6 and seen["explained"] > STREAMS / 20


def test_conditions_on_headers_are_met_as_rules_word_them(kernel: Parser) -> None:
    """In any case and with any blanks around, but not by half; if there are several, by all."""
    names, values = ("x", "x-tier", "n" * 32), ("gold", "a b\tc", "v" * 64)
    tests = [HeaderTest(name, value) for name in names for value in (None, *values)]
    rule = HttpRule("r", headers=tuple(tests))
    found = hold(True, [("", Layer7("", (rule,)))], audit=False, outgoing=False, host=False)
    assert isinstance(found, Held)
    kernel.hold(found.rows(1000))
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
        assert kernel.met(pieces(draw, data), 1000) == expected, (fields, around)
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
