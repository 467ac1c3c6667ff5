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
# With a number at its end, 0 for the bridge. Neighbours believe in a MAC for half a minute: a node
# that is made again has to have the one from before.
_MAC = "02:74:75:6d:{:02x}:{:02x}"


def _mac(number: int) -> str:
    return _MAC.format(*divmod(number, 256))


def make_bridge(addresses: Sequence[IPInterface]) -> None:
    """A bridge that is itself a host of the network that it makes. Raises KernelError."""
    with rtnetlink(f"interface {BRIDGE}") as routes:
        routes.link("set", index=index_of("lo"), state="up")
        if BRIDGE not in interfaces():
            options = {"address": _mac(0), "br_forward_delay": 0, "br_stp_state": 0}
            routes.link("add", ifname=BRIDGE, kind="bridge", **options)
        index = index_of(BRIDGE)
        routes.link("set", index=index, state="up")
        for address in addresses:
            add_address(routes, index, address.ip, address.network.prefixlen)


def plug_in(port: str, number: int, node_netns: Path) -> None:
    """Lay a cable from the bridge to `eth0` of the node; one that is there stays.

    `number` is the node's, from 0 and below 65535.
    """
    if port in interfaces():
        return
    fd = os.open(node_netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with rtnetlink(f"interface {port}") as routes:
            peer = {"ifname": UPLINK, "net_ns_fd": fd, "address": _mac(number + 1)}
            routes.link("add", ifname=port, kind="veth", peer=peer)
            routes.link("set", index=index_of(port), master=index_of(BRIDGE), state="up")
    finally:
        os.close(fd)


def configure_uplink(addresses: Sequence[IPInterface], gateways: Sequence[IPAddress]) -> None:
    """Addresses of the calling node's `eth0` and its default routes. Raises KernelError."""
    for name in ("accept_ra", "accept_dad", "router_solicitations"):
        sysctl(f"ipv6/conf/{UPLINK}/{name}", "0")
    with rtnetlink(f"interface {UPLINK}") as routes:
        index = index_of(UPLINK)
        routes.link("set", index=index, state="up")
        for address in addresses:
            add_address(routes, index, address.ip, address.network.prefixlen)
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
