"""A lab node without an agent: real workloads, real hooks, and sockets of any of its namespaces."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.unit.compile.objects import world_of
from tulle.abi import Event, Reason
from tulle.agent.addresses import node_addresses
from tulle.agent.workloads import Workloads
from tulle.compile import Compiled, Ids, compile_world
from tulle.compile.diff import diff
from tulle.edges import netns
from tulle.edges.bpf.datapath import Datapath
from tulle.edges.cgroup import NodeCgroup, find_mount
from tulle.lab import node
from tulle.model.paths import NodePaths
from tulle.model.world import Node

T = TypeVar("T")
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
ETH_P_ALL = 3
GRACE_S = 0.1  # for what should not arrive


class Wire:
    """`names` become workloads of namespace `shop`, labelled `app: NAME`; "node" is the node."""

    def __init__(self, paths: NodePaths, names: tuple[str, ...], policies: str) -> None:
        cgroups = NodeCgroup(find_mount(), paths.cgroup)
        self._workloads = Workloads(paths.state, cgroups, paths.netns)
        made = [self._workloads.create("shop", name, {"app": name}) for name in names]
        assert paths.netns
        self._netns: dict[str, Path] = {"node": paths.netns}
        self._netns |= {item.name: self._workloads.place(item.key).netns for item in made}
        self._addresses = {item.name: item.addresses for item in made}
        self._addresses["node"] = node_addresses()
        self.datapath = Datapath(paths.bpffs)
        for item in made:
            netns.run_in(paths.netns, partial(self.datapath.attach, item.ifindex, "pod"))
        world = world_of(*made, text=policies, node=Node(addresses=node_addresses()))
        self._load(compile_world(world, Ids()))
        self._sockets: list[socket.socket] = []

    def _load(self, compiled: Compiled) -> None:
        self.datapath.apply(diff(self.datapath.read(), compiled.image))

    def at(self, name: str, version: int) -> str:
        return next(str(item) for item in self._addresses[name] if item.version == version)

    def open(self, name: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket inside a workload or the node; it waits 2 s at most, and ends with the test."""
        make = partial(socket.socket, family, kind, protocol)
        made = netns.run_in(self._netns[name], make)
        made.settimeout(2)
        self._sockets.append(made)
        return made

    def listen(self, name: str, version: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A server on a free port."""
        server = self.open(name, FAMILIES[version], kind)
        server.bind((self.at(name, version), 0))
        if kind == socket.SOCK_STREAM:
            server.listen()
        return server

    def connect(self, name: str, server: socket.socket) -> tuple[socket.socket, socket.socket]:
        """A TCP connection to a server: the client's end and the server's."""
        client = self.open(name, server.family, socket.SOCK_STREAM)
        client.connect(server.getsockname()[:2])
        accepted, _ = server.accept()
        accepted.settimeout(2)
        self._sockets.append(accepted)
        return client, accepted

    def link(self, name: str) -> socket.socket:
        """The workload's interface itself: sends and receives frames."""
        raw = self.open(name, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        raw.bind(("eth0", ETH_P_ALL))
        return raw

    def run(self, name: str, work: Callable[[], T]) -> T:
        """Something inside a workload or the node."""
        return netns.run_in(self._netns[name], work)

    def events(self) -> list[Event]:
        """Since the last call."""
        return [Event.unpack(raw) for raw in self.datapath.events()]

    def reasons(self) -> set[Reason]:
        """Of the events since the last call."""
        return {Reason(event.verdict.reason) for event in self.events()}

    def close_sockets(self) -> None:
        while self._sockets:
            self._sockets.pop().close()


def received(link: socket.socket) -> list[bytes]:
    """Frames that have come in, after a moment for those that should not."""
    frames = []
    link.settimeout(GRACE_S)
    with suppress(TimeoutError):
        while True:
            frame, where = link.recvfrom(65536)
            if where[2] != socket.PACKET_OUTGOING:
                frames.append(frame)
    return frames


@contextmanager
def wire_of(name: str, names: tuple[str, ...], policies: str) -> Iterator[Wire]:
    name = f"{name}-{os.getpid()}"
    try:
        wire = Wire(node.create(name), names, policies)
        yield wire
        wire.close_sockets()
        wire.datapath.close()
    finally:
        node.destroy(name)
    assert name not in node.nodes()
    assert not NodePaths(name).bpffs.exists()
    assert not (find_mount() / f"tulle-{name}").exists()
