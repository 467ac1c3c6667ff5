"""A workload's veth pair: addresses, routes, neighbours, and quiet sysctls.

The scheme is in docs/architecture.md: no ARP, no neighbour discovery, no bridge.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from tulle.errors import KernelError
from tulle.model.proxy import UPSTREAM_PORTS
from tulle.model.world import IPAddress

from .base import index_of, rtnetlink, sysctl
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

_NO_FD = (1 << 31) - 1

_QUIETLY_UP = IFF_UP | IFF_NOARP

# Of <linux/ip.h>: forwarding, send_redirects, rp_filter, and accept_local: what it sends in its own
# name comes in here again where rules of layer 7 read it.
_ROUTER_4 = {1: 1, 6: 0, 8: 0, 23: 1}

# no router solicitations, duplicate address detection, or link-local address (and so no MLD)
_QUIET = {
    "accept_ra": "0",
    "router_solicitations": "0",
    "dad_transmits": "0",
    "accept_dad": "0",
    "addr_gen_mode": "1",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """The node's side, and the workload's as `inside` in `netns`; both have `mtu`."""

    interface: str
    netns: Path
    addresses: Sequence[IPAddress]
    mtu: int = MTU
    inside: str = INTERFACE


def connect_node_sides(pairs: Sequence[Pair]) -> list[int | KernelError]:
    """Make veth pairs and the node's half of each: its ifindex, or why there is none.

    The workloads' sides are down and without addresses. Idempotent for the same arguments. Raises
    KernelError if nothing can be made.
    """
    made = _add_pairs(pairs)
    batch, ends = Batch(), []
    for pair, index in zip(pairs, made, strict=True):
        if isinstance(index, int):
            _prepare(batch, pair.interface, index)
            batch.set_link(index, _QUIETLY_UP, _QUIETLY_UP)
            for address in pair.addresses:
                batch.put_route_to(address, index)
                batch.put_neighbour(address, WORKLOAD_MAC, index)
        ends.append(len(batch))
    codes, start = batch.answers("interfaces of workloads"), 0
    for number, (pair, end_of) in enumerate(zip(pairs, ends, strict=True)):
        if failed := max(codes[start:end_of], default=0):
            made[number] = KernelError(failed, f"interface {pair.interface}")
        start = end_of
    return made


def connect_workload_side(pair: Pair) -> None:
    """Give the workload's side its addresses and ways out. Idempotent. Raises KernelError.

    Call in its namespace.
    """
    inside = pair.inside
    sysctl(f"ipv6/conf/{inside}/accept_ra", "0")
    leave_ports()
    index, batch = index_of(inside), Batch()
    if _has_ipv6(inside):
        batch.configure(index, {}, ipv6=True)
    batch.set_link(index_of("lo"), IFF_UP, IFF_UP)
    batch.set_link(index, _QUIETLY_UP, _QUIETLY_UP)
    for address in pair.addresses:
        batch.put_address(index, address)
    for address in pair.addresses:
        gateway = ip_address(GATEWAYS[address.version])
        batch.put_neighbour(gateway, NODE_MAC, index)
        batch.put_default_route(gateway, index, source=address)
    batch.send(f"interface {inside} of the workload")


def leave_ports() -> None:
    """To the node's proxy those that it has for connections in a workload's name."""
    sysctl("ipv4/ip_local_port_range", f"{_FIRST_PORT} {UPSTREAM_PORTS[0] - 1}")


def let_node_forward(interface: str, master: str) -> None:
    """What is not ours: the node's side, and the bridge that it is a port of. Raises KernelError.

    The stack sees a port's packets come by the bridge; programs look up routes from the port.
    """
    _forward_6(interface)
    for name, value in (("forwarding", "1"), ("rp_filter", "0"), ("accept_local", "1")):
        sysctl(f"ipv4/conf/{interface}/{name}", value)
    if master:
        sysctl(f"ipv4/conf/{master}/accept_local", "1")


def is_ours(interface: str) -> bool:
    """Whether it has the name of a node's side."""
    return _OURS.fullmatch(interface) is not None


def adopt(interfaces: Iterable[str]) -> None:
    """Bring node's sides that an earlier version made up to date. Raises KernelError."""
    batch = Batch()
    for interface in interfaces:
        index = index_of(interface)
        _prepare(batch, interface, index)
        batch.set_link(index, 0, IFF_MULTICAST)
    if len(batch):
        batch.send("interfaces of workloads")


def _prepare(batch: Batch, interface: str, index: int) -> None:
    """What a node's side is to forward, and what not to do of its own accord."""
    sysctl(f"ipv6/conf/{interface}/accept_ra", "0")
    _forward_6(interface)
    batch.configure(index, _ROUTER_4, ipv6=_has_ipv6(interface))


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
    index, batch = index_of(interface), Batch()
    routes.link("set", index=index, flags=0, change=IFF_MULTICAST)
    _forward_6(interface)
    batch.configure(index, _ROUTER_4, ipv6=False)
    batch.send(f"interface {interface}")


def _forward_6(interface: str) -> None:
    sysctl(f"ipv6/conf/{interface}/force_forwarding", "1")
    sysctl(f"ipv6/conf/{interface}/forwarding", "1")  # bpf_fib_lookup() asks for this one


def set_up_quietly(routes: IPRoute, index: int) -> None:
    """Without ARP: all neighbours are permanent, and no solicited-node group is reported."""
    routes.link("set", index=index, flags=_QUIETLY_UP, change=_QUIETLY_UP)


def _has_ipv6(interface: str) -> bool:
    """A small MTU or the kernel's command line may have taken it away."""
    return Path(f"/proc/sys/net/ipv6/conf/{interface}").exists()


def _add_pairs(pairs: Sequence[Pair]) -> list[int | KernelError]:
    """The ifindex of each node's side, or why there is none."""
    batch = Batch()
    with ExitStack() as stack:
        for pair in pairs:
            # from the start, or forwarding would have it join the group of routers
            node = end(pair.interface, NODE_MAC, pair.mtu, without=IFF_MULTICAST)
            fd = _open(pair.netns, stack)
            batch.add_veth(node, end(pair.inside, WORKLOAD_MAC, pair.mtu, netns_fd=fd))
        codes = batch.answers("interfaces of workloads")
    return [_made(pair.interface, code) for pair, code in zip(pairs, codes, strict=True)]


def _open(namespace: Path, stack: ExitStack) -> int:
    """For as long as `stack`; if there is none, one that the kernel refuses by number."""
    try:
        fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return _NO_FD
    stack.callback(os.close, fd)
    return fd


def _made(interface: str, code: int) -> int | KernelError:
    """EEXIST may mean the other side."""
    if code in (0, errno.EEXIST):
        with suppress(OSError):
            return socket.if_nametoindex(interface)
    return KernelError(code, f"interface {interface}")
