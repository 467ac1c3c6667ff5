"""The node's own side: its addresses, the uplink, and the device of the overlay."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from tulle.errors import Refused
from tulle.model.world import IPAddress

from .base import add_address, index_of, interfaces, read_sysctl, rtnetlink, sysctl
from .pairs import NODE_MAC, be_router, set_up_quietly

OVERLAY = "tulle_vxlan"
OVERLAY_PORT = 8472
ETHERNET_VXLAN_UDP = 14 + 8 + 8  # bytes that the overlay adds besides the outer IP header
IP_HEADER = {4: 20, 6: 40}
_TABLE_MAIN = 254


@dataclass(frozen=True, slots=True)
class Uplink:
    """The interface to other nodes and the outside; of its addresses none is link-local."""

    name: str
    ifindex: int
    mtu: int
    addresses: tuple[IPAddress, ...]


def set_up_loopback(addresses: Sequence[IPAddress]) -> None:
    """Bring `lo` up with further addresses of the node itself. Raises KernelError."""
    with rtnetlink("interface lo") as routes:
        index = index_of("lo")
        routes.link("set", index=index, state="up")
        for address in addresses:
            add_address(routes, index, address)


def add_own_address(ifindex: int, address: IPAddress) -> None:
    """One of the node itself, which goes with the interface. Raises KernelError."""
    with rtnetlink(f"the node's own address {address}") as routes:
        add_address(routes, ifindex, address)


def own_addresses() -> dict[int, tuple[IPAddress, ...]]:
    """ifindex → its addresses in the kernel's order, without loopback and link-local ones."""
    found: dict[int, list[IPAddress]] = defaultdict(list)
    with rtnetlink("list addresses") as routes:
        for message in routes.get_addr():
            address = ip_address(message.get("local") or message.get("address"))
            if not address.is_loopback and not address.is_link_local:
                found[int(message["index"])].append(address)
    return {index: tuple(addresses) for index, addresses in found.items()}


def default_device() -> str:
    """Name of the device of the default route, IPv4's first; "" if there is none."""
    with rtnetlink("find the default route") as routes:
        for family in (socket.AF_INET, socket.AF_INET6):
            found = routes.get_default_routes(family=family, table=_TABLE_MAIN)
            # the filter lets other tables' pass as well
            usable = [
                item for item in found if item.get("table") == _TABLE_MAIN and item.get("oif")
            ]
            if usable:
                best = min(usable, key=lambda route: int(route.get("priority") or 0))
                return socket.if_indextoname(best.get("oif"))
    return ""


def uplink(name: str, addresses: dict[int, tuple[IPAddress, ...]]) -> Uplink:
    """The interface `name` as it is now. Raises Refused if there is none."""
    index = interfaces().get(name)
    if index is None:
        raise Refused(f"uplink {name!r}: there is no such interface")
    with rtnetlink(f"interface {name}") as routes:
        mtu = int(routes.get_links(index)[0].get("mtu"))
    return Uplink(name, index, mtu, addresses.get(index, ()))


def forward_from(uplink: Uplink) -> None:
    """Let what comes in by the uplink go on to workloads. Raises KernelError."""
    if read_sysctl(f"ipv6/conf/{uplink.name}/accept_ra") == "1":
        sysctl(f"ipv6/conf/{uplink.name}/accept_ra", "2")  # 1 is for hosts, which it is no more
    sysctl(f"ipv6/conf/{uplink.name}/force_forwarding", "1")
    sysctl(f"ipv6/conf/{uplink.name}/forwarding", "1")  # bpf_fib_lookup() asks for this one
    sysctl(f"ipv4/conf/{uplink.name}/forwarding", "1")
    sysctl(f"ipv4/conf/{uplink.name}/rp_filter", "0")
    sysctl(f"ipv4/conf/{uplink.name}/send_redirects", "0")


def overlay_mtu(uplink_mtu: int, outer: int) -> int:
    """What fits into the overlay's packets when IP version `outer` carries them.

    >>> overlay_mtu(1500, 4), overlay_mtu(1500, 6)
    (1450, 1430)
    """
    return uplink_mtu - ETHERNET_VXLAN_UDP - IP_HEADER[outer]


def make_overlay(mtu: int) -> int:
    """Make the overlay's device, or adapt it; its ifindex. Raises KernelError.

    All nodes give it one MAC, the one that workloads send to. Without ARP the stack takes it for
    the next hop's too. The kernel drops what comes in from its own MAC: `to_overlay` changes that.
    """
    with rtnetlink(f"interface {OVERLAY}") as routes:
        if OVERLAY not in interfaces():
            options: dict[str, Any] = {
                "vxlan_collect_metadata": True,
                "vxlan_port": OVERLAY_PORT,
                "vxlan_learning": False,
            }
            routes.link("add", ifname=OVERLAY, kind="vxlan", address=NODE_MAC, **options)
        index = index_of(OVERLAY)
        be_router(routes, OVERLAY)
        routes.link("set", index=index, mtu=mtu)
        set_up_quietly(routes, index)
    return index
