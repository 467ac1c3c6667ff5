"""How long to wait before trying again: 1, 2, 4 … 60 seconds. Pure."""

from __future__ import annotations

MAX_S = 60.0
RESET_AFTER_S = 60.0


class Backoff:
    """Delays that double with each failure, until something has held for RESET_AFTER_S."""

    def __init__(self) -> None:
        self._next_s = 1.0

    def after(self, held_s: float) -> float:
        """Seconds to wait after a failure of what had held for `held_s` seconds."""
        if held_s >= RESET_AFTER_S:
            self._next_s = 1.0
        delay_s, self._next_s = self._next_s, min(self._next_s * 2, MAX_S)
        return delay_s
