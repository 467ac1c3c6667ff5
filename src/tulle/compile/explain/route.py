"""The way of a connection that policy lets through, as the node of its source sends it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from tulle.abi import Reason
from tulle.model.cilium import CLUSTER_KEY, CiliumEgressGatewayPolicy, EgressGatewaySelector
from tulle.model.kinds import ref_of
from tulle.model.verdict import Flow
from tulle.model.world import IPAddress, Node, World

from ..selectors import matches
from .cilium_peers import labels_match, plain_match
from .ends import End, Kind, end_at, inside


@dataclass(frozen=True, slots=True)
class Route:
    """`leaves_as` is the source address that the outside sees; None inside of the mesh."""

    words: str
    leaves_as: IPAddress | None = None
    drop: Reason | None = None


def route(world: World, flow: Flow) -> Route:
    """How this node sends on what comes from `flow.src`, one of its own ends."""
    source, destination = end_at(world, flow.src), end_at(world, flow.dst)
    match destination.kind:
        case Kind.HOST:
            return Route(f"to node {world.node.name} itself")
        case Kind.WORKLOAD if destination.is_local:
            return Route(f"stays on node {world.node.name}")
        case Kind.WORKLOAD | Kind.NODE | Kind.INGRESS:
            return Route(_between(world, source, destination))
        case Kind.UNMANAGED:
            name = destination.node.name if destination.node else ""
            return Route(f"in the pod range of node {name}, where no workload has the address")
        case Kind.SERVICE:
            return Route("to a service's address, which no packet should carry")
    return _leaving(world, source, flow)


def exit_address(node: Node, version: int) -> IPAddress | None:
    """What the node leaves the mesh as; None if it has no way out in that family."""
    if node.underlay is None:
        return None
    outer = (
        item
        for item in (node.underlay, *node.addresses)
        if item.version == version
        and not (item.is_link_local or item.is_loopback)
        and not any(item in cidr for cidr in node.pod_cidrs)
    )
    return next(outer, None)


def _between(world: World, source: End, destination: End) -> str:
    name = destination.node.name if destination.node else "of no known name"
    has_underlay = destination.node is not None and destination.node.underlay is not None
    inside = (Kind.WORKLOAD, Kind.INGRESS)
    concerns_workloads = source.kind in inside or destination.kind in inside
    if world.settings.routing == "vxlan" and has_underlay and concerns_workloads:
        return f"through the overlay to node {name}"
    return f"by the network's routes to node {name}"


def _leaving(world: World, source: End, flow: Flow) -> Route:
    if source.kind is not Kind.WORKLOAD:
        return Route("leaves the mesh with its own address", flow.src)
    policy = _gateway_policy(world, source, flow.dst)
    if policy is not None:
        return _by_gateway(world, policy, flow)
    settings, address = world.settings, exit_address(world.node, flow.dst.version)
    kept = any(flow.dst in item for item in settings.no_masquerade)
    if settings.masquerade and address is not None and not kept:
        name = world.node.name
        return Route(f"leaves the mesh masqueraded as {address} of node {name}", address)
    return Route("leaves the mesh with its own address", flow.src)


def _by_gateway(world: World, policy: CiliumEgressGatewayPolicy, flow: Flow) -> Route:
    """The first node by name that is meant and has the address that is wanted."""
    gateway, ref = policy.spec.egress_gateway, ref_of(policy)
    wanted = ip_address(gateway.egress_ip) if gateway.egress_ip else None
    nodes = {**world.nodes, world.node.name: world.node}
    for name, node in sorted(nodes.items()):
        labels = {**node.labels, CLUSTER_KEY: world.settings.cluster_name}
        if node.cluster or not plain_match(gateway.node_selector, labels):
            continue
        if wanted is not None and wanted not in node.addresses:
            continue
        same_family = wanted is not None and wanted.version == flow.dst.version
        address = wanted if same_family else exit_address(node, flow.dst.version)
        if address is not None and (node is world.node or node.underlay is not None):
            return Route(f"leaves by {ref}: as {address} of node {name}", address)
        break
    return Route(f"{ref} has no gateway that it could leave by", drop=Reason.NO_GATEWAY)


def _gateway_policy(
    world: World, source: End, destination: IPAddress
) -> CiliumEgressGatewayPolicy | None:
    """The first by name that means the workload and the destination, and does not exclude it."""
    for _, policy in sorted(world.egress_gateways.items()):
        spec = policy.spec
        named = any(inside(destination, cidr) for cidr in spec.destination_cidrs)
        excluded = any(inside(destination, cidr) for cidr in spec.excluded_cidrs)
        if named and not excluded and any(_selects(world, i, source) for i in spec.selectors):
            return policy
    return None


def _selects(world: World, selector: EgressGatewaySelector, source: End) -> bool:
    """All parts that are given must hold."""
    workload = source.workload
    if workload is None:
        return False
    if selector.pod_selector is not None and not labels_match(selector.pod_selector, source):
        return False
    if selector.namespace_selector is not None and not matches(
        selector.namespace_selector, world.namespace_labels(workload.namespace)
    ):
        return False
    if selector.node_selector is None or source.node is None:
        return selector.node_selector is None
    labels = {**source.node.labels, CLUSTER_KEY: world.settings.cluster_name}
    return plain_match(selector.node_selector, labels)
