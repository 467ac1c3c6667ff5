"""Numbers for names: identities, rules, policy sets, backend tables, service addresses.

A number stays with its name as long as the name is in use, and a number that was given back is
not given out again before the counter has gone round, so that a late packet or event never speaks
of somebody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tulle.abi import Identity, PolicySet, RuleId


@dataclass(frozen=True, slots=True)
class Space:
    """Numbers of one kind: `first` ≤ number < `limit`."""

    first: int
    limit: int

    def after(self, number: int) -> int:
        return max(number + 1, self.first) if number + 1 < self.limit else self.first


SPACES: Mapping[str, Space] = {
    "identity": Space(Identity.FIRST, 1 << 24),  # fits a VXLAN network identifier
    "rule": Space(RuleId.FIRST, 1 << 32),
    "set": Space(PolicySet.FIRST, 1 << 32),
    "service": Space(1, 1 << 32),
    "table": Space(1, 1 << 32),
    "backend": Space(1, 1 << 32),
}


@dataclass(frozen=True, slots=True)
class Ids:
    """What is given out, per kind, and where each kind's counter stands."""

    taken: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    next: Mapping[str, int] = field(default_factory=dict)

    def number(self, kind: str, name: str) -> int:
        return self.taken[kind][name]


class Allocator:
    """Collects the names of one compilation; `freeze` forgets those that no longer occur.

    >>> first = Allocator(Ids()); one = first.get("rule", "a"); ids = first.freeze()
    >>> Allocator(ids).get("rule", "a") == one
    True
    """

    def __init__(self, before: Ids) -> None:
        self._before = before
        self._used: dict[str, dict[str, int]] = {kind: {} for kind in SPACES}
        self._next = {kind: before.next.get(kind, space.first) for kind, space in SPACES.items()}
        self._busy = {kind: set(before.taken.get(kind, {}).values()) for kind in SPACES}

    def get(self, kind: str, name: str) -> int:
        used = self._used[kind]
        if name not in used:
            known = self._before.taken.get(kind, {}).get(name)
            used[name] = self._fresh(kind) if known is None else known
        return used[name]

    def _fresh(self, kind: str) -> int:
        space, busy = SPACES[kind], self._busy[kind]
        number = max(self._next[kind], space.first)
        while number in busy or number >= space.limit:
            number = number + 1 if number + 1 < space.limit else space.first
        busy.add(number)
        self._next[kind] = number + 1
        return number

    def freeze(self) -> Ids:
        return Ids(self._used, self._next)
