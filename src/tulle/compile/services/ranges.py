"""Addresses that no Service may have: where workloads live."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from tulle.compile.ranges import Ranges
from tulle.model.world import IPAddress, IPNetwork, World


class WorkloadRanges:
    """Networks that may overlap; `around` says in which an address is.

    >>> from ipaddress import ip_address
    >>> ranges = WorkloadRanges([ip_network("10.244.0.0/24"), ip_network("10.244.7.0/24")])
    >>> ranges.around(ip_address("10.244.7.9")), ranges.around(ip_address("10.244.1.0"))
    ('10.244.7.0/24', '')
    """

    def __init__(self, networks: Iterable[IPNetwork] = ()) -> None:
        self.networks = tuple(networks)
        self._ranges = Ranges()
        four = [item for item in self.networks if isinstance(item, IPv4Network)]
        six = [item for item in self.networks if isinstance(item, IPv6Network)]
        collapsed: list[IPNetwork] = [*collapse_addresses(four), *collapse_addresses(six)]
        for network in collapsed:
            self._ranges.add(network, str(network))

    def around(self, address: IPAddress) -> str:
        """The range, or the union of several, that has the address; "" if none has."""
        return self._ranges.owner(ip_network(address))


def workload_ranges(world: World) -> tuple[IPNetwork, ...]:
    nodes = (world.node, *world.nodes.values())
    return tuple(network for node in nodes for network in node.pod_cidrs)
