"""Consistent choice: a table in which a change of one backend moves few of the others' places.

Source: D. E. Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI
2016, section 3.4. A pure function of names and weights, so every node has the same table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

# Primes. A table has ten places a backend at least; between two sizes everything moves, so they
# are few.
SIZES = (1021, 16381, 131071)
PLACES_PER_BACKEND = 10


def maglev_table(names: Sequence[str], weights: Sequence[int]) -> list[int]:
    """For each place the index of its backend; a backend has places in proportion to its weight.

    Where a weight is too small beside the others for a place, the backend has none.
    """
    if not names:
        return []
    wanted = PLACES_PER_BACKEND * len(names)
    size = next((item for item in SIZES if item >= wanted), SIZES[-1])
    order = sorted(range(len(names)), key=lambda index: names[index])
    walks = [_permutation(names[index], size) for index in order]
    most = max(weights)
    credit = [0] * len(order)
    table = [-1] * size
    filled = 0
    while True:
        for turn, index in enumerate(order):
            # The heaviest takes a place in every round, the others as often as their weight says.
            credit[turn] += weights[index]
            if credit[turn] < most:
                continue
            credit[turn] -= most
            offset, skip = walks[turn]
            while table[offset] >= 0:
                offset = (offset + skip) % size
            table[offset] = index
            walks[turn] = (offset + skip) % size, skip
            filled += 1
            if filled == size:
                return table


def _permutation(name: str, size: int) -> tuple[int, int]:
    """Where a backend's walk over the table begins and how far it steps."""
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    first, second = (int.from_bytes(part, "little") for part in (digest[:8], digest[8:]))
    return first % size, second % (size - 1) + 1
