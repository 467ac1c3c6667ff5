"""Nodes of a cluster without agents, and what stands for the proxy on them: with real traffic.

Their worlds are compiled and put into the kernel as an agent would; `proxied` is what routes would
come to. Everything ends with the test.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tests.unit.compile.objects import world_of
from tulle.abi import Event, Reason
from tulle.agent.mesh import underlay_of
from tulle.agent.network import Network
from tulle.agent.options import NodeOptions
from tulle.agent.workloads import Workloads
from tulle.compile import Compiled, Ids, compile_world
from tulle.compile.diff import diff
from tulle.compile.services import with_addresses
from tulle.edges import enter, netns
from tulle.edges.bpf.datapath import Datapath
from tulle.edges.cgroup import NodeCgroup, find_mount
from tulle.lab import node
from tulle.lab.cluster import Cluster
from tulle.model.routing import Proxied
from tulle.model.world import Settings, Workload

PROXY = Path(__file__).with_name("proxying.py")
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}
Routing = Literal["native", "vxlan"]


class SteeredNode:
    def __init__(self, cluster: Cluster, name: str, routing: Routing) -> None:
        paths, member = node.create_in(cluster, name)
        assert paths.netns
        self.name, self.netns, self.cidrs = name, paths.netns, member.cidrs
        self.cgroups = NodeCgroup(find_mount(), paths.cgroup)
        self.proxy_cgroup = self.cgroups.make("proxy")
        self._workloads = Workloads(paths.state, self.cgroups, paths.netns, member.cidrs)
        settings = Settings(routing=routing)
        options = NodeOptions(name, member.cidrs, uplink="eth0", settings=settings)
        self.settings, self.network = settings, Network(paths.netns, options)
        self.network.refresh()
        assert not self.network.problems
        self.datapath = Datapath(paths.bpffs)
        self.datapath.attach_sockets(self.cgroups.root)
        self.workloads: dict[str, Workload] = {}
        self.compiled: Compiled | None = None
        self._children: list[subprocess.Popen[str]] = []

    def run(self, name: str) -> Workload:
        made = self._workloads.create("shop", name, {"app": name})
        self._workloads.set_mtu(self.network.workload_mtu)
        self.workloads[name] = made
        self._attach(made.ifindex, "pod")
        return made

    def _attach(self, ifindex: int, role: Any) -> None:
        netns.run_in(self.netns, partial(self.datapath.attach, ifindex, role))

    def place(self, name: str) -> Path:
        """A namespace: a workload's, or the node's own under "node"."""
        if name == "node":
            return self.netns
        return self._workloads.place(self.workloads[name].key).netns

    def force(self, text: str, others: Sequence[SteeredNode], proxied: frozenset[Proxied]) -> None:
        """Put these objects in force, with the other nodes as they are now."""
        own = self.network.node()
        nodes = {item.name: item.network.published() for item in others}
        nodes = {key: replace(item, underlay=underlay_of(item, own)) for key, item in nodes.items()}
        remote = {
            item.name: {
                made.key: replace(made, node=item.name, ifindex=0)
                for made in item.workloads.values()
            }
            for item in others
        }
        world = world_of(*self.workloads.values(), text=text, node=own)
        world = replace(world, nodes=nodes, remote=remote, settings=self.settings)
        world, allocated = with_addresses(world)
        assert not allocated.refusals
        ids = self.compiled.ids if self.compiled else Ids()
        self.compiled = compile_world(world, ids, proxied=proxied)
        assert not self.compiled.refusals
        self.network.steer(self.compiled.steered)
        self.datapath.configure(self.network.state(self.proxy_cgroup))
        self.datapath.apply(diff({"kernel": self.datapath.read()}, self.compiled.image))
        self.network.connect(own, nodes)
        for ifindex, role in self.network.interfaces.items():
            self._attach(ifindex, role)

    def proxy(self, *listeners: Mapping[str, Any], cgroup: Path | None = None) -> None:
        """Start one that listens there; it is the node's unless it is in another cgroup."""
        script = [sys.executable, str(PROXY), json.dumps(listeners)]
        self.spawn(*script, cgroup=cgroup or self.proxy_cgroup)
        assert self._children[-1].stdout
        assert self._children[-1].stdout.readline() == "ready\n"

    def spawn(self, *command: str, cgroup: Path) -> subprocess.Popen[str]:
        """A process of the node's own."""
        line = enter.argv(command, netns=str(self.netns), cgroup=str(cgroup))
        pipe = subprocess.PIPE
        child = subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True)
        self._children.append(child)
        return child

    def end_children(self) -> None:
        while self._children:
            child = self._children.pop()
            child.kill()
            child.communicate()

    def events(self) -> list[Event]:
        """Since the last call."""
        return [Event.unpack(raw) for raw in self.datapath.events()]

    def reasons(self) -> set[Reason]:
        return {Reason(event.verdict.reason) for event in self.events()}

    def rule_of(self, event: Event) -> str:
        """The policy's rule that decided, in words."""
        assert self.compiled
        numbers = event.verdict.egress_rule, event.verdict.ingress_rule
        named = [self.compiled.rules[number] for number in numbers if number]
        return str(next(rule for rule in named if rule.policy))

    def close(self) -> None:
        self.end_children()
        self.datapath.close()


