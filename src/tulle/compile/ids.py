"""Numbers for names: identities, rules, services, rule sets and the like, of 16 to 32 bits.

A number stays with its name as long as the name is in use, and a number that was given back is
not given out again before the counter has gone round, so that a late packet or event never speaks
of somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tulle import abi
from tulle.abi import Identity, NameLimit, RuleId

CROSSINGS = 1 << 20  # identities that only diff gives, on the way between two others


@dataclass(frozen=True, slots=True)
class Space:
    """Numbers of one kind: `first` ≤ number < `limit`."""

    first: int
    limit: int

    def after(self, number: int) -> int:
        return max(number + 1, self.first) if number + 1 < self.limit else self.first


SPACES: Mapping[str, Space] = {
    "identity": Space(Identity.FIRST, (1 << 24) - CROSSINGS),
    "rule": Space(RuleId.FIRST, 1 << 32),
    "service": Space(1, 1 << 32),
    "name selector": Space(NameLimit.SELECTOR, 1 << 25),
    "rule set": Space(1024, 1 << 16),  # a port; those below need a privilege
}


@dataclass(frozen=True, slots=True)
class Ids:
    """What is given out, per kind, and where each kind's counter stands. Never changed in place."""

    taken: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    next: Mapping[str, int] = field(default_factory=dict)

    def number(self, kind: str, name: str) -> int:
        return self.taken[kind][name]


def counters_above(maps: Mapping[str, Mapping[bytes, bytes]]) -> Ids:
    """Ids to start from when only the kernel knows which numbers it holds, and not their names.

    Their counters stand above all of those.
    """
    policy = [
        (abi.PolicyKey.unpack(key), abi.PolicyEntry.unpack(value))
        for key, value in maps.get("policy", {}).items()
    ]
    endpoints = [abi.Endpoint.unpack(value) for value in maps.get("endpoints", {}).values()]
    services = [abi.Service.unpack(value) for value in maps.get("services", {}).values()]
    known = [abi.IpcacheEntry.unpack(value).identity for value in maps.get("ipcache", {}).values()]
    known += [key.peer for key, _ in policy] + [item.identity for item in endpoints]
    counted = [int.from_bytes(key, "little") for key in maps.get("rules", {})]
    decided = [rule for _, entry in policy for rule in (entry.rule, entry.audit_rule)]
    seen = {
        "rule": [*counted, *decided],
        "identity": [number for number in known if number < SPACES["identity"].limit],
        "service": [item.id for item in services],
        "name selector": [key.peer for key, _ in policy if key.peer >= NameLimit.SELECTOR],
        "rule set": [entry.proxy for _, entry in policy if entry.proxy],
    }
    return Ids(
        {}, {kind: SPACES[kind].after(max(numbers, default=0)) for kind, numbers in seen.items()}
    )


class Allocator:
    """Collects the names of one compilation; `freeze` forgets those that no longer occur.

    >>> first = Allocator(Ids()); one = first.get("rule", "a"); ids = first.freeze()
    >>> Allocator(ids).get("rule", "a") == one
    True
    """

    def __init__(self, before: Ids) -> None:
        self._before = before
        self._used: dict[str, dict[str, int]] = {kind: {} for kind in SPACES}
        self._kept: set[str] = set()
        self._next = {kind: before.next.get(kind, space.first) for kind, space in SPACES.items()}
        self._busy: dict[str, set[int]] = {}

    def get(self, kind: str, name: str) -> int:
        number = self._now(kind).get(name)
        if number is None:
            known = self._before.taken.get(kind, {}).get(name)
            number = self._fresh(kind) if known is None else known
            self._own(kind)[name] = number
        return number

    def keep(self, kind: str, gone: Iterable[str] = ()) -> None:
        """All names of before occur again but those that are gone. To be called before `get`."""
        self._kept.add(kind)
        for name in gone:
            self._own(kind).pop(name, None)

    def freeze(self) -> Ids:
        """`before` itself, or at least its mappings, where nothing has changed."""
        before = self._before
        taken = {kind: self._frozen(kind) for kind in SPACES}
        same = all(taken[kind] is before.taken.get(kind) for kind in SPACES)
        return before if same and self._next == before.next else Ids(taken, self._next)

    def _frozen(self, kind: str) -> Mapping[str, int]:
        now, was = self._now(kind), self._before.taken.get(kind)
        return was if now is was or (was is not None and now == was) else now

    def _now(self, kind: str) -> Mapping[str, int]:
        return self._before.taken.get(kind, {}) if kind in self._kept else self._used[kind]

    def _own(self, kind: str) -> dict[str, int]:
        """Names of this compilation, to be written to."""
        if kind in self._kept:
            self._used[kind] = dict(self._before.taken.get(kind, {}))
            self._kept.remove(kind)
        return self._used[kind]

    def _fresh(self, kind: str) -> int:
        if kind not in self._busy:
            self._busy[kind] = set(self._before.taken.get(kind, {}).values())
        space, busy = SPACES[kind], self._busy[kind]
        number = max(self._next[kind], space.first)
        while number in busy or number >= space.limit:
            number = number + 1 if number + 1 < space.limit else space.first
        busy.add(number)
        self._next[kind] = number + 1
        return number
