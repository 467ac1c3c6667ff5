"""The program that picks a listener, on sockets of this process."""

from __future__ import annotations

import os
import socket
from collections import Counter
from contextlib import ExitStack

import pytest

from tulle.edges.bpf import elder
from tulle.edges.envoy.listeners import SO_ATTACH_REUSEPORT_EBPF, SOL_SOCKET

CONNECTIONS = 64


def listener(stack: ExitStack, family: socket.AddressFamily, port: int) -> socket.socket:
    made = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
    made.setsockopt(SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
    made.listen(CONNECTIONS)
    made.setblocking(False)
    return made


def taken(sockets: list[socket.socket]) -> Counter[int]:
    """How many connections each of the sockets has got."""
    found: Counter[int] = Counter()
    for place, each in enumerate(sockets):
        while True:
            try:
                each.accept()[0].close()
            except BlockingIOError:
                break
            found[place] += 1
    return found


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_workers_of_the_elder_share_the_connections(family: socket.AddressFamily) -> None:
    """Of ports that connect() chooses, too: they are even as long as any of those is free."""
    with ExitStack() as stack:
        sockets = [listener(stack, family, 0)]
        address = sockets[0].getsockname()
        sockets += [listener(stack, family, address[1]) for _ in range(3)]
        program = elder.load(workers=2)
        stack.callback(os.close, program)
        sockets[-1].setsockopt(SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, program)
        for _ in range(CONNECTIONS):
            client = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            client.connect(address)
        counts = taken(sockets)
    assert set(counts) == {0, 1}
    assert min(counts.values()) >= CONNECTIONS // 8
