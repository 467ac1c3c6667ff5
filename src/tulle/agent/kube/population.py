"""The other nodes and their Pods, as an API server tells of them.

Nobody is told of this node, whose Pods are in the API already, unless it joins from beside.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

from tulle.edges.kubernetes.backoff import Backoff
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.condition import Condition
from tulle.edges.kubernetes.discovery import Resource
from tulle.edges.kubernetes.reflector import Reflector
from tulle.edges.kubernetes.wire import Item
from tulle.edges.kubernetes.wire import Key as ItemKey
from tulle.errors import Unavailable
from tulle.model.world import Key, Node, Workload

from ..nodes import Others
from .census import Census
from .feeds import Feed, FeedSink, problems_of, shown, undisturbed
from .joining import Joining
from .kinds import Watched
from .own import OwnPods
from .remembered import Remembered

log = logging.getLogger("tulle")

Json = dict[str, Any]
Clock = Callable[[], float]

NODES = Resource("", "v1", "nodes", "Node", False)
PODS = Resource("", "v1", "pods", "Pod", True)
RECALL_AFTER_S = 10.0  # so long the present is waited for before the past is put in force
REMEMBER_S = 15.0
_ALIVE = "status.phase!=Succeeded,status.phase!=Failed"


class Population:
    """Scanned from any thread; everything else belongs to the event loop."""

    def __init__(
        self,
        client: Client,
        node: str,
        memory: Path,
        clock: Clock,
        has_namespace: Callable[[str], bool],
        joining: Joining | None = None,
        *,
        chained: bool = False,
    ) -> None:
        """`node` is this one's name. `memory` keeps over a restart what was known."""
        self._joining = joining
        self._client, self._clock = client, clock
        self._lock = threading.Lock()
        self._census = Census(node, chained=chained)
        self._memory = Remembered(memory)
        self._recalled: Others | None = None
        self.own = OwnPods(client, PODS, has_namespace)
        self._changed: Callable[[], object] = lambda: None
        self._told = asyncio.Event()  # something new since it was last remembered
        self._troubled = asyncio.Event()
        here = {"fieldSelector": f"spec.nodeName={node},{_ALIVE}"}
        elsewhere = {"fieldSelector": f"spec.nodeName!={node},spec.nodeName!=,{_ALIVE}"}
        self._nodes = self._feed(Watched("Node", ("v1",)), NODES)
        self._pods = self._feed(Watched("Pod", ("v1",), elsewhere), PODS)
        self._here = self._feed(Watched("Pod", ("v1",), here), PODS)

    def scan(self) -> Others:
        """Raises Unavailable as long as nothing of them is known."""
        with self._lock:
            if self._is_whole():
                self._recalled = None
                return self._census.others()
            if self._recalled is None:
                raise Unavailable("API server: has not told of Nodes and Pods yet")
            return self._recalled

    def tell(self, node: Node, workloads: Mapping[Key, Workload]) -> None:
        if self._joining:
            self._joining.tell(node, workloads)

    async def withdraw(self) -> None:
        """Whoever made a Node deletes it."""
        if self._joining:
            await self._joining.withdraw()

    def created(self) -> dict[str, str]:
        with self._lock:
            states = self._recalled or self._census.others()
        objects = (state.node.metadata for state in states.nodes.values())
        return {meta.name: str(meta.creation_timestamp or "") for meta in objects}

    def watch(self, changed: Callable[[], object]) -> None:
        self._changed = changed

    def unwatch(self) -> None:
        self._changed = lambda: None

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for feed in (self._nodes, self._pods, self._here):
                    run = self._reflector(feed).run
                    feed.task = group.create_task(undisturbed(run, f"{feed.watched.kind}s"))
                group.create_task(self._recall_in_time())
                group.create_task(self._keep_remembering())
        finally:
            self._remember()
            self._memory.close()

    @property
    def problems(self) -> list[str]:
        feeds = (self._nodes, self._pods, self._here)
        return problems_of(feeds, self._clock()) + self.own.problems + self._memory.problems

    def status(self) -> Json:
        now_s = self._clock()
        feeds = {"nodes": self._nodes, "pods": self._pods, "own_pods": self._here}
        return {name: shown(feed, now_s) for name, feed in feeds.items()}

    # what reflectors tell

    def came(self, feed: Feed, item: Item) -> None:
        with self._lock:
            if feed is self._nodes:
                changed = self._census.put_node(item.key[1], item.raw)
            elif feed is self._here:
                changed = self.own.put(item.key, item.raw)
            else:
                changed = self._census.put_pod(item.key, item.raw)
        self._tell(changed and (feed is self._here or self._is_whole()))

    def listed(self, feed: Feed, keys: Set[ItemKey]) -> None:
        with self._lock:
            if feed is self._nodes:
                changed = self._census.keep_nodes({name for _, name in keys})
            elif feed is self._here:
                changed = self.own.keep(keys)
            else:
                changed = self._census.keep_pods(keys)
        self._tell(changed or self._is_whole())

    def went(self, feed: Feed, key: ItemKey) -> None:
        with self._lock:
            if feed is self._nodes:
                changed = self._census.drop_node(key[1])
            elif feed is self._here:
                changed = self.own.drop(key)
            else:
                changed = self._census.drop_pod(key)
        self._tell(changed)

    def became(self, feed: Feed) -> None:
        if feed.condition.phase != "synced":
            self._troubled.set()

    def _tell(self, changed: bool) -> None:
        if changed:
            self._told.set()
            self._changed()

    def _is_whole(self) -> bool:
        """Forbidden is not empty: nobody would know who the others are."""
        return self._nodes.synced and self._pods.synced

    def _feed(self, watched: Watched, resource: Resource) -> Feed:
        return Feed(watched, resource, Condition("behind", self._clock()))

    def _reflector(self, feed: Feed) -> Reflector:
        assert feed.resource is not None
        sink = FeedSink(self, feed)
        return Reflector(
            self._client,
            feed.resource,
            feed.watched.query,
            sink,
            self._clock,
            Backoff(),
        )

    async def _recall_in_time(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(RECALL_AFTER_S):
                await self._troubled.wait()
        if self._is_whole():
            return
        found = await asyncio.to_thread(self._memory.recall)
        if found is not None and not self._is_whole():
            log.warning("%d other nodes are as they were last known", len(found.nodes))
            self._recalled = found
            self._changed()

    async def _keep_remembering(self) -> None:
        while True:
            await self._told.wait()
            await asyncio.to_thread(self._remember)
            await asyncio.sleep(REMEMBER_S)

    def _remember(self) -> None:
        self._told.clear()
        if self._is_whole():
            with self._lock:
                others = self._census.others()
            self._memory.remember(others)
