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


def node_addresses(cidrs: Sequence[IPNetwork] = POD_CIDRS) -> tuple[IPAddress, ...]:
    """The first address of each CIDR, which is kept for the node."""
    return tuple(cidr[1] for cidr in cidrs)


def addresses_of(cidrs: Sequence[IPNetwork], number: int) -> tuple[IPAddress, ...]:
    """The addresses of host `number`: the same number in every CIDR."""
    return tuple(cidr[number] for cidr in cidrs)


def next_number(cidrs: Sequence[IPNetwork], used: Collection[int], after: int) -> int:
    """The first free host number after `after`, wrapping round, so that reuse comes late.

    Raises Refused, which names the CIDR that is full.
    """
    smallest = min(cidrs, key=lambda cidr: cidr.num_addresses)
    last = smallest.num_addresses - 2  # the last of an IPv4 network is its broadcast address
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
