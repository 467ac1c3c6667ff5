"""Counters of requests outlive the numbers under which the kernel counts them.

It counts by set and place of the rule that allowed a request. A changed policy is another set,
while what users know of it, the path, may be the same: such counts go on where they were. What was
counted under a set that has gone is folded into a row for its route, to which no program counts,
so that rows do not pile up and no counter goes back. Counts of identities that have gone end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any, Protocol

from tulle.abi import HttpClass, HttpCount, HttpCountKey, Identity
from tulle.compile import Compiled
from tulle.compile.rule_sets import RuleSet

OTHER, GONE, REFUSED = "other", "rules that are gone", "-"
Counts = Mapping[HttpCountKey, HttpCount]
Series = tuple[str, str, str, int]  # source, destination, route, class of status


class Counters(Protocol):
    """The kernel's."""

    def request_counts(self) -> dict[HttpCountKey, HttpCount]: ...

    def fold_requests(self, moves: Mapping[HttpCountKey, HttpCountKey]) -> None: ...

    def forget_requests(self, gone: list[HttpCountKey]) -> None: ...


class Tally:
    """Methods may block, and be called from any thread; `prune` from one at a time."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._known: dict[int, RuleSet] = {}  # sets, also such that have gone
        self._last: Counts = {}
        self._lock = Lock()  # for changes of `_known`, which is never changed in place
        self._folding = Lock()  # what is on its way from row to row is in none

    def note(self, compiled: Compiled) -> None:
        """What is in force now."""
        with self._lock:
            self._known = {**self._known, **compiled.memo.isolation.rule_sets}

    def series(self, compiled: Compiled) -> dict[Series, HttpCount]:
        """All counters, with names; of what found no room the first two are ""."""
        found: dict[Series, HttpCount] = {}
        routes = _routes(self._known.values())
        with self._folding:
            counts = self._counters.request_counts()
        for key, count in counts.items():
            if count.requests:
                source, destination = (_name(number, compiled) for number in key[:2])
                name = source, destination, self._route(key, routes), key.status_class
                found[name] = _sum(found[name], count) if name in found else count
        return found

    def prune(self, compiled: Compiled) -> None:
        """What has gone, and was not counted since the last time. Raises KernelError."""
        known, before = self._known, self._last
        counts = self._counters.request_counts()
        self._last = counts
        still = [key for key, count in counts.items() if before.get(key) == count]
        gone = [key for key in still if _has_gone(key, compiled)]
        self._counters.forget_requests(gone)
        ended = set(gone)
        moves = self._moves((key for key in still if key not in ended), compiled)
        with self._folding:
            self._counters.fold_requests(moves)
        named = {key.set for key in counts} | compiled.memo.isolation.rule_sets.keys()
        with self._lock:
            idle = known.keys() - named
            self._known = {key: item for key, item in self._known.items() if key not in idle}

    def _moves(
        self, keys: Iterable[HttpCountKey], compiled: Compiled
    ) -> dict[HttpCountKey, HttpCountKey]:
        sets = compiled.memo.isolation.rule_sets
        routes, live = _routes(self._known.values()), _routes(sets.values())
        moves = {}
        for key in keys:
            if key.folded or (key.set and key.set not in sets):
                route = _number(self._route(key, routes))
                route = route if route in live else _number(GONE)
                to = key._replace(rule=route, set=0, folded=1)
                if to != key:
                    moves[key] = to
        return moves

    def _route(self, key: HttpCountKey, routes: Mapping[int, str]) -> str:
        """What the rule that allowed it says of paths; nothing of what no rule allowed."""
        if key.folded:
            return routes.get(key.rule, GONE)
        if key.status_class == HttpClass.REFUSED:
            return REFUSED
        if not key.set:
            return OTHER
        paths = _paths(self._known[key.set]) if key.set in self._known else []
        # The number may have been another set's before.
        return paths[key.rule] if key.rule < len(paths) else GONE


def _routes(sets: Iterable[RuleSet]) -> dict[int, str]:
    """Those that some rule has, by their numbers."""
    routes = {path for item in sets for path in _paths(item)}
    return {_number(route): route for route in (*routes, OTHER, GONE, REFUSED)}


def _paths(rules: RuleSet) -> list[str]:
    return [rule.path or "/.*" for part in rules.parts for rule in part.layer7.http]


def _number(route: str) -> int:
    return int.from_bytes(hashlib.blake2b(route.encode(), digest_size=4).digest(), "little")


def _has_gone(key: HttpCountKey, compiled: Compiled) -> bool:
    """Numbers below the first are the same for ever."""
    ends = (key.src_identity, key.dst_identity)
    return any(item >= Identity.FIRST and item not in compiled.identities for item in ends)


def _name(number: int, compiled: Compiled) -> str:
    return compiled.identities.get(number) or (f"identity {number}" if number else "")


def _sum(one: HttpCount, other: HttpCount) -> HttpCount:
    bucket: Any = tuple(map(sum, zip(one.bucket, other.bucket, strict=True)))
    return HttpCount(one.requests + other.requests, one.time_ns + other.time_ns, bucket)
