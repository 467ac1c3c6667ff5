"""The node's routes to other nodes' workloads: what they should be. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tulle.edges.netlink import Route, Uplink
from tulle.model.world import IPAddress, IPNetwork, Node, Settings

from .addresses import node_addresses
from .mesh import uplink_addresses


def routes_of(
    node: Node,
    nodes: Mapping[str, Node],
    settings: Settings,
    uplink: Uplink | None,
    overlay: int,
) -> tuple[set[Route], list[str]]:
    """The routes, and in words which ranges have none. `overlay` is its device's ifindex.

    What is sent to an address of this node that nobody has would else go out and come back.
    """
    routes = {Route(cidr) for cidr in node.pod_cidrs}
    problems = []
    for name, other in sorted(nodes.items()):
        for cidr in other.pod_cidrs:
            route = _route(cidr, node, other, settings, uplink, overlay)
            if route is None:
                problems.append(
                    f"no route to the workloads of node {name} in {cidr}: "
                    f"{_reason(cidr, settings, uplink)}"
                )
            else:
                routes.add(route)
    return routes, problems


def _route(
    cidr: IPNetwork,
    node: Node,
    other: Node,
    settings: Settings,
    uplink: Uplink | None,
    overlay: int,
) -> Route | None:
    if uplink is None:
        return None
    if settings.routing == "vxlan":
        source = _of_family(node_addresses(node.pod_cidrs), cidr)
        return Route(cidr, overlay, src=source) if other.underlay else None
    gateway = _of_family(uplink_addresses(other), cidr)
    if gateway is None or _of_family(uplink.addresses, cidr) is None:
        return None
    return Route(cidr, uplink.ifindex, gateway)


def _of_family(
    addresses: tuple[IPAddress, ...] | list[IPAddress], cidr: IPNetwork
) -> IPAddress | None:
    return next((address for address in addresses if address.version == cidr.version), None)


def _reason(cidr: IPNetwork, settings: Settings, uplink: Uplink | None) -> str:
    if uplink is None:
        return "this node has no uplink"
    if settings.routing == "vxlan":
        return "the nodes' uplinks have addresses of no common family"
    return f"a node's uplink has no IPv{cidr.version} address"
