"""Weighted choice in constant time: the alias method, built here and drawn from in the kernel.

Source: M. D. Vose, "A linear algorithm for generating random numbers with a given distribution",
IEEE Transactions on Software Engineering 17 (1991).
"""

from __future__ import annotations

from collections.abc import Sequence

ALWAYS = (1 << 32) - 1


def alias_table(weights: Sequence[int]) -> list[tuple[int, int]]:
    """(keep, alias) per slot: a 32-bit draw ≤ keep takes the slot itself, else its alias.

    >>> alias_table([1, 1])
    [(4294967295, 0), (4294967295, 1)]
    """
    count, total = len(weights), sum(weights)
    scaled = [weight * count for weight in weights]  # the mean is `total`
    table = [(ALWAYS, index) for index in range(count)]
    small = [index for index in range(count) if scaled[index] < total]
    large = [index for index in range(count) if scaled[index] > total]
    while small and large:
        low, high = small.pop(), large.pop()
        table[low] = (max(scaled[low] * (1 << 32) // total - 1, 0), high)
        scaled[high] -= total - scaled[low]
        if scaled[high] < total:
            small.append(high)
        elif scaled[high] > total:
            large.append(high)
    return table
