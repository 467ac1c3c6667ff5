"""A workload's veth pair: addresses, routes, neighbours, and quiet sysctls (rtnetlink).

Every function works in the network namespace of the calling thread; `netns.run_in` chooses it.
The scheme is in docs/architecture.md: no ARP, no neighbour discovery, no bridge. pyroute2 takes
half a second to import, so it is imported at first use.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tulle.errors import KernelError

if TYPE_CHECKING:
    from pyroute2 import IPRoute

IPAddress = IPv4Address | IPv6Address

NODE_MAC = "02:74:75:6c:6c:01"
WORKLOAD_MAC = "02:74:75:6c:6c:02"
GATEWAYS = {4: "169.254.1.1", 6: "fe80::1"}
INTERFACE = "eth0"

SCOPE_LINK = 253
IFA_F_NODAD = 0x02
RTNH_F_ONLINK = 4
IFF_UP, IFF_NOARP = 0x1, 0x80

# no router solicitations, duplicate address detection, or link-local address (and so no MLD)
_QUIET = {
    "accept_ra": "0",
    "router_solicitations": "0",
    "dad_transmits": "0",
    "accept_dad": "0",
    "addr_gen_mode": "1",
}


def connect_node_side(interface: str, workload_netns: Path, addresses: Sequence[IPAddress]) -> int:
    """Make the veth pair and the node's half of it; the ifindex of the node's side.

    The peer appears in `workload_netns` as `eth0`, down and without addresses. Idempotent for
    the same arguments. Raises KernelError.
    """
    with _routes(f"interface {interface}") as routes:
        _add_pair(routes, interface, workload_netns)
        index = _index(interface)
        _node_sysctls(interface)
        _set_up(routes, index)
        for address in addresses:
            prefix = f"{address}/{address.max_prefixlen}"
            routes.route("replace", dst=prefix, oif=index, scope=_link_scope(address))
            _neighbour(routes, str(address), WORKLOAD_MAC, index)
    return index


def connect_workload_side(addresses: Sequence[IPAddress]) -> None:
    """Give the workload's `eth0` its addresses and ways out. Idempotent. Raises KernelError."""
    for name, value in _QUIET.items():
        sysctl(f"ipv6/conf/{INTERFACE}/{name}", value)
    with _routes(f"interface {INTERFACE} of the workload") as routes:
        routes.link("set", index=_index("lo"), state="up")
        index = _index(INTERFACE)
        _set_up(routes, index)
        for address in addresses:
            _add_address(routes, index, address)
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


def disconnect(interface: str) -> None:
    """Remove a veth pair by its node's side; its routes and neighbours go with it.

    One that is already gone is no error. Raises KernelError.
    """
    try:
        with _routes(f"interface {interface}") as routes:
            routes.link("del", index=_index(interface))
    except KernelError as error:
        if error.errno != errno.ENODEV:
            raise


def interfaces() -> dict[str, int]:
    """Name → ifindex of all interfaces."""
    return {name: index for index, name in socket.if_nameindex()}


def own_addresses() -> list[IPAddress]:
    """Addresses of the namespace that the caller is in, but for 127.0.0.0/8 and ::1."""
    with _routes("list addresses") as routes:
        found = [ip_address(message.get("address")) for message in routes.get_addr()]
    return sorted({item for item in found if not item.is_loopback}, key=str)


def set_up_loopback(addresses: Sequence[IPAddress]) -> None:
    """Bring `lo` up with further addresses of the node itself. Raises KernelError."""
    with _routes("interface lo") as routes:
        index = _index("lo")
        routes.link("set", index=index, state="up")
        for address in addresses:
            _add_address(routes, index, address)


def sysctl(name: str, value: str) -> None:
    """Set `net/<name>`. One that the kernel has not is skipped. Raises KernelError."""
    try:
        (Path("/proc/sys/net") / name).write_text(value)
    except FileNotFoundError:
        return
    except OSError as error:
        raise KernelError(error.errno or 0, f"sysctl net/{name}") from error


def _index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError as error:  # which carries no errno
        raise KernelError(errno.ENODEV, f"interface {interface}") from error


@contextmanager
def _routes(doing: str) -> Iterator[IPRoute]:
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as routes:
            yield routes
    except NetlinkError as error:
        raise KernelError(int(error.code), doing) from error
    except OSError as error:
        raise KernelError(error.errno or 0, doing) from error


def _add_pair(routes: IPRoute, interface: str, workload_netns: Path) -> None:
    if interface in interfaces():
        return
    fd = os.open(workload_netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        peer = {"ifname": INTERFACE, "address": WORKLOAD_MAC, "net_ns_fd": fd}
        routes.link("add", ifname=interface, kind="veth", address=NODE_MAC, peer=peer)
    finally:
        os.close(fd)


def _set_up(routes: IPRoute, index: int) -> None:
    # all neighbours are permanent; without ARP no solicited-node group is joined and reported
    flags = IFF_UP | IFF_NOARP
    routes.link("set", index=index, flags=flags, change=flags)


def _node_sysctls(interface: str) -> None:
    for name, value in _QUIET.items():
        sysctl(f"ipv6/conf/{interface}/{name}", value)
    # forwarding for this interface alone: the machine as a whole does not become a router
    sysctl(f"ipv6/conf/{interface}/force_forwarding", "1")
    sysctl(f"ipv4/conf/{interface}/forwarding", "1")
    sysctl(f"ipv4/conf/{interface}/rp_filter", "0")
    sysctl(f"ipv4/conf/{interface}/send_redirects", "0")


def _add_address(routes: IPRoute, index: int, address: IPAddress) -> None:
    options: dict[str, Any] = {"flags": IFA_F_NODAD} if address.version == 6 else {}
    routes.addr(
        "replace", index=index, address=str(address), prefixlen=address.max_prefixlen, **options
    )


def _neighbour(routes: IPRoute, address: str, mac: str, index: int) -> None:
    routes.neigh("replace", dst=address, lladdr=mac, ifindex=index, state="permanent")


def _link_scope(address: IPAddress) -> int:
    return SCOPE_LINK if address.version == 4 else 0  # IPv6 routes have no scope
