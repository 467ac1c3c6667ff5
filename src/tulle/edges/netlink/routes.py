"""Routes of this node that are Tulle's, known by their protocol number."""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from tulle.errors import KernelError
from tulle.model.world import IPAddress, IPNetwork

from .base import rtnetlink
from .dumps import FAMILIES, Listed, list_routes

if TYPE_CHECKING:
    from collections.abc import Iterable

PROTOCOL = 116  # "t"; nobody's in iproute2's rt_protos
UNREACHABLE = 7  # RTN_UNREACHABLE
_TABLE_MAIN = 254
_RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 4, 5, 7


@dataclass(frozen=True, slots=True)
class Route:
    """To `dst` by interface `oif` and `gateway`; with `oif` 0 nothing is there: unreachable."""

    dst: IPNetwork
    oif: int = 0
    gateway: IPAddress | None = None
    src: IPAddress | None = None


def read_routes() -> set[Route]:
    """Those that `put_routes` has made, by this agent or an earlier one. Raises KernelError."""
    listed = (list_routes(family, _TABLE_MAIN, PROTOCOL) for family in FAMILIES)
    return {_route(item) for some in listed for item in some}


def put_routes(routes: Iterable[Route]) -> None:
    """Add them, or replace those to the same destinations. Raises KernelError."""
    for route in routes:
        with rtnetlink(f"route to {route.dst}") as netlink:
            netlink.route("replace", **_request(route))


def delete_routes(routes: Iterable[Route]) -> None:
    """One that is gone is no error. Raises KernelError."""
    for route in routes:
        try:
            with rtnetlink(f"route to {route.dst}") as netlink:
                netlink.route("del", **_request(route))
        except KernelError as error:
            if error.errno != errno.ESRCH:
                raise


def _request(route: Route) -> dict[str, Any]:
    request: dict[str, Any] = {"dst": str(route.dst), "proto": PROTOCOL, "table": _TABLE_MAIN}
    if not route.oif:
        return {**request, "type": UNREACHABLE}
    request["oif"] = route.oif
    if route.gateway:
        request["gateway"] = str(route.gateway)
    if route.src:
        request["prefsrc"] = str(route.src)
    return request


def _route(item: Listed) -> Route:
    known = item.attributes
    dst = ip_network(item.dst)
    if item.type == UNREACHABLE:
        return Route(dst)
    gateway, src = known.get(_RTA_GATEWAY), known.get(_RTA_PREFSRC)
    return Route(
        dst,
        int.from_bytes(known.get(_RTA_OIF, b""), sys.byteorder),
        ip_address(gateway) if gateway else None,
        ip_address(src) if src else None,
    )
