"""What each kind of an API server's objects comes by, and how fresh it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Set
from dataclasses import dataclass
from typing import Any, Protocol

from tulle.edges.kubernetes.condition import Condition
from tulle.edges.kubernetes.discovery import Resource
from tulle.edges.kubernetes.wire import Item, Key
from tulle.model.kubernetes import ObjectRef

from .kinds import Watched

log = logging.getLogger("tulle")

Json = dict[str, Any]

TOLD_AFTER_S = 15.0  # a server that restarts is no news
AGAIN_S = 5.0
UNHEARD = "API server: no answer yet"


@dataclass(slots=True)
class Feed:
    """One reflector. Without `resource` the server has not the kind. `only` is all it tells of."""

    watched: Watched
    resource: Resource | None
    condition: Condition
    only: ObjectRef | None = None
    synced: bool = False  # it has told all that there is, once
    task: asyncio.Task[None] | None = None

    @property
    def settles(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.synced or self.condition.phase == "absent"

    def stop(self) -> None:
        if self.task:
            self.task.cancel()


class Teller(Protocol):
    """Who is told what a server says of a feed's kind."""

    def came(self, feed: Feed, item: Item) -> None: ...
    def listed(self, feed: Feed, keys: Set[Key]) -> None: ...
    def went(self, feed: Feed, key: Key) -> None: ...
    def became(self, feed: Feed) -> None: ...


class FeedSink:
    """A reflector's sink that says of which feed it is."""

    def __init__(self, teller: Teller, feed: Feed) -> None:
        self._teller, self._feed = teller, feed

    def put(self, item: Item) -> None:
        self._teller.came(self._feed, item)

    def keep(self, keys: Set[Key]) -> None:
        self._feed.synced = True
        self._teller.listed(self._feed, keys)

    def drop(self, key: Key, version: str) -> None:
        self._teller.went(self._feed, key)

    def state(self, now: Condition) -> None:
        self._feed.condition = now
        self._teller.became(self._feed)


def problems_of(feeds: Collection[Feed], now_s: float) -> list[str]:
    """What makes the objects in force older than they should be, or fewer."""
    found = []
    behind = [
        feed
        for feed in feeds
        if feed.condition.phase == "behind" and now_s - feed.condition.since > TOLD_AFTER_S
    ]
    if behind:
        oldest = min(behind, key=lambda feed: feed.condition.since).condition
        kinds = sorted({feed.watched.kind for feed in behind})
        shown = kinds[0] if len(kinds) == 1 else f"{kinds[0]} and {len(kinds) - 1} more kinds"
        age_s = round(now_s - oldest.since)
        found.append(f"{oldest.problem or UNHEARD}; of {shown} what it said {age_s} s ago holds")
    forbidden = {
        f"{feed.watched.kind}: {feed.condition.problem}"
        for feed in feeds
        if feed.condition.phase == "forbidden"
    }
    return found + sorted(forbidden)


def shown(feed: Feed, now_s: float) -> Json:
    now = feed.condition
    return {
        "phase": now.phase,
        "version": feed.resource.group_version if feed.resource else "",
        "age_s": 0 if now.phase == "synced" else round(now_s - now.since),
        "problem": now.problem,
    }


async def undisturbed(run: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
    """What goes wrong with one kind beyond all that is foreseen does not take the others along."""
    while True:
        try:
            await run()
            return
        except Exception:
            log.exception("internal error in reading %s", what)
            await asyncio.sleep(AGAIN_S)
