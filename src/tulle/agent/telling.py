"""What part of the requests that went well the proxy tells of. Pure.

All of them as long as they are few, or somebody follows flows; else one in a power of two, so that
telling costs nothing that could be measured. The part falls at once and rises slowly: load comes in
bursts.
"""

from __future__ import annotations

from dataclasses import dataclass

FEW_PER_S = 200  # as many as nobody minds; each costs the proxy and the agent 12 µs
PER_S = 50  # at most, when there are more: what wakes the agent disturbs the proxy, too
LEAST = 1 << 14  # of so many, one is told at least
HALF_LIFE_S = 10.0  # of the memory of a burst


@dataclass(slots=True)
class Telling:
    """One in `one_in` is told, at a load of `per_s` requests."""

    one_in: int = 1
    per_s: float = 0.0

    def observe(self, told: int, seconds: float, followed: bool) -> None:
        """Of the requests that went well, `told` were told in the last `seconds`.

        >>> telling = Telling()
        >>> telling.observe(12_000, 1.0, followed=False)
        >>> telling.one_in
        256
        """
        remembered = self.per_s * 0.5 ** (seconds / HALF_LIFE_S)
        self.per_s = max(told * self.one_in / seconds, remembered)
        self.one_in = 1
        if followed or self.per_s <= FEW_PER_S:
            return
        while self.per_s > PER_S * self.one_in and self.one_in < LEAST:
            self.one_in *= 2
