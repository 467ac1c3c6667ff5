"""Two plain nodes on one wire, with a workload each, and somebody outside: what a mesh of several
nodes is compared with.

```
client ──veth── node a ──veth── bridge ──veth── node b ──veth── server
10.201.1.2     192.168.201.1   .254: outside   192.168.201.2   10.201.2.2
```
"""

from __future__ import annotations

import os
from typing import Literal

from .namespaces import PREFIX, batch, command, enter, remove_namespace

OUTSIDE_ADDRESS = "192.168.201.254"
NODES = {"a": "192.168.201.1", "b": "192.168.201.2"}
WORKLOADS = {"a": "10.201.1.2", "b": "10.201.2.2"}
VXLAN = "vxlan0"
MTU, VXLAN_MTU = 1500, 1450


class Fabric:
    """Five namespaces; who makes one calls `remove` in the end."""

    def __init__(self, name: str) -> None:
        base = f"{PREFIX}{os.getpid()}-{name}"
        self.outside = f"{base}-out"
        self.nodes = {node: f"{base}-{node}" for node in NODES}
        self.workloads = {node: f"{base}-{node}-pod" for node in NODES}

    def create(self, routing: Literal["native", "vxlan"]) -> None:
        spaces = (self.outside, *self.nodes.values(), *self.workloads.values())
        command("ip", "-batch", "-", stdin="\n".join(f"netns add {space}" for space in spaces))
        batch(
            self.outside,
            "link add bridge type bridge",
            "link set bridge up",
            f"addr add {OUTSIDE_ADDRESS}/24 dev bridge",
        )
        for node in NODES:
            self._add_node(node, VXLAN_MTU if routing == "vxlan" else MTU)
        for node, other in (("a", "b"), ("b", "a")):
            add_route = _over_vxlan if routing == "vxlan" else _over_the_wire
            add_route(self.nodes[node], node, other)

    def _add_node(self, node: str, mtu: int) -> None:
        space, workload = self.nodes[node], self.workloads[node]
        batch(
            self.outside,
            f"link add to-{node} type veth peer name eth0 netns {space}",
            f"link set to-{node} master bridge up",
        )
        batch(
            space,
            "link set lo up",
            "link set eth0 up",
            f"addr add {NODES[node]}/24 dev eth0",
            f"route add default via {OUTSIDE_ADDRESS}",
            f"link add pod mtu {mtu} type veth peer name eth0 mtu {mtu} netns {workload}",
            "link set pod up",
            f"addr add {_gateway(node)}/24 dev pod",
        )
        batch(
            workload,
            "link set lo up",
            "link set eth0 up",
            f"addr add {WORKLOADS[node]}/24 dev eth0",
            f"route add default via {_gateway(node)}",
        )
        command(*enter(space), "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def remove(self) -> None:
        """Remove what `create` made, also if it stopped half-way."""
        for space in (*self.workloads.values(), *self.nodes.values(), self.outside):
            remove_namespace(space)


def _gateway(node: str) -> str:
    return WORKLOADS[node].rpartition(".")[0] + ".1"


def _range(node: str) -> str:
    return WORKLOADS[node].rpartition(".")[0] + ".0/24"


def _over_the_wire(space: str, _: str, other: str) -> None:
    batch(space, f"route add {_range(other)} via {NODES[other]}")


def _over_vxlan(space: str, node: str, other: str) -> None:
    """A device with one peer and nothing to learn; its packets go to the other gateway."""
    here, there = (_gateway(name) for name in (node, other))
    mine, theirs = (f"02:00:00:00:00:0{1 + list(NODES).index(name)}" for name in (node, other))
    batch(
        space,
        f"link add {VXLAN} type vxlan id 42 dstport 4789 local {NODES[node]} nolearning",
        f"link set {VXLAN} address {mine} up",
        f"route add {_range(other)} via {there} dev {VXLAN} src {here} onlink",
        f"neigh add {there} lladdr {theirs} dev {VXLAN} nud permanent",
    )
    fdb = f"fdb add {theirs} dev {VXLAN} dst {NODES[other]}\n"
    command(*enter(space), "bridge", "-batch", "-", stdin=fdb)
