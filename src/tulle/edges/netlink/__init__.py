"""Interfaces, addresses and routes of the namespace that the calling thread is in (rtnetlink)."""

from .base import disconnect, interfaces, peers_namespaces, sysctl
from .filters import Programs, put_filters
from .node import (
    OVERLAY,
    Uplink,
    add_own_address,
    default_device,
    forward_from,
    make_overlay,
    overlay_mtu,
    own_addresses,
    set_up_loopback,
    uplink,
)
from .others import adopt_pair, find_pair
from .pairs import (
    GATEWAYS,
    INTERFACE,
    MTU,
    NODE_MAC,
    WORKLOAD_MAC,
    Pair,
    adopt,
    connect_node_sides,
    connect_workload_side,
    is_ours,
    set_mtu,
)
from .routes import Route, delete_routes, put_routes, read_routes
from .steering import steer, unsteer


def dismantle() -> None:
    """Take out what the mesh has put beside the workloads' pairs. Raises KernelError."""
    unsteer()
    delete_routes(read_routes())
    disconnect([OVERLAY])


__all__ = [
    "GATEWAYS",
    "INTERFACE",
    "MTU",
    "NODE_MAC",
    "OVERLAY",
    "WORKLOAD_MAC",
    "Pair",
    "Programs",
    "Route",
    "Uplink",
    "add_own_address",
    "adopt",
    "adopt_pair",
    "connect_node_sides",
    "connect_workload_side",
    "default_device",
    "delete_routes",
    "disconnect",
    "dismantle",
    "find_pair",
    "forward_from",
    "interfaces",
    "is_ours",
    "make_overlay",
    "overlay_mtu",
    "own_addresses",
    "peers_namespaces",
    "put_filters",
    "put_routes",
    "read_routes",
    "set_mtu",
    "set_up_loopback",
    "steer",
    "sysctl",
    "unsteer",
    "uplink",
]
