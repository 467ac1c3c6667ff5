"""A workload's veth pair: addresses, routes, neighbours, and quiet sysctls.

The scheme is in docs/architecture.md: no ARP, no neighbour discovery, no bridge.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tulle.model.proxy import UPSTREAM_PORTS
from tulle.model.world import IPAddress

from .base import add_address, index_of, interfaces, read_sysctl, rtnetlink, sysctl

if TYPE_CHECKING:
    from pyroute2 import IPRoute

NODE_MAC = "02:74:75:6c:6c:01"
WORKLOAD_MAC = "02:74:75:6c:6c:02"
GATEWAYS = {4: "169.254.1.1", 6: "fe80::1"}
INTERFACE = "eth0"
MTU = 1500
_OURS = re.compile(r"tl[0-9a-f]{8}")
_FIRST_PORT = 32768  # Linux' own default

SCOPE_LINK = 253
RTNH_F_ONLINK = 4
IFF_UP, IFF_NOARP, IFF_MULTICAST = 0x1, 0x80, 0x1000

# no router solicitations, duplicate address detection, or link-local address (and so no MLD)
_QUIET = {
    "accept_ra": "0",
    "router_solicitations": "0",
    "dad_transmits": "0",
    "accept_dad": "0",
    "addr_gen_mode": "1",
}


def connect_node_side(
    interface: str,
    workload_netns: Path,
    addresses: Sequence[IPAddress],
    mtu: int = MTU,
    inside: str = INTERFACE,
) -> int:
    """Make the veth pair and the node's half of it; the ifindex of the node's side.

    The peer appears in `workload_netns` as `inside`, down and without addresses; both have `mtu`.
    Idempotent for the same arguments. Raises KernelError.
    """
    with rtnetlink(f"interface {interface}") as routes:
        _add_pair(routes, interface, workload_netns, mtu, inside)
        index = index_of(interface)
        be_router(routes, interface)
        _let_proxy_in(interface)
        set_up_quietly(routes, index)
        for address in addresses:
            prefix = f"{address}/{address.max_prefixlen}"
            routes.route("replace", dst=prefix, oif=index, scope=_link_scope(address))
            _neighbour(routes, str(address), WORKLOAD_MAC, index)
    return index


def connect_workload_side(addresses: Sequence[IPAddress], inside: str = INTERFACE) -> None:
    """Give the workload's side its addresses and ways out. Idempotent. Raises KernelError."""
    be_quiet(inside)
    # above are those of the node's proxy, for connections in the workload's name
    sysctl("ipv4/ip_local_port_range", f"{_FIRST_PORT} {UPSTREAM_PORTS[0] - 1}")
    with rtnetlink(f"interface {inside} of the workload") as routes:
        routes.link("set", index=index_of("lo"), state="up")
        index = index_of(inside)
        set_up_quietly(routes, index)
        for address in addresses:
            add_address(routes, index, address)
            gateway = GATEWAYS[address.version]
            _neighbour(routes, gateway, NODE_MAC, index)
            default = "0.0.0.0/0" if address.version == 4 else "::/0"
            routes.route(
                "replace",
                dst=default,
                gateway=gateway,
                oif=index,
                prefsrc=str(address),
                flags=RTNH_F_ONLINK,
            )


def is_ours(interface: str) -> bool:
    """Whether it has the name of a node's side."""
    return _OURS.fullmatch(interface) is not None


def adopt(interfaces: Iterable[str]) -> None:
    """Bring node's sides that an earlier version made up to date. Raises KernelError."""
    for interface in interfaces:
        _let_proxy_in(interface)
        if read_sysctl(f"ipv6/conf/{interface}/forwarding") == "0":
            with rtnetlink(f"interface {interface}") as routes:
                be_router(routes, interface)


def _let_proxy_in(interface: str) -> None:
    """What it sends in its own name comes in here again where rules of layer 7 read it."""
    sysctl(f"ipv4/conf/{interface}/accept_local", "1")


def set_mtu(interface: str, mtu: int) -> None:
    """Raises KernelError."""
    with rtnetlink(f"MTU of interface {interface}") as routes:
        routes.link("set", index=index_of(interface), mtu=mtu)


def be_quiet(interface: str) -> None:
    """Nothing of IPv6's own accord is sent from it. Raises KernelError."""
    for name, value in _QUIET.items():
        sysctl(f"ipv6/conf/{interface}/{name}", value)


def be_router(routes: IPRoute, interface: str) -> None:
    """Forward what comes in by it, as the only interface: the machine does not become a router.

    Without multicast it joins no group of routers, and reports none. Raises KernelError.
    """
    be_quiet(interface)
    routes.link("set", index=index_of(interface), flags=0, change=IFF_MULTICAST)
    sysctl(f"ipv6/conf/{interface}/force_forwarding", "1")
    sysctl(f"ipv6/conf/{interface}/forwarding", "1")  # bpf_fib_lookup() asks for this one
    sysctl(f"ipv4/conf/{interface}/forwarding", "1")
    sysctl(f"ipv4/conf/{interface}/rp_filter", "0")
    sysctl(f"ipv4/conf/{interface}/send_redirects", "0")


def set_up_quietly(routes: IPRoute, index: int) -> None:
    """Without ARP: all neighbours are permanent, and no solicited-node group is reported."""
    flags = IFF_UP | IFF_NOARP
    routes.link("set", index=index, flags=flags, change=flags)


def _add_pair(routes: IPRoute, interface: str, workload_netns: Path, mtu: int, inside: str) -> None:
    if interface in interfaces():
        return
    fd = os.open(workload_netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        peer = {"ifname": inside, "address": WORKLOAD_MAC, "net_ns_fd": fd, "mtu": mtu}
        routes.link("add", ifname=interface, kind="veth", address=NODE_MAC, mtu=mtu, peer=peer)
    finally:
        os.close(fd)


def _neighbour(routes: IPRoute, address: str, mac: str, index: int) -> None:
    routes.neigh("replace", dst=address, lladdr=mac, ifindex=index, state="permanent")


def _link_scope(address: IPAddress) -> int:
    return SCOPE_LINK if address.version == 4 else 0  # IPv6 routes have no scope