class Field:
    """Nodes `a` and `b`, and the host outside that is their gateway."""

    def __init__(self, cluster: Cluster, routing: Routing, tag: str) -> None:
        self.cluster, self._sockets = cluster, list[socket.socket]()
        self.a = SteeredNode(cluster, f"a-{tag}", routing)
        self.b = SteeredNode(cluster, f"b-{tag}", routing)
        self.text, self.proxied = "", frozenset[Proxied]()

    def force(self, text: str | None = None, proxied: frozenset[Proxied] | None = None) -> None:
        self.text = self.text if text is None else text
        self.proxied = self.proxied if proxied is None else proxied
        self.a.force(self.text, [self.b], self.proxied)
        self.b.force(self.text, [self.a], self.proxied)

    def route_outside(self, address: str, to: SteeredNode) -> None:
        """The host outside finds an address at a node."""
        uplink = to.network.uplink
        assert uplink
        version = 6 if ":" in address else 4
        via = next(str(item) for item in uplink.addresses if item.version == version)
        command = ["ip", f"-{version}", "route", "replace", address, "via", via]
        run = partial(subprocess.run, command, check=True)
        netns.run_in(self.cluster.fabric, run)

    def open(self, where: Path, version: int, kind: str) -> socket.socket:
        """A socket in a namespace; it waits 3 s at most, and ends with the test."""
        made = netns.run_in(where, partial(socket.socket, FAMILIES[version], KINDS[kind]))
        made.settimeout(3)
        self._sockets.append(made)
        return made

    def serve(self, where: Path, address: str, kind: str = "TCP", port: int = 0) -> socket.socket:
        server = self.open(where, 6 if ":" in address else 4, kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        if kind == "TCP":
            server.listen()
        return server

    def connect(self, where: Path, address: str, port: int, kind: str = "TCP") -> socket.socket:
        client = self.open(where, 6 if ":" in address else 4, kind)
        client.connect((address, port))
        return client

    def keep(self, accepted: socket.socket) -> socket.socket:
        accepted.settimeout(3)
        self._sockets.append(accepted)
        return accepted

    def clear(self) -> None:
        """Between tests: no socket, no process, no event is left."""
        while self._sockets:
            self._sockets.pop().close()
        for item in (self.a, self.b):
            item.end_children()
            item.events()

    def close(self) -> None:
        self.clear()
        self.a.close()
        self.b.close()


def address_of(node: SteeredNode, name: str, version: int) -> str:
    return next(str(i) for i in node.workloads[name].addresses if i.version == version)


def ask(client: socket.socket, line: str = "hello") -> list[str]:
    """The ends as the proxy sees them: client's address and port, asked address and port."""
    client.sendall(f"{line}\n".encode())
    got = b""
    while got.count(b"\n") < 2:
        chunk = client.recv(4096)
        assert chunk, got
        got += chunk
    ends, echoed = got.decode().splitlines()
    assert echoed == line
    return ends.split()


@contextmanager
def field_of(name: str, routing: Routing) -> Iterator[Field]:
    tag = f"{name}-{os.getpid()}"
    cluster, field = Cluster(f"st{os.getpid() % 100000}{routing[0]}"), None
    names = f"a-{tag}", f"b-{tag}"
    try:
        field = Field(cluster, routing, tag)
        yield field
    finally:
        if field:
            field.close()
        for item in names:
            node.destroy(item)
    assert not set(names) & set(node.nodes())
    assert not cluster.directory.exists()
