"""A workload's veth pair: addresses, routes, neighbours, and quiet sysctls.

The scheme is in docs/architecture.md: no ARP, no neighbour discovery, no bridge.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from tulle.model.proxy import UPSTREAM_PORTS
from tulle.model.world import IPAddress

from .base import index_of, interfaces, read_sysctl, rtnetlink, sysctl
from .wire import IFF_MULTICAST, IFF_NOARP, IFF_UP, Batch, end

if TYPE_CHECKING:
    from pyroute2 import IPRoute

NODE_MAC = "02:74:75:6c:6c:01"
WORKLOAD_MAC = "02:74:75:6c:6c:02"
GATEWAYS = {4: "169.254.1.1", 6: "fe80::1"}
INTERFACE = "eth0"
MTU = 1500
_OURS = re.compile(r"tl[0-9a-f]{8}")
_FIRST_PORT = 32768  # Linux' own default

_QUIETLY_UP = IFF_UP | IFF_NOARP

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
    doing = f"interface {interface}"
    _add_pair(interface, workload_netns, mtu, inside, doing)
    index = index_of(interface)
    be_quiet(interface)
    _forward(interface)
    _let_proxy_in(interface)
    batch = Batch()
    batch.set_link(index, _QUIETLY_UP, _QUIETLY_UP)
    for address in addresses:
        batch.put_route_to(address, index)
        batch.put_neighbour(address, WORKLOAD_MAC, index)
    batch.send(doing)
    return index


def connect_workload_side(addresses: Sequence[IPAddress], inside: str = INTERFACE) -> None:
    """Give the workload's side its addresses and ways out. Idempotent. Raises KernelError."""
    be_quiet(inside)
    # above are those of the node's proxy, for connections in the workload's name
    sysctl("ipv4/ip_local_port_range", f"{_FIRST_PORT} {UPSTREAM_PORTS[0] - 1}")
    index, batch = index_of(inside), Batch()
    batch.set_link(index_of("lo"), IFF_UP, IFF_UP)
    batch.set_link(index, _QUIETLY_UP, _QUIETLY_UP)
    for address in addresses:
        batch.put_address(index, address)
    for address in addresses:
        gateway = ip_address(GATEWAYS[address.version])
        batch.put_neighbour(gateway, NODE_MAC, index)
        batch.put_default_route(gateway, index, source=address)
    batch.send(f"interface {inside} of the workload")


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
    _forward(interface)


def _forward(interface: str) -> None:
    sysctl(f"ipv6/conf/{interface}/force_forwarding", "1")
    sysctl(f"ipv6/conf/{interface}/forwarding", "1")  # bpf_fib_lookup() asks for this one
    sysctl(f"ipv4/conf/{interface}/forwarding", "1")
    sysctl(f"ipv4/conf/{interface}/rp_filter", "0")
    sysctl(f"ipv4/conf/{interface}/send_redirects", "0")


def set_up_quietly(routes: IPRoute, index: int) -> None:
    """Without ARP: all neighbours are permanent, and no solicited-node group is reported."""
    routes.link("set", index=index, flags=_QUIETLY_UP, change=_QUIETLY_UP)


def _add_pair(interface: str, workload_netns: Path, mtu: int, inside: str, doing: str) -> None:
    if interface in interfaces():
        return
    fd = os.open(workload_netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        batch = Batch()
        # from the start, or forwarding would have it join the group of routers
        node = end(interface, NODE_MAC, mtu, without=IFF_MULTICAST)
        batch.add_veth(node, end(inside, WORKLOAD_MAC, mtu, netns_fd=fd))
        batch.send(doing)
    finally:
        os.close(fd)
