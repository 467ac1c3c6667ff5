"""What stands between the lab's nodes: a bridge, and a cable from it to each node."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

from tulle.errors import KernelError
from tulle.model.world import IPAddress, IPNetwork

from .base import add_address, index_of, interfaces, rtnetlink, sysctl

IPInterface = IPv4Interface | IPv6Interface

BRIDGE = "fabric"
UPLINK = "eth0"  # a node's end of its cable


def make_bridge(addresses: Sequence[IPInterface]) -> None:
    """A bridge that is itself a host of the network that it makes. Raises KernelError."""
    with rtnetlink(f"interface {BRIDGE}") as routes:
        routes.link("set", index=index_of("lo"), state="up")
        if BRIDGE not in interfaces():
            routes.link("add", ifname=BRIDGE, kind="bridge", br_forward_delay=0, br_stp_state=0)
        index = index_of(BRIDGE)
        routes.link("set", index=index, state="up")
        for address in addresses:
            add_address(routes, index, address.ip, address.network.prefixlen)


def plug_in(port: str, node_netns: Path) -> None:
    """Lay a cable from the bridge to `eth0` of the node; one that is there stays."""
    if port in interfaces():
        return
    fd = os.open(node_netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with rtnetlink(f"interface {port}") as routes:
            peer = {"ifname": UPLINK, "net_ns_fd": fd}
            routes.link("add", ifname=port, kind="veth", peer=peer)
            routes.link("set", index=index_of(port), master=index_of(BRIDGE), state="up")
    finally:
        os.close(fd)


def configure_uplink(addresses: Sequence[IPInterface], gateways: Sequence[IPAddress]) -> None:
    """Addresses of the calling node's `eth0` and its default routes. Raises KernelError."""
    for name in ("accept_ra", "accept_dad", "router_solicitations"):
        sysctl(f"ipv6/conf/{UPLINK}/{name}", "0")
    # A node that is made again has another MAC: its neighbours would believe the old one for long.
    sysctl(f"ipv4/conf/{UPLINK}/arp_notify", "1")
    sysctl(f"ipv6/conf/{UPLINK}/ndisc_notify", "1")
    with rtnetlink(f"interface {UPLINK}") as routes:
        index = index_of(UPLINK)
        for address in addresses:
            add_address(routes, index, address.ip, address.network.prefixlen)
        routes.link("set", index=index, state="up")
        for gateway in gateways:
            default = "0.0.0.0/0" if gateway.version == 4 else "::/0"
            routes.route("replace", dst=default, gateway=str(gateway), oif=index)


def set_link(port: str, up: bool) -> None:
    """Take the carrier from a node's uplink, or give it back. Raises KernelError."""
    with rtnetlink(f"interface {port}") as routes:
        routes.link("set", index=index_of(port), state="up" if up else "down")


def route_to(cidrs: Sequence[IPNetwork], addresses: Sequence[IPAddress]) -> None:
    """The way back to a node's workloads for what they send without masquerade."""
    by_version = {address.version: address for address in addresses}
    with rtnetlink("routes to workloads") as routes:
        for cidr in cidrs:
            if cidr.version in by_version:
                routes.route("replace", dst=str(cidr), gateway=str(by_version[cidr.version]))


def forget_routes(cidrs: Sequence[IPNetwork]) -> None:
    """Undo `route_to`; a route that is gone is no error."""
    for cidr in cidrs:
        try:
            with rtnetlink(f"route to {cidr}") as routes:
                routes.route("del", dst=str(cidr))
        except KernelError as error:
            if error.errno != errno.ESRCH:
                raise
