"""What leads packets to the node's proxy, whatever their addresses: two rules and their tables.

What bears the mark that packet programs give is local. And so is what the node's own processes send
to an address of the proxy's: no packet program sees that.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any

from tulle.abi import Mark
from tulle.model.world import IPAddress

from .base import index_of, rtnetlink
from .dumps import list_routes
from .routes import PROTOCOL

MARKED, OWN = 29813, 29814  # tables
_PRIORITY = {MARKED: 116, OWN: 117}  # after the table of local addresses, before the main one
_LOCAL, _SCOPE_HOST = 2, 254  # RTN_LOCAL, RT_SCOPE_HOST
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_GONE = (errno.ENOENT, errno.ESRCH)
# what the kernel says where IPv6 is switched off, or not there: then no packet of it comes either
_WITHOUT = {4: (), 6: (errno.EACCES, errno.EAFNOSUPPORT, errno.EOPNOTSUPP)}


def steer(sources: Mapping[IPAddress, IPAddress]) -> None:
    """Make the rules, and the second's routes these and no others. Idempotent.

    `sources` are, by address of the proxy's, from where the node's own processes ask for it.
    Raises KernelError.
    """
    with rtnetlink("ways to the node's proxy") as routes:
        lo = index_of("lo")
        for version, default in ((4, "0.0.0.0/0"), (6, "::/0")):
            with _ignoring(*_WITHOUT[version]):
                routes.route("replace", **_local(default, version, lo, MARKED))
        for address, source in sources.items():
            route = _local(_host(address), address.version, lo, OWN)
            with _ignoring(*_WITHOUT[address.version]):
                routes.route("replace", prefsrc=str(source), **route)
        for address in _own() - sources.keys():
            routes.route("del", **_local(_host(address), address.version, lo, OWN))
        for rule in _rules():
            with _ignoring(errno.EEXIST, errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
                routes.rule("add", **rule)


def unsteer() -> None:
    """Take them out again. What is gone is no error. Raises KernelError."""
    with rtnetlink("ways to the node's proxy") as routes:
        for rule in _rules():
            with _ignoring(*_GONE, errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
                routes.rule("del", **rule)
        lo = index_of("lo")
        for version, family in _FAMILIES.items():
            for table in (MARKED, OWN):
                for item in list(list_routes(family, table, PROTOCOL)):
                    with _ignoring(*_GONE):
                        routes.route("del", **_local(item.dst, version, lo, table))


def _rules() -> Iterator[dict[str, Any]]:
    for family in _FAMILIES.values():
        for table, what in ((MARKED, {"fwmark": int(Mark.LOCAL)}), (OWN, {"iifname": "lo"})):
            priority = _PRIORITY[table]
            rule = {"family": family, "table": table, "priority": priority, "protocol": PROTOCOL}
            yield {**rule, **what}


def _local(dst: str, version: int, lo: int, table: int) -> dict[str, Any]:
    route = {"dst": dst, "family": _FAMILIES[version], "oif": lo, "table": table}
    scope = {"scope": _SCOPE_HOST} if version == 4 else {}  # IPv6 routes have none
    return {**route, **scope, "type": _LOCAL, "proto": PROTOCOL}


def _host(address: IPAddress) -> str:
    return f"{address}/{address.max_prefixlen}"


def _own() -> set[IPAddress]:
    found = (item for family in _FAMILIES.values() for item in list_routes(family, OWN, PROTOCOL))
    return {ip_network(item.dst).network_address for item in found}


@contextmanager
def _ignoring(*codes: int) -> Iterator[None]:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as error:
        if error.code not in codes:
            raise
