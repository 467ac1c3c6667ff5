"""CiliumEgressGatewayPolicy objects, with their gateways found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from tulle import abi
from tulle.model.cilium import CiliumEgressGatewayPolicy, EgressGatewaySelector
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import LabelSelector
from tulle.model.world import IPAddress, IPNetwork, Node, Refusal, World

from .blocks import within
from .identities import node_labels_of
from .parts import packed
from .selectors import matches
from .translate.labels import both, of_namespaces, plain


@dataclass(frozen=True, slots=True)
class Gateway:
    """`rows`: family → what the kernel does; in no family without one is there a gateway."""

    rows: Mapping[int, bytes]
    here: bool  # this node is it

    def row(self, family: int) -> bytes:
        return self.rows.get(family, _GONE)


@dataclass(frozen=True, slots=True)
class Route:
    """One policy. `subjects`: selectors of workloads, each with one of the nodes they run on."""

    subjects: tuple[tuple[LabelSelector, LabelSelector | None], ...]
    destinations: tuple[IPNetwork, ...]
    excluded: tuple[IPNetwork, ...]
    gateway: Gateway

    def selects(self, labels: Mapping[str, str], node_labels: Mapping[str, str]) -> bool:
        """`labels` are `rules.seen_labels`."""
        return any(
            matches(workloads, labels) and (nodes is None or matches(nodes, node_labels))
            for workloads, nodes in self.subjects
        )

    def leads_to(self, network: IPNetwork) -> bool:
        """Whether it decides for the whole of a network."""
        named = any(within(network, item) for item in self.destinations)
        return named and not any(within(network, item) for item in self.excluded)


_GONE = abi.EgressGateway(gone=1).pack()


def routes_of(world: World) -> tuple[tuple[Route, ...], tuple[Refusal, ...]]:
    """In the order of names. A policy without a gateway drops what it selects, and says so."""
    refusals: list[Refusal] = []
    routes = []
    for _, policy in sorted(world.egress_gateways.items()):
        spec = policy.spec
        gateway, problem = _gateway(world, policy)
        if problem:
            refusals.append(Refusal(ref_of(policy), f"{problem}: what it selects is dropped"))
        routes.append(
            Route(
                tuple(_subjects(spec.selectors)),
                tuple(map(ip_network, spec.destination_cidrs)),
                tuple(map(ip_network, spec.excluded_cidrs)),
                gateway,
            )
        )
    return tuple(routes), tuple(refusals)


def _subjects(
    selectors: Iterable[EgressGatewaySelector],
) -> Iterator[tuple[LabelSelector, LabelSelector | None]]:
    for item in selectors:
        workloads = plain(item.pod_selector or LabelSelector())
        if workloads is None:
            continue
        if item.namespace_selector is not None:
            workloads = both(workloads, of_namespaces(item.namespace_selector))
        if item.node_selector is None:
            yield workloads, None
        elif (nodes := plain(item.node_selector)) is not None:
            yield workloads, nodes


def _gateway(world: World, policy: CiliumEgressGatewayPolicy) -> tuple[Gateway, str]:
    """The first node by name that the policy selects and that has the address it names."""
    asked = policy.spec.egress_gateway
    selector = plain(asked.node_selector)
    own = [world.node, *(node for node in world.nodes.values() if not node.cluster)]
    nodes = sorted(own, key=lambda node: node.name)
    found = [
        node
        for node in nodes
        if selector is not None and matches(selector, node_labels_of(world, node))
    ]
    if not found:
        return Gateway({}, False), "spec.egressGateway.nodeSelector matches no node"
    wanted = ip_address(asked.egress_ip) if asked.egress_ip else None
    chosen = next((node for node in found if wanted is None or wanted in node.addresses), None)
    if chosen is None:
        where = "spec.egressGateway.egressIP"
        return Gateway({}, False), f"{where}: {wanted} belongs to no node that nodeSelector matches"
    here = chosen.name == world.node.name
    if not here and chosen.underlay is None:
        return Gateway({}, False), f"node {chosen.name} has no uplink to reach it by"
    rows: dict[int, bytes] = {}
    for family in (4, 6):
        is_asked = wanted is not None and wanted.version == family
        address = wanted if is_asked else _outside_address(chosen, family)
        if address is not None:
            node = packed(chosen.underlay) if chosen.underlay and not here else bytes(16)
            rows[family] = abi.EgressGateway(packed(address), node).pack()
    return Gateway(rows, here), ""


def _outside_address(node: Node, family: int) -> IPAddress | None:
    """Of a node's own addresses the first by which others know it."""
    if node.underlay is not None and node.underlay.version == family:
        return node.underlay
    for address in node.addresses:
        inside = any(address in network for network in node.pod_cidrs)
        if address.version == family and not (
            inside or address.is_link_local or address.is_loopback
        ):
            return address
    return None
