"""When each condition of a status last changed: what a pure routing cannot know.

Times begin anew with the agent: what it finds when it starts is as old as its first pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Routing

Json = dict[str, Any]
_NAMES = ("name", "parentRef", "ancestorRef", "cluster")  # of parts of a status
_PARTS = ("listeners", "parents", "ancestors")


def _now() -> datetime:
    return datetime.now(UTC)


class Transitions:
    """`lastTransitionTime` of all conditions, in every status."""

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._told: Mapping[ObjectRef, tuple[Json, Json]] = {}  # a status, and with its times
        self._last: Routing | None = None
        self._stamped = Routing()

    def of(self, routing: Routing) -> Routing:
        """With the times; one that is the same as last time gives the same."""
        if routing is not self._last:
            now = self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")
            self._told = {
                ref: self._status(self._told.get(ref), status, now)
                for ref, status in routing.status.items()
            }
            told = {ref: stamped for ref, (_, stamped) in self._told.items()}
            self._last, self._stamped = routing, replace(routing, status=told)
        return self._stamped

    def _status(
        self, before: tuple[Json, Json] | None, status: Json, now: str
    ) -> tuple[Json, Json]:
        if before is not None and (before[0] is status or before[0] == status):
            return before
        return status, stamped(status, before[1] if before else {}, now)


def stamped(status: Json, before: Json, now: str) -> Json:
    """With the times of `before` where a condition says the same as there."""
    made = dict(status)
    if "conditions" in status:
        old = {item["type"]: item for item in before.get("conditions") or ()}
        made["conditions"] = [
            item | {"lastTransitionTime": _since(item, old.get(item["type"]), now)}
            for item in status["conditions"]
        ]
    for part in _PARTS:
        if part in status:
            known = {name_of(item): item for item in before.get(part) or ()}
            made[part] = [stamped(item, known.get(name_of(item), {}), now) for item in status[part]]
    return made


def _since(item: Json, before: Json | None, now: str) -> str:
    if before is not None and before["status"] == item["status"]:
        return str(before.get("lastTransitionTime") or now)
    return now


def name_of(item: Json) -> str:
    """What a part of a status is about, in whatever order its words stand."""
    named = next(item[name] for name in _NAMES if name in item)
    return named if isinstance(named, str) else str(sorted(named.items()))
