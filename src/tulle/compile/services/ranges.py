"""Addresses that no Service may have: where workloads live."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import collapse_addresses

from tulle.model.world import IPAddress, IPNetwork, World


class Ranges:
    """Which of some networks an address is in, found among hundreds without trying each.

    >>> from ipaddress import ip_address, ip_network
    >>> ranges = Ranges([ip_network("10.244.0.0/24"), ip_network("10.244.7.0/24")])
    >>> ranges.around(ip_address("10.244.7.9")), ranges.around(ip_address("10.244.1.0"))
    (IPv4Network('10.244.7.0/24'), None)
    """

    def __init__(self, networks: Iterable[IPNetwork] = ()) -> None:
        self.networks = tuple(networks)
        four = collapse_addresses(item for item in self.networks if item.version == 4)
        six = collapse_addresses(item for item in self.networks if item.version == 6)
        self._sorted: dict[int, list[IPNetwork]] = {4: list(four), 6: list(six)}
        self._starts = {
            version: [item.network_address for item in found]
            for version, found in self._sorted.items()
        }

    def around(self, address: IPAddress) -> IPNetwork | None:
        at = bisect_right(self._starts[address.version], address) - 1
        found = self._sorted[address.version][at] if at >= 0 else None
        return found if found is not None and address in found else None


def workload_ranges(world: World) -> tuple[IPNetwork, ...]:
    nodes = (world.node, *world.nodes.values())
    return tuple(network for node in nodes for network in node.pod_cidrs)
