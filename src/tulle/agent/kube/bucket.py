"""How often something may be done: a bucket of tokens that fills by itself. Pure."""

from __future__ import annotations


class Bucket:
    """`per_s` times a second on the average, at most `burst` at once."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._tokens, self._at_s = burst, 0.0

    def take(self, now_s: float) -> bool:
        """Whether there was one; `now_s` is of a clock that never goes back."""
        if self.wait_s(now_s) > 0:
            return False
        self._tokens -= 1
        return True

    def wait_s(self, now_s: float) -> float:
        """Until there is one."""
        gained = max(0.0, now_s - self._at_s) * self._per_s
        self._tokens = min(self._burst, self._tokens + gained)
        self._at_s = max(self._at_s, now_s)
        return max(0.0, 1 - self._tokens) / self._per_s
