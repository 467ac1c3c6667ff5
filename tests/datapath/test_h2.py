"""HTTP/2 as packets show it, against those who know it: whatever is told of is right."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.datapath import frames
from tests.datapath.h2_streams import Connection, Request, segments
from tests.datapath.kernel import Kernel, kernel_of
from tests.unit.compile.objects import workload, world_of
from tulle import abi
from tulle.abi import HttpLimit, TalkKind

SEED = int(os.environ.get("TULLE_H2_SEED", "1"))
CONNECTIONS = int(os.environ.get("TULLE_H2_CONNECTIONS", "150"))
CLIENT, SERVER = "10.0.0.1", "203.0.113.7"
_START = 0xFFFFFF00  # so that numbers wrap


class Wire:
    """One connection's packets, through the hooks of the client's interface."""

    def __init__(self, kernel: Kernel, port: int) -> None:
        self.kernel, self.port = kernel, port
        self.at = {"client": _START, "server": _START + 7777}
        self.send("client", 0, b"", frames.SYN, -1)
        self.send("server", 0, b"", frames.SYN | frames.ACK, -1)

    def send(
        self, who: str, place: int, data: bytes, flags: int = frames.ACK, less: int = 0
    ) -> None:
        """`place` counts from what has been sent for good."""
        other = "server" if who == "client" else "client"
        seq, ack = (self.at[who] + place + less) % 2**32, self.at[other] % 2**32
        ports = (self.port, 80) if who == "client" else (80, self.port)
        ends = (CLIENT, SERVER) if who == "client" else (SERVER, CLIENT)
        segment = frames.tcp(*ports, flags, seq=seq, ack=ack) + data
        hook = "from_workload" if who == "client" else "to_workload"
        self.kernel.pass_frame(hook, frames.ether(frames.ipv4(*ends, frames.TCP, segment)))

    def say(self, draw: random.Random, who: str, data: bytes, late: float) -> None:
        """`late`: how often a segment is lost, and comes behind all others."""
        missed = []
        for place, piece in segments(draw, data):
            if place and draw.random() < late:
                missed.append((place, piece))
            else:
                self.send(who, place, piece)
        for place, piece in missed:
            self.send(who, place, piece)
        self.at[who] += len(data)

    def end(self) -> None:
        self.send("server", 0, b"", frames.FIN | frames.ACK)
        self.send("client", 0, b"", frames.FIN | frames.ACK)


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with kernel_of("h2") as made:
        labels = {"tulle.io/observe": "http"}
        made.move_to(world_of(workload("client-1", app="client", **labels)))
        yield made


@contextmanager
def counted(kernel: Kernel) -> Iterator[list[int]]:
    """By class of status, what is added meanwhile."""
    before, after = _classes(kernel), [0] * 7
    yield after
    after[:] = [now - was for now, was in zip(_classes(kernel), before, strict=True)]


def _classes(kernel: Kernel) -> list[int]:
    found = [0] * 7
    for key, count in kernel.datapath.request_counts().items():
        found[key.status_class] += count.requests
    return found


def _events(kernel: Kernel) -> list[abi.HttpEvent]:
    return [abi.HttpEvent.unpack(raw) for raw in kernel.datapath.requests()]


def _agrees(event: abi.HttpEvent, request: Request) -> bool:
    """What is not seen is right, too."""
    kept = (
        (event.method, event.method_length, request.method, 16),
        (event.path, event.path_length, request.path, HttpLimit.PATH_KEPT),
        (event.host, event.host_length, request.host, HttpLimit.HOST_KEPT),
    )
    return event.status in (0, request.status) and all(
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
    told = whole = statuses = due = 0
    _events(kernel)
    for number in range(CONNECTIONS):
        made = Connection(draw).make()
        wire = Wire(kernel, 1024 + number % 60000)
        late = draw.choice((0, 0, 0, 0.05))
        with counted(kernel) as classes:
            for client, server in made.turns:
                wire.say(draw, "client", client, late)
                wire.say(draw, "server", server, late)
            wire.end()
        where = (SEED, number)
        missing = len(made.requests) - sum(classes)
        assert missing >= 0 if late else missing == 0, (where, classes, made.requests)
        for status in range(1, 6):
            due_of = sum(item.status // 100 == status for item in made.requests)
            assert classes[status] <= due_of, (where, classes)
        events = _events(kernel)
        lost = [event for event in events if event.kind == TalkKind.HTTP2]
        events = [event for event in events if event.kind == TalkKind.H2_REQUEST]
        assert len(lost) <= bool(late), where
        assert _pairs(events, made.requests), (where, events, made.requests)
        whole += sum(
            all((event.method_length, event.path_length, event.host_length)) for event in events
        )
        told += len(events)
        if not late:
            due += sum(item.status != 0 for item in made.requests)
            statuses += sum(classes[1:])
    assert whole > 0.7 * told > 0 and statuses > 0.85 * due > 0
