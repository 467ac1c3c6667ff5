"""What a client sends in segments of its own making, and what of it may reach a server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.proxy.smuggling import MARKER

HOST = b" HTTP/1.1\r\nHost: web\r\n"
OTHER_PATH = b"/" + MARKER + b"/"  # as long as the one that is allowed
_HEAD = re.compile(
    rb"(GET|POST) /public/[a-z0-9]* HTTP/1\.1\r\nHost: web\r\n"
    rb"(?:X-Long: x*\r\n)?"
    rb"(?:Content-Length: (\d+)\r\n|(Transfer-Encoding: chunked\r\n))?\r\n"
)
_CHUNK = re.compile(rb"([0-9a-f]+)\r\n")


@dataclass
class Segment:
    at: int
    data: bytes
    how: dict[str, int] = field(default_factory=dict)


@dataclass
class Conversation:
    """`segments` are sent as they are; then `stream`, as far as it is not acknowledged.

    `calm`: a TCP might send them so, hence all is answered.
    """

    name: str
    stream: bytes
    answers: tuple[int, ...]
    segments: list[Segment] = field(default_factory=list)
    calm: bool = True

    def to_json(self, port: int) -> dict[str, Any]:
        segments = [[item.at, item.data.hex(), item.how] for item in self.segments]
        return {
            "port": port,
            "segments": segments,
            "stream": self.stream.hex(),
            "answers": len(self.answers),
            "patience_s": 10 if self.calm else 2,
        }


def get(path: bytes = b"/public/a", extra: bytes = b"") -> bytes:
    return b"GET " + path + HOST + extra + b"\r\n"


def post(body: bytes, path: bytes = b"/public/b") -> bytes:
    return b"POST " + path + HOST + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(*parts: bytes) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))
    return b"POST /public/c" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + body


DENIED = get(OTHER_PATH)


def wrong_with(reached: bytes, stream: bytes) -> str:
    """What of it no policy allows. The last request may be in part, as its client said it."""
    at = 0
    while at < len(reached):
        head = _HEAD.match(reached, at)
        if not head and stream.startswith(reached) and OTHER_PATH not in reached[at:]:
            return ""
        if not head:
            return f"{reached[at : at + 200]!r} behind {reached[max(at - 60, 0) : at]!r}"
        at = head.end() + int(head[2] or 0)
        while head[3] and (size := _CHUNK.match(reached, at)):
            at = size.end() + int(size[1], 16) + 2
            if size[1] == b"0":
                break
        if head[3] and at < len(reached) and not reached[:at].endswith(b"\r\n0\r\n\r\n"):
            return "" if re.fullmatch(rb"[0-9a-f]*\r?", reached[at:]) else f"{reached[at:]!r}"
    return ""


# --- by chance ---

Change = Callable[[Random, bytes, list[Segment]], None]


def cut(random: Random, stream: bytes) -> list[Segment]:
    """All of it, in order."""
    segments, at, most = [], 0, random.choice((3, 40, 200, 1300, 1300))
    while at < len(stream):
        size = random.randint(1, most) if len(stream) < most * 60 else 1300
        segments.append(Segment(at, stream[at : at + size]))
        at += size
    return segments


def _put(random: Random, segments: list[Segment], found: Segment) -> None:
    segments.insert(random.randint(0, len(segments)), found)


def _any(random: Random, stream: bytes) -> Segment:
    at = random.randrange(len(stream))
    return Segment(at, stream[at : at + random.choice((1, 20, 300, 1300))])


def swap(random: Random, stream: bytes, segments: list[Segment]) -> None:
    moved = segments.pop(random.randrange(len(segments)))
    _put(random, segments, moved)


def again(random: Random, stream: bytes, segments: list[Segment]) -> None:
    """Also across what was cut, and before its time."""
    _put(random, segments, _any(random, stream))


def lose(random: Random, stream: bytes, segments: list[Segment]) -> None:
    """Behind those who judge."""
    random.choice(segments).how["bad"] = 1


def age(random: Random, stream: bytes, segments: list[Segment]) -> None:
    random.choice(segments).how["stamp"] = -50_000


def other(random: Random, stream: bytes) -> bytes:
    """As long: with denied requests, shorter bodies, shorter chunks."""
    return random.choice(
        (
            stream.replace(b"/public/", OTHER_PATH),
            re.sub(rb"Length: \d", b"Length: 0", stream),
            re.sub(rb"\n[0-9a-f]([0-9a-f]*\r\n)", rb"\n1\1", stream),
        )
    )


def otherwise(random: Random, stream: bytes, segments: list[Segment]) -> None:
    """In the same place."""
    said = other(random, stream)
    found = _any(random, said)
    if random.random() < 0.5:
        chosen = random.choice(segments)
        found = Segment(chosen.at, said[chosen.at : chosen.at + len(chosen.data)])
    _put(random, segments, found)


def replace(random: Random, stream: bytes, segments: list[Segment]) -> None:
    """The server drops the right bytes, and is sent others at once."""
    at = random.randrange(len(segments))
    segments[at].how[random.choice(("bad", "stamp"))] = random.choice((1, -50_000))
    size = len(segments[at].data)
    said = other(random, stream)[segments[at].at :][:size]
    segments.insert(at + 1, Segment(segments[at].at, said))


def say_other(random: Random, stream: bytes, segments: list[Segment]) -> None:
    """Acknowledges what was not said, ends in the midst, urges, opens again."""
    found = _any(random, stream)
    found.how = random.choice(
        (
            {"ack": random.choice((-1, 1, 5, 1000, 1 << 31))},
            {"flags": 0x19},
            {"flags": 0x04},
            {"flags": 0x14},
            {"flags": 0x02},
            {"urgent": random.randint(1, 30)},
            {"flags": 0x08},
        )
    )
    _put(random, segments, found)


CALM: tuple[Change, ...] = (swap, again, again)
HOSTILE: tuple[Change, ...] = (*CALM, lose, age, otherwise, otherwise, replace, say_other)


def _requests(random: Random) -> Iterable[tuple[bytes, int]]:
    for _ in range(random.randint(1, 6)):
        body = random.choice((b"", b"x", DENIED, DENIED * 9, b"y" * random.randint(1, 4000)))
        long = b"X-Long: " + b"x" * random.choice((1, 300, 2000)) + b"\r\n"
        yield random.choice(
            (
                (get(), 200),
                (get(extra=long), 200),
                (post(body), 200),
                (chunked(*filter(None, (body, b"z" * 30))), 200),
            )
        )
    if random.random() < 0.4:
        yield random.choice(((DENIED, 403), (post(DENIED, OTHER_PATH), 403), (b"BAD\r\n\r\n", 400)))


def by_chance(seed: int) -> Conversation:
    random = Random(seed)
    requests = list(_requests(random))
    stream, answers = b"".join(text for text, _ in requests), tuple(code for _, code in requests)
    segments = cut(random, stream)
    calm = random.random() < 0.4
    # Of content that was given in another order nothing is known once the next has begun.
    alone = sum(text.startswith(b"POST") for text, _ in requests) < 2
    for _ in range(random.randint(0, 6) if alone or not calm else 0):
        random.choice(CALM if calm else HOSTILE)(random, stream, segments)
    return Conversation(f"seed {seed}", stream, answers, segments, calm)
