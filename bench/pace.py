"""How long a run goes on: a number of rounds, or as many as fit before a deadline."""

from __future__ import annotations

import time
from typing import Protocol


class Pace(Protocol):
    def more(self, done: int) -> bool:
        """Whether to start another round after `done` of them."""

    def part(self, done: float) -> float:
        """How much of the run is over, 0 to 1, after `done` rounds."""


class ByCount:
    def __init__(self, rounds: int) -> None:
        self._rounds = rounds

    def more(self, done: int) -> bool:
        return done < self._rounds

    def part(self, done: float) -> float:
        return done / self._rounds


class ByTime:
    """At least one round; then as long as another one, judged by those before, ends in time."""

    def __init__(self, deadline: float) -> None:
        """`deadline` is on the clock of time.monotonic; the first round starts now."""
        self._started, self._deadline = time.monotonic(), deadline

    def more(self, done: int) -> bool:
        if done == 0:
            return True
        now = time.monotonic()
        return now + (now - self._started) / done <= self._deadline

    def part(self, done: float) -> float:
        whole = max(self._deadline - self._started, 1.0)
        return min((time.monotonic() - self._started) / whole, 1.0)
