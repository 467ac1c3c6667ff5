"""An address is found in the range that has it, and in no other."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from random import Random

from tulle.compile.services.ranges import WorkloadRanges


def test_membership_is_what_trying_each_range_says() -> None:
    rng = Random(7)
    for _ in range(200):
        networks = [
            ip_network((rng.getrandbits(32), rng.randint(0, 32)), strict=False)
            for _ in range(rng.randint(0, 9))
        ] + [ip_network(f"fd00:{rng.randint(0, 9)}::/{rng.randint(17, 64)}", strict=False)]
        ranges = WorkloadRanges(networks)
        edges = [item for network in networks for item in (network[0], network[-1])]
        for address in [*edges, ip_address(rng.getrandbits(32)), ip_address("fd00:5::1")]:
            within = any(address in network for network in networks)
            found = ranges.around(address)
            assert bool(found) == within
            assert not found or address in ip_network(found)
