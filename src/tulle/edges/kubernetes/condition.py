"""How far what is known of a kind can be trusted: for status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["synced", "behind", "forbidden", "absent"]


@dataclass(frozen=True, slots=True)
class Condition:
    """`synced`: all is known. Else what was said last holds: `since` when, and why.

    `behind`: no answer, or one that helps nobody. `absent`: the server does not know the kind.
    """

    phase: Phase
    since: float  # by the reflector's clock
    problem: str = ""
