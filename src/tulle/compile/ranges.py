"""Address ranges with their owners, found among hundreds without trying each."""

from __future__ import annotations

from bisect import bisect

from tulle.model.world import IPNetwork


class Ranges:
    """Ranges that do not overlap, each with its owner."""

    def __init__(self) -> None:
        # of each family, in order: first address, last address, owner
        self._ranges: dict[int, list[tuple[int, int, str]]] = {4: [], 6: []}

    def owner(self, network: IPNetwork) -> str:
        """Who has some of it; empty if nobody has."""
        first, last = int(network.network_address), int(network.broadcast_address)
        ranges = self._ranges[network.version]
        index = bisect(ranges, last, key=lambda item: item[0])
        return ranges[index - 1][2] if index and ranges[index - 1][1] >= first else ""

    def add(self, network: IPNetwork, owner: str) -> None:
        """What overlaps is somebody's already: of one owner, an address in its own range."""
        if not self.owner(network):
            ranges = self._ranges[network.version]
            first, last = int(network.network_address), int(network.broadcast_address)
            ranges.insert(bisect(ranges, first, key=lambda item: item[0]), (first, last, owner))
