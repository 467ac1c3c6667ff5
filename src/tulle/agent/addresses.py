"""Which addresses a workload gets: pure, round robin over the node's pod CIDRs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import IPv4Network, IPv6Network

from tulle.errors import Refused
from tulle.model.world import IPAddress, IPNetwork

POD_CIDRS: tuple[IPNetwork, ...] = (
    IPv4Network("10.244.0.0/24"),
    IPv6Network("fd00:7a11:0:244::/64"),
)
_FIRST = 2  # 0 is the network, 1 the node itself
_ROOM_FOR_INGRESS = 16  # addresses of a CIDR that is large enough for it


def node_addresses(cidrs: Sequence[IPNetwork] = POD_CIDRS) -> tuple[IPAddress, ...]:
    """The first address of each CIDR, which is kept for the node."""
    return tuple(cidr[1] for cidr in cidrs)


def ingress_addresses(cidrs: Sequence[IPNetwork] = POD_CIDRS) -> tuple[IPAddress, ...]:
    """Those from which the node's proxy connects for clients from outside: one of each CIDR.

    None where CIDRs are too small to give one away.
    """
    return addresses_of(cidrs, _last(cidrs) + 1) if cidrs and _has_ingress(cidrs) else ()


def addresses_of(cidrs: Sequence[IPNetwork], number: int) -> tuple[IPAddress, ...]:
    """The addresses of host `number`: the same number in every CIDR."""
    return tuple(cidr[number] for cidr in cidrs)


def next_number(cidrs: Sequence[IPNetwork], used: Collection[int], after: int) -> int:
    """The first free host number after `after`, wrapping round, so that reuse comes late.

    Raises Refused, which names the CIDR that is full.
    """
    smallest, last = _smallest(cidrs), _last(cidrs)
    count = last - _FIRST + 1
    if len(used) < count:
        for step in range(1, count + 1):
            number = _FIRST + (max(after, _FIRST - 1) - _FIRST + step) % count
            if number not in used:
                return number
    raise Refused(
        f"no address left: {smallest} has room for {max(count, 0)} workloads; "
        "delete some or give the node a larger pod CIDR"
    )


def _smallest(cidrs: Sequence[IPNetwork]) -> IPNetwork:
    return min(cidrs, key=lambda cidr: cidr.num_addresses)


def _has_ingress(cidrs: Sequence[IPNetwork]) -> bool:
    return _smallest(cidrs).num_addresses >= _ROOM_FOR_INGRESS


def _last(cidrs: Sequence[IPNetwork]) -> int:
    """The highest number that a workload may have."""
    last = _smallest(cidrs).num_addresses - 2  # then comes the broadcast address of IPv4
    return last - 1 if _has_ingress(cidrs) else last
