"""Who has some of a network is who took some of it first."""

from __future__ import annotations

from ipaddress import ip_network
from random import Random

from tulle.compile.ranges import Ranges


def test_owners_are_those_that_trying_each_finds() -> None:
    rng = Random(11)
    for _ in range(200):
        ranges, taken = Ranges(), {}
        for number in range(rng.randint(0, 12)):
            network = ip_network((rng.getrandbits(32), rng.randint(1, 32)), strict=False)
            found = {owner for other, owner in taken.items() if other.overlaps(network)}
            assert (ranges.owner(network) in found) if found else (ranges.owner(network) == "")
            ranges.add(network, f"node {number}")
            if not found:
                taken[network] = f"node {number}"
