"""HTTP/2 as packets show it, against those who know it: whatever is told of is right."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.datapath.h2_reference import Asked, read
from tests.datapath.h2_streams import PREFACE, Connection, Request
from tests.datapath.kernel import Kernel
from tests.datapath.watched import Wire, counted, events_of, watching
from tulle import abi
from tulle.abi import HttpLimit, TalkKind

SEED = int(os.environ.get("TULLE_H2_SEED", "1"))
PREFACE_LEAST = 5  # of its bytes come in the first packet
CONNECTIONS = int(os.environ.get("TULLE_H2_CONNECTIONS", "150"))


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with watching("h2") as made:
        yield made


def _agrees(event: abi.HttpEvent, request: Request) -> bool:
    """What is not seen is right, too."""
    kept = (
        (event.method, event.method_length, request.method, 16),
        (event.path, event.path_length, request.path, HttpLimit.PATH_KEPT),
        (event.host, event.host_length, request.host, HttpLimit.HOST_KEPT),
    )
    if event.status not in (0, request.status) or event.grpc not in (0, request.grpc):
        return False
    return all(
        not length or (length == len(whole) and text[:length] == whole[:limit])
        for text, length, whole, limit in kept
    )


def _pairs(events: list[abi.HttpEvent], requests: list[Request]) -> bool:
    """Each event may be of a request of its own."""
    taken: dict[int, abi.HttpEvent] = {}

    def place(event: abi.HttpEvent, tried: set[int]) -> bool:
        for at, request in enumerate(requests):
            if at not in tried and _agrees(event, request):
                tried.add(at)
                if at not in taken or place(taken[at], tried):
                    taken[at] = event
                    return True
        return False

    return all(place(event, set()) for event in events)


def test_what_is_told_is_right_and_each_request_counts_once(kernel: Kernel) -> None:
    """TULLE_H2_CONNECTIONS with a seed of the day makes a night's run."""
    draw = random.Random(SEED)
    told = whole = statuses = due = grpc = calls = 0
    events_of(kernel)
    for number in range(CONNECTIONS):
        made = Connection(draw).make()
        wire = Wire(kernel, 1024 + number % 60000)
        late = draw.choice((0, 0, 0, 0.05))
        with counted(kernel) as classes:
            for client, server in made.turns:
                wire.say(draw, "client", client, late, whole=PREFACE_LEAST)
                wire.say(draw, "server", server, late)
            wire.end()
        where = (SEED, number)
        missing = len(made.requests) - sum(classes)
        assert missing >= 0 if late else missing == 0, (where, classes, made.requests)
        for status in range(1, 6):
            due_of = sum(item.status // 100 == status for item in made.requests)
            assert classes[status] <= due_of, (where, classes)
            assert late or not made.plain or classes[status] == due_of, (where, classes)
        events = events_of(kernel)
        lost = [event for event in events if event.kind == TalkKind.HTTP2]
        events = [event for event in events if event.kind == TalkKind.H2_REQUEST]
        assert len(lost) <= bool(late), where
        assert _pairs(events, made.requests), (where, events, made.requests)
        clear = [event.method_length * event.path_length * event.host_length for event in events]
        assert late or not made.plain or all(clear), (where, events)
        whole += sum(map(bool, clear))
        grpc += sum(event.grpc != 0 for event in events)
        calls += sum(item.grpc != 0 for item in made.requests)
        told += len(events)
        if not late:
            due += sum(item.status != 0 for item in made.requests)
            statuses += sum(classes[1:])
    assert whole > 0.7 * told > 0 and statuses > 0.85 * due > 0 and grpc > 0.25 * calls > 0


def _is_of(event: abi.HttpEvent, asked: Asked) -> bool:
    seen = (
        (event.method, event.method_length, asked.methods),
        (event.path, event.path_length, asked.paths),
        (event.host, event.host_length, asked.hosts),
    )
    return all(
        not length or text[:length] in {item[: len(text)] for item in values if len(item) == length}
        for text, length, values in seen
    )


def test_of_what_makes_no_sense_nothing_is_told(kernel: Kernel) -> None:
    """Up to there all is as the reference has it, and in its order."""
    draw = random.Random(SEED)
    compared = odd = 0
    for number in range(CONNECTIONS):
        data = b"".join(client for client, _ in Connection(draw).make().turns)
        for _ in range(draw.choice((1, 1, 2))):
            at = draw.randrange(len(PREFACE), len(data))
            data = data[:at] + draw.choice((b"", b"\0", draw.randbytes(3))) + data[at + 1 :]
        expected, sound = read(data)
        wire = Wire(kernel, 1024 + number % 60000)
        with counted(kernel) as classes:
            wire.say(draw, "client", data, whole=PREFACE_LEAST)
            wire.end()
        events = [event for event in events_of(kernel) if event.kind == TalkKind.H2_REQUEST]
        where = (SEED, number, expected, events)
        if sound:
            assert sum(classes) <= len(expected), where
        odd += not sound
        if len(events) == sum(classes):  # all are told of
            events.sort(key=lambda event: event.time_ns)
            pairs = list(zip(events, expected, strict=False))
            assert all(_is_of(event, asked) for event, asked in pairs), where
            compared += len(pairs)
    assert compared > CONNECTIONS and odd > CONNECTIONS / 4
