"""How long to wait before the next try: up to a limit that doubles, by chance. Else pure."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_S = 0.1
MAX_S = 30.0


class Backoff:
    """Full jitter, so that a thousand agents that lost one server do not come back at once."""

    def __init__(
        self,
        first_s: float = FIRST_S,
        max_s: float = MAX_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`chance` gives numbers from 0 up to, not including, 1."""
        self._first_s, self._max_s, self._chance = first_s, max_s, chance
        self._limit_s = first_s

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        delay_s = self._limit_s * self._chance()
        self._limit_s = min(self._limit_s * 2, self._max_s)
        return delay_s

    def reset(self) -> None:
        """Something went well."""
        self._limit_s = self._first_s
