"""Packets of a workload whose HTTP is told of, and what the kernel says of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from tests.datapath import frames
from tests.datapath.kernel import Kernel, kernel_of
from tests.unit.compile.objects import workload, world_of
from tulle import abi

CLIENT, SERVER = "10.0.0.1", "203.0.113.7"
_START = 0xFFFFFF00  # so that numbers wrap


def segments(
    draw: random.Random, data: bytes, whole: int = 0, largest: int = 1400
) -> Iterator[tuple[int, bytes]]:
    """Places and bytes, cut anywhere but in the first ones; now and then some come again."""
    at = 0
    while at < len(data):
        size = draw.choice((largest, largest, 100, 9, draw.randint(1, 40)))
        size = size if at else max(size, whole)
        yield at, data[at : at + size]
        at += size
        if draw.random() < 0.1:
            back = draw.randint(1, min(at, 200))
            yield at - back, data[at - back : at + draw.randint(0, 50) - back]


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

    def say(
        self, draw: random.Random, who: str, data: bytes, late: float = 0, *, whole: int = 0
    ) -> None:
        """`late`: how often a segment is lost, and comes behind all others."""
        missed = []
        for place, piece in segments(draw, data, whole):
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


@contextmanager
def watching(name: str) -> Iterator[Kernel]:
    with kernel_of(name) as made:
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


def events_of(kernel: Kernel) -> list[abi.HttpEvent]:
    return [abi.HttpEvent.unpack(raw) for raw in kernel.datapath.requests()]
