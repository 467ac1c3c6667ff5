"""What `tulle get requests` shows: the kernel's counters of requests, with names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tulle.abi import HttpClass, HttpCount, HttpCountKey
from tulle.compile.rule_sets import RuleSet

from .agent import Agent, Pass

Json = dict[str, Any]
OTHER, GONE = "other", "rules that are gone"  # no rule reads it, or did
_CLASSES: Mapping[int, str] = {HttpClass.UNSEEN: "not seen", HttpClass.REFUSED: "refused"}
NO_ROOM = "more than there is room for"


def requests(agent: Agent, now: Pass) -> list[Json]:
    """A row for each source, destination, route and class of status, since the node is up."""
    sets = now.compiled.memo.isolation.rule_sets
    rows = [
        _row(key, count, now.compiled.identities, sets.get(key.set))
        for key, count in agent.datapath.request_counts().items()
        if count.requests
    ]
    return sorted(
        rows, key=lambda row: (row["destination"], row["source"], row["route"], row["status"])
    )


def _row(
    key: HttpCountKey, count: HttpCount, identities: Mapping[int, str], rules: RuleSet | None
) -> Json:
    seen = sum(count.bucket)
    return {
        "source": _name(key.src_identity, identities),
        "destination": _name(key.dst_identity, identities),
        "route": _route(key, rules),
        "status": _status(key.status_class),
        "requests": count.requests,
        "mean_us": count.time_ns / seen / 1000 if seen else None,
        "p50_us": percentile(count.bucket, 0.5),
        "p99_us": percentile(count.bucket, 0.99),
        # as Prometheus has them: how many took no longer
        "buckets_us": dict(_cumulative(count.bucket)),
    }


def _name(number: int, identities: Mapping[int, str]) -> str:
    return identities.get(number) or (f"identity {number}" if number else NO_ROOM)


def _status(number: int) -> str:
    return _CLASSES.get(number, f"{number}xx")


def _route(key: HttpCountKey, rules: RuleSet | None) -> str:
    """What the rule that allowed it says of paths; nothing of what no rule allowed."""
    if key.status_class == HttpClass.REFUSED:
        return "-"
    if rules is None:
        return GONE if key.set else OTHER
    wanted = [rule for part in rules.parts for rule in part.layer7.http]
    # The number may have been another set's before.
    return (wanted[key.rule].path or "/.*") if key.rule < len(wanted) else GONE


def _cumulative(buckets: tuple[int, ...]) -> Iterator[tuple[str, int]]:
    total = 0
    for place, count in enumerate(buckets):
        total += count
        yield ("+Inf" if place == len(buckets) - 1 else str(1 << place)), total


def percentile(buckets: tuple[int, ...], part: float) -> float | None:
    """In µs, taking times for evenly spread within their bucket; None if there are none.

    >>> percentile((0, 0, 0, 100), 0.5), percentile((0, 0), 0.5)
    (6.0, None)
    """
    wanted, below = part * sum(buckets), 0
    for place, count in enumerate(buckets):
        if count and below + count >= wanted:
            low = (1 << place) / 2 if place else 0.0
            return low + ((1 << place) - low) * (wanted - below) / count
        below += count
    return None
