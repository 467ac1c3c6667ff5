"""What `tulle get requests` shows: the kernel's counters of requests, with names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tulle.abi import HttpClass, HttpCount

from .agent import Agent, Pass
from .tally import Series

Json = dict[str, Any]
_CLASSES: Mapping[int, str] = {HttpClass.UNSEEN: "not seen", HttpClass.REFUSED: "refused"}
NO_ROOM = "more than there is room for"


def requests(agent: Agent, now: Pass) -> list[Json]:
    """A row for each source, destination, route and class of status, since the node is up."""
    rows = [_row(name, count) for name, count in agent.tally.series(now.compiled).items()]
    return sorted(
        rows, key=lambda row: (row["destination"], row["source"], row["route"], row["status"])
    )


def _row(name: Series, count: HttpCount) -> Json:
    source, destination, route, status = name
    seen = sum(count.bucket)
    return {
        "source": source or NO_ROOM,
        "destination": destination or NO_ROOM,
        "route": route,
        "status": _status(status),
        "requests": count.requests,
        "mean_us": count.time_ns / seen / 1000 if seen else None,
        "p50_us": percentile(count.bucket, 0.5),
        "p99_us": percentile(count.bucket, 0.99),
        # as Prometheus has them: how many took no longer
        "buckets_us": dict(_cumulative(count.bucket)),
    }


def _status(number: int) -> str:
    return _CLASSES.get(number, f"{number}xx")


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
