"""Requests that are judged in packets, from clients with a TCP of their own.

Whatever order, overlap or disguise their segments come in: a server gets allowed requests and
nothing else, who sends again what was not acknowledged is answered, and nothing is left behind.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count

import pytest

from tests.e2e import raw_tcp
from tests.e2e.conftest import Clusters
from tests.e2e.conversations import (
    DENIED,
    OTHER_PATH,
    Conversation,
    Segment,
    by_chance,
    chunked,
    get,
    post,
    wrong_with,
)
from tests.e2e.mesh import Json, wait_for
from tests.e2e.reading import PORT, Field, reading

SEED = int(os.environ.get("TULLE_SEGMENTS_SEED", "1"))
CONVERSATIONS = int(os.environ.get("TULLE_SEGMENTS", "150"))
places = pytest.mark.parametrize(("where", "family"), [("here", 4), ("there", 6)])
_STATUS = re.compile(r"HTTP/1\.1 (\d{3}) ")


@pytest.fixture(scope="module")
def field(clusters: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    place = tmp_path_factory.mktemp("seen")
    with clusters("segments", ("a", "b"), "--routing", "vxlan", "--stream") as cluster:
        made = Field.of(cluster, place)
        for backend in (made.here, made.there):
            backend.file.mkdir()
        made.start()
        cluster.apply(reading("web", "web", [{"method": "GET|POST", "path": "/public/.*"}]))
        yield made


_ports = count(raw_tcp.PORTS[0])


def hold(field: Field, where: str, family: int, asked: Sequence[Conversation]) -> list[str]:
    """What was wrong with them."""
    backend = field.at(where)
    ports = [next(_ports) for _ in asked]
    words = (str(raw_tcp.__file__), backend.addresses[family], str(PORT))
    speaker = field.client.mesh.spawn("client", sys.executable, *words)
    lines = (json.dumps(one.to_json(port)) for one, port in zip(asked, ports, strict=True))
    out, _ = speaker.communicate("\n".join(lines) + "\n", timeout=600)
    said = [json.loads(line) for line in out.splitlines()]
    with suppress(AssertionError):
        wait_for(lambda: not set(ports) & _left(field, where).keys(), timeout_s=5)
    left, faults = _left(field, where), []
    for one, port, result in zip(asked, ports, said, strict=True):
        file = backend.file / str(port)
        reached = file.read_bytes() if file.exists() else b""
        if fault := (
            wrong_with(reached, one.stream) or _unanswered(one, result, reached) or left.get(port)
        ):
            faults.append(f"{one.name} ({port}): {fault}")
    return faults


def _left(field: Field, where: str) -> dict[int, str]:
    """By ports of clients: sockets that the server still has for them."""
    shown = field.at(where).mesh.exec(
        field.at(where).name, "ss", "-Htn", "state", "connected", "exclude", "time-wait"
    )
    return {int(line.split()[-1].rpartition(":")[2]): line for line in shown.splitlines()}


def _unanswered(one: Conversation, said: Json, reached: bytes) -> str:
    answers = tuple(map(int, _STATUS.findall(said["data"])))
    if one.calm and (answers != one.answers or said["odd"]):
        return (
            f"answered {answers} for {one.answers}, {said['end']!r}, {said['odd']},"
            f" {said['acked']} of {len(one.stream)}, {len(reached)} reached it"
        )
    if one.calm and reached.rstrip(b"x") != reached and len(reached) > len(one.stream):
        return f"{len(reached)} bytes reached it of {len(one.stream)}"
    wrong = [odd for odd in said["odd"] if not odd.startswith("silent")]
    return f"{wrong}" if wrong else ""


def named() -> Iterator[Conversation]:
    head, ok, no = get(), (200,), (200, 403)
    other = head.replace(b"/public/", OTHER_PATH)
    bad, old = {"bad": 1}, {"stamp": -50_000}

    def one(name: str, stream: bytes, answers: tuple[int, ...], *segments: Segment) -> Conversation:
        return Conversation(name, stream, answers, list(segments))

    def mad(name: str, stream: bytes, *segments: Segment) -> Conversation:
        return Conversation(name, stream, ok, list(segments), calm=False)

    def pieces(data: bytes, *where: int, **how: int) -> list[Segment]:
        ends = (*where, len(data))
        return [Segment(at, data[at:end], how) for at, end in zip((0, *where), ends, strict=True)]

    yield one("whole", head, ok)
    yield one("denied", DENIED, (403,))
    yield one("denied twice", DENIED, (403,), *[Segment(0, DENIED)] * 3)
    yield one("denied behind allowed", head + DENIED, no)
    yield one("byte by byte", head, ok, *pieces(head, *range(1, len(head))))
    yield one("denied byte by byte", DENIED, (403,), *pieces(DENIED, *range(1, len(head))))
    yield one("the end first", head, ok, *reversed(pieces(head, 9, 20)))
    yield one("kept parts again", head, ok, *pieces(head, 9, 20), *pieces(head, 9, 20))
    yield one("across what was kept", head, ok, Segment(0, head[:20]), Segment(9, head[9:]))
    many = b"".join(get(b"/public/%d" % number) for number in range(20))
    yield one("twenty at once", many, ok * 20, *cut_every(many, 37))
    yield one("twenty and a denied one", many + DENIED, (*ok * 20, 403), *cut_every(many, 99))
    body = post(DENIED * 200)
    yield one("a body in any order", body, ok, *cut_every(body, 1000, 1, 4, 3, 2, 0, 5, 7, 6))
    yield one("chunks", chunked(DENIED, b"x" * 3000) + DENIED, no)
    hole = post(DENIED * 9) + DENIED
    late = cut_every(hole, 60)
    yield one("a hole before a denied request", hole, no, late[0], *late[2:])
    several = chunked(*[b"c" * 900] * 9)
    lost = cut_every(several, 1000, 3, 5, 0)
    lost[2].how = lost[3].how = bad
    yield one("chunks lost behind", several, ok, *lost)
    yield one("lost behind", head, ok, Segment(0, head, bad))
    parts = pieces(head, 9, 20)
    parts[2].how = old
    yield one("lost behind, in parts", head, ok, *parts)
    both = get() + head
    yield one("lost with a part", both, ok * 2, Segment(0, both[:50], bad), Segment(50, both[50:]))
    long = get(extra=b"X-Long: " + b"x" * 3000 + b"\r\n")
    first, second, last = cut_every(long, 1300)
    last.how = old
    yield mad("a long one lost behind", long, first, second, last)
    yield one("lost with its body", body, ok, Segment(0, body[:1300], bad))
    yield one("two lost behind", head + get(), ok * 2, *pieces(head + get(), len(head), **bad))
    yield one("old timestamp", head, ok, Segment(0, head, old))
    yield mad("other bytes for lost ones", head, Segment(0, head, bad), Segment(0, other))
    yield mad("other bytes for old ones", head, Segment(0, head, old), Segment(0, other))
    yield mad("other bytes for kept ones", head, Segment(0, head[:9]), Segment(0, other))
    yield mad("a shorter body", body, Segment(0, body[:900], bad), Segment(0, post(b"")))
    yield mad("beyond the window", head, Segment(1 << 20, other), Segment(0, head))
    far = post(b"")[:-5] + b"9" * 17 + b"\r\n\r\n"
    ahead = [Segment(at, b"x") for at in (0x55000000, 0xAA000000, (1 << 32) - 1)]
    yield mad("numbers that come again", head, Segment(0, far, bad), *ahead, Segment(0, other))
    yield mad("wrong acknowledgement", head, Segment(0, head, {"ack": 4000}), Segment(0, other))
    yield mad("urgent", head, Segment(0, head, {"urgent": 5}))
    yield mad("an end in a head", head, Segment(0, head[:9], {"flags": 0x19}), Segment(9, head[9:]))
    yield mad(
        "an end, then more", head, Segment(0, head, {"flags": 0x19}), Segment(len(head), other)
    )
    yield mad("SYN with bytes", head, Segment(-1, other, {"flags": 2}), Segment(0, head))
    yield mad("RST with bytes", head, Segment(0, other, {"flags": 4}), Segment(0, other))


def cut_every(data: bytes, size: int, *order: int) -> list[Segment]:
    """The first ones in this order."""
    found = [Segment(at, data[at : at + size]) for at in range(0, len(data), size)]
    return [found[at] for at in order] + found[len(order) :]


@places
def test_what_a_tcp_could_do(field: Field, where: str, family: int) -> None:
    faults = hold(field, where, family, list(named()))
    assert not faults, "\n".join(faults)


@places
def test_what_nobody_thought_of(field: Field, where: str, family: int) -> None:
    """TULLE_SEGMENTS with a seed of the day makes a night's run."""
    asked = [by_chance(SEED + number) for number in range(CONVERSATIONS)]
    faults = hold(field, where, family, asked)
    assert not faults, "\n".join(faults)
