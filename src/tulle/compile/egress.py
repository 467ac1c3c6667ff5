"""CiliumEgressGatewayPolicy → where workloads leave the mesh, and as whom.

Of the policies that select a workload and name a destination the first by name decides; one that
excludes the destination does not count for it. The kernel finds the longest prefix, so each prefix
that any of them names has the decision for what lies in it and in no longer one.

A node has rows for its own workloads, and as a gateway for those that it sends on.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

from tulle import abi
from tulle.model.kubernetes import ObjectRef
from tulle.model.world import IPAddress, IPNetwork, Key, Node, Refusal, Workload, World

from .blocks import within
from .capacity import Limits, full
from .gateways import Route, routes_of
from .identities import labels_of, node_labels_of
from .parts import Part, packed, packed_prefix

MAP = "egress_gateway"
_ALL_OF_SOURCE = 128  # prefix length of a row for one source and every destination
_NO_WAY = abi.EgressGateway(gone=1).pack()
Rows = Mapping[bytes, bytes]
Group = Mapping[Key, Workload]


@dataclass(frozen=True, slots=True)
class GroupRows:
    """Of one node's workloads; each with the object that its rows were made from."""

    workloads: Group
    of: Mapping[Key, tuple[Workload, Rows]]
    rows: Rows


@dataclass(frozen=True, slots=True)
class Egress:
    """The parts; the rest is what they were made from."""

    parts: Mapping[Hashable, Part] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    routes: tuple[Route, ...] = ()
    basis: tuple[object, ...] = ()
    groups: Mapping[str, GroupRows] = field(default_factory=dict)


_NOTHING = Egress()


def egress_parts(world: World, limits: Limits, before: Egress) -> Egress:
    """One part per node whose workloads have rows here. `before` only saves work."""
    basis = world.egress_gateways, world.node, world.nodes, world.namespaces
    if not world.egress_gateways:
        return _NOTHING
    same = before.basis == basis
    routes, refusals = (before.routes, before.refusals) if same else routes_of(world)
    old = before.groups if same else {}
    present = {"": world.workloads}
    if any(route.gateway.here for route in routes):
        present |= world.remote
    groups = {name: _group(world, name, routes, group, old) for name, group in present.items()}
    if sum(len(group.rows) for group in groups.values()) > limits[MAP]:
        parts, left_out = _cut(groups, limits)
        return Egress(parts, (*refusals, *left_out), routes, (), groups)
    if same and groups.keys() == old.keys() and all(groups[name] is old[name] for name in groups):
        return before
    known = before.parts if same else {}
    parts = {
        (MAP, name): known[MAP, name]
        if (MAP, name) in known and group is old.get(name)
        else {MAP: group.rows}
        for name, group in groups.items()
        if group.rows
    }
    return Egress(parts, refusals, routes, basis, groups)


def _group(
    world: World, name: str, routes: Sequence[Route], group: Group, old: Mapping[str, GroupRows]
) -> GroupRows:
    """Of another node only the workloads that leave through this one."""
    was = old.get(name, GroupRows({}, {}, {}))
    if name in old and was.workloads is group:
        return was
    node = world.nodes.get(name, Node()) if name else world.node
    found: dict[Key, tuple[Workload, Rows]] = {}
    for key, workload in group.items():
        known = was.of.get(key)
        if known is not None and known[0] is workload:
            found[key] = known
            continue
        labels = labels_of(world, workload)
        of_node = node_labels_of(world, node)
        chosen = [route for route in routes if route.selects(labels, of_node)]
        if workload.cluster:
            chosen = []  # its own cluster's policies say where it leaves
        ours = not name or any(route.gateway.here for route in chosen)
        found[key] = workload, dict(_rows(workload, chosen)) if ours else {}
    rows = {key: row for _, own in found.values() for key, row in own.items()}
    return GroupRows(group, found, rows)


def _rows(workload: Workload, routes: Sequence[Route]) -> Iterator[tuple[bytes, bytes]]:
    for address in workload.addresses:
        # Shorter prefixes first: what a longer one would only repeat is left out.
        said: dict[IPNetwork, bytes | None] = {}
        for network in _prefixes(routes, address.version):
            route = next((item for item in routes if item.leads_to(network)), None)
            row = route.gateway.row(address.version) if route else None
            around = (said[outer] for outer in reversed(said) if within(network, outer))
            default = next(around, None)
            said[network] = row
            if row != default:
                yield _key(address, network), row or abi.EgressGateway().pack()


def _prefixes(routes: Sequence[Route], version: int) -> list[IPNetwork]:
    named = {item for route in routes for item in (*route.destinations, *route.excluded)}
    own = (item for item in named if item.version == version)
    return sorted(own, key=lambda item: (item.prefixlen, int(item.network_address)))


def _key(source: IPAddress, network: IPNetwork) -> bytes:
    length, destination = packed_prefix(network)
    return abi.EgressKey(_ALL_OF_SOURCE + length, packed(source), destination).pack()


def _cut(
    groups: Mapping[str, GroupRows], limits: Limits
) -> tuple[dict[Hashable, Part], list[Refusal]]:
    """What has no room does not leave at all, lest it leave as somebody else.

    This node's own workloads go before, those that were there first. One of another node that has
    no rows here is dropped here.
    """
    parts: dict[Hashable, Part] = {}
    refusals: list[Refusal] = []
    local = sorted(groups[""].of.items(), key=lambda item: (item[1][0].ifindex, item[0]))
    reserved = sum(len(workload.addresses) for _, (workload, rows) in local if rows)
    room = limits[MAP] - reserved
    for name in sorted(groups):
        rows: dict[bytes, bytes] = {}
        for key, (workload, own) in local if not name else sorted(groups[name].of.items()):
            spare = len(workload.addresses) if own and not name else 0
            if len(own) <= room + spare:
                room += spare - len(own)
                rows.update(own)
                continue
            rows.update(_blocked(workload) if not name else {})
            refusals.append(
                Refusal(ObjectRef("Pod", *key), f"{full(MAP, limits)}: it cannot leave the mesh")
            )
        if rows:
            parts[MAP, name] = {MAP: rows}
    return parts, refusals


def _blocked(workload: Workload) -> Rows:
    everywhere = ip_network("::/0")
    return {_key(address, everywhere): _NO_WAY for address in workload.addresses}
