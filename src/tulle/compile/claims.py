"""Which addresses each node may have: none is two nodes', so a packet has one place to go to.

This node comes first, then the others as the world has them in order; what a later one claims of
an earlier one's is refused, by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network

from tulle.model.kubernetes import ObjectRef
from tulle.model.world import IPAddress, IPNetwork, Key, Node, Refusal, Workload, World

from .ranges import Ranges


@dataclass(frozen=True, slots=True)
class Claim:
    """What a node may have: its own addresses, and its workloads' ranges."""

    node: Node
    addresses: tuple[IPAddress, ...]
    ranges: tuple[IPNetwork, ...]

    @property
    def ingress(self) -> tuple[IPAddress, ...]:
        """Its proxy's own, within its ranges as its workloads' are."""
        return tuple(
            item for item in self.node.ingress if any(item in network for network in self.ranges)
        )


@dataclass(frozen=True, slots=True)
class Claims:
    """Those of this node and of the others. The rest is what they were made from."""

    here: Claim = Claim(Node(), (), ())
    of: Mapping[str, Claim] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    nodes: Mapping[str, Node] = field(default_factory=dict)
    workloads: Mapping[Key, Workload] = field(default_factory=dict)
    strays: tuple[IPAddress, ...] = ()


def claims_of(world: World, before: Claims) -> Claims:
    """Claims that stand are the same objects as before."""
    node = world.node
    same_nodes = node == before.here.node and world.nodes == before.nodes
    if same_nodes and world.workloads is before.workloads:
        return before
    strays = tuple(_outside(world.workloads.values(), node.pod_cidrs))
    if same_nodes and strays == before.strays:
        return replace(before, workloads=world.workloads)
    taken = Ranges()
    for network in (*node.pod_cidrs, *map(ip_network, (*node.addresses, *strays))):
        taken.add(network, "this node")
    found: dict[str, Claim] = {}
    refusals: list[Refusal] = []
    for name, other in world.nodes.items():
        claim, refused = _claim(name, other, taken)
        known = before.of.get(name)
        found[name] = known if known == claim else claim
        refusals += refused
    here = before.here if before.here.node == node else Claim(node, node.addresses, node.pod_cidrs)
    return Claims(here, found, tuple(refusals), world.nodes, world.workloads, strays)


def prefixes_of(claims: Claims) -> Iterator[IPNetwork]:
    """Other nodes' pod ranges."""
    for claim in claims.of.values():
        yield from claim.ranges


def _outside(workloads: Iterable[Workload], networks: tuple[IPNetwork, ...]) -> Iterable[IPAddress]:
    for workload in workloads:
        for address in workload.addresses:
            if not any(address in network for network in networks):
                yield address


def _claim(name: str, node: Node, taken: Ranges) -> tuple[Claim, list[Refusal]]:
    ref, refusals = ObjectRef("Node", "", name), []
    ranges: list[IPNetwork] = []
    addresses: list[IPAddress] = []
    for network in node.pod_cidrs:
        if owner := taken.owner(network):
            refusals.append(Refusal(ref, f"pod range {network} overlaps one of {owner}"))
        else:
            ranges.append(network)
    for address in node.addresses:
        if owner := taken.owner(ip_network(address)):
            refusals.append(Refusal(ref, f"address {address} belongs to {owner}"))
        else:
            addresses.append(address)
    for network in (*ranges, *map(ip_network, addresses)):
        taken.add(network, f"node {name}")
    return Claim(node, tuple(addresses), tuple(ranges)), refusals
