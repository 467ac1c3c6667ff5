"""An API server as the source of objects: what it says, and while it says nothing, said last."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Set
from contextlib import suppress
from dataclasses import replace
from typing import Any

from tulle.edges.kubernetes.backoff import Backoff
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.condition import Condition, Phase
from tulle.edges.kubernetes.discovery import Discovered, Resource, discover
from tulle.edges.kubernetes.reflector import Reflector
from tulle.edges.kubernetes.wire import Item, Key
from tulle.edges.manifests.checkpoint import Checkpoint
from tulle.edges.manifests.directory import Snapshot
from tulle.edges.manifests.parse import Placed
from tulle.edges.manifests.settle import refuse
from tulle.errors import Refused, Unavailable, UsageError
from tulle.model.kinds import KubernetesObject, ref_of
from tulle.model.kubernetes import ObjectRef
from tulle.model.world import Refusal

from .feeds import TOLD_AFTER_S, Feed, FeedSink, problems_of, shown, undisturbed
from .kinds import ADDING, ALL, BY_NAME, CRDS, NAMING, OWN, RESTRICTING, WATCHED, Watched, named
from .store import Store
from .wanted import references

log = logging.getLogger("tulle")

Json = dict[str, Any]
Clock = Callable[[], float]

FILE = "API server"  # where the checkpoint has an object from
RECALL_AFTER_S = 10.0  # so long the present is waited for before the past is put in force
REDISCOVERY_S = 300.0
BLIND_REDISCOVERY_S = 30.0  # where CRDs may not be watched
SETTLING_S = 1.0  # until a server serves a kind that it has just learned of
_READ_ONLY = "the API server has the objects: use kubectl"


class KubernetesSource:
    """Scanned from any thread; everything else belongs to the event loop."""

    def __init__(
        self,
        client: Client,
        checkpoint: Checkpoint,
        clock: Clock,
        node: str,
        only: tuple[Watched, ...] = (),
    ) -> None:
        """`node` is this one's name. `only` are the kinds that are read, instead of all."""
        self._client, self._checkpoint, self._clock = client, checkpoint, clock
        self._all = only or (*WATCHED, named(OWN, node))
        self._reads_all = not only
        known = self._all if only else (*ALL.values(), CRDS)
        self._groups = {text.rpartition("/")[0] for item in known for text in item.versions}
        self._lock, self._saving = threading.Lock(), threading.Lock()
        self._store = Store()
        self._placed: dict[ObjectRef, Placed] = {}  # as in the checkpoint
        self._unsaved: set[ObjectRef] = set()
        self._remembered: list[ObjectRef] = []
        self._of_before: set[str] = set()  # kinds of which an earlier agent knew objects
        self._refused: tuple[Refusal, ...] = ()  # what the checkpoint has and nobody can read
        self._unwritten: tuple[Refusal, ...] = ()
        self._feeds: dict[str, Feed] = {}  # by kind
        self._named: dict[ObjectRef, Feed] = {}  # Secrets and ConfigMaps
        self._unread: list[str] = []  # who names too many of these
        self._crds: Feed | None = None
        self._group: asyncio.TaskGroup | None = None
        self._changed: Callable[[], object] = lambda: None
        self._look_again = asyncio.Event()
        self._knows = False  # all that there is to know, of now or of before
        self._is_of_before = False
        self._trouble, self._troubled_s = "", 0.0  # why it is not known which kinds there are
        self._scanned: tuple[Snapshot, tuple[Refusal, ...], Snapshot] | None = None
        self.discovered = Discovered()
        self._load()

    def scan(self) -> Snapshot:
        """Raises Unavailable until all kinds are known: what is not there yet has not gone."""
        with self._lock:
            if not self._knows:
                raise Unavailable(self._waiting())
            found = self._store.snapshot()
            self._unsaved |= self._store.changed()
        with self._saving:
            self._save(found)
            troubles = self._refused + self._unwritten
            if self._scanned is None or self._scanned[:2] != (found, troubles):
                whole = replace(found, refusals=(*found.refusals, *troubles))
                self._scanned = (found, troubles, whole)
            return self._scanned[2]

    def has_namespace(self, name: str) -> bool:
        """Whether its labels are known."""
        with self._lock:
            return self._store.has(ObjectRef("Namespace", "", name))

    def resource_of(self, kind: str) -> Resource | None:
        """Where the server has the objects of a kind."""
        return self.discovered.choose(kind, ALL[kind].versions) if kind in ALL else None

    def reread(self) -> None:
        """Reflectors list anew by themselves."""

    def put(self, obj: KubernetesObject) -> None:
        raise UsageError(f"{ref_of(obj)}: {_READ_ONLY} apply")

    def remove(self, ref: ObjectRef) -> bool:
        raise UsageError(f"{ref}: {_READ_ONLY} delete")

    def watch(self, changed: Callable[[], object]) -> None:
        self._changed = changed

    def unwatch(self) -> None:
        self._changed = lambda: None
        self._checkpoint.close()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._recall_in_time())
            await self._keep_discovering()

    @property
    def problems(self) -> list[str]:
        if self._is_of_before:
            before = f"{self._waiting()}; what it said to an earlier agent holds"
            return [before, *problems_of(self._everything(), self._clock())]
        if self._trouble and (age_s := self._clock() - self._troubled_s) > TOLD_AFTER_S:
            return [f"{self._trouble}; what it said {round(age_s)} s ago holds"]
        waiting = [] if self._knows else [self._waiting()]
        return waiting + problems_of(self._everything(), self._clock()) + self._unread

    def status(self) -> Json:
        now_s = self._clock()
        kinds = {kind: shown(feed, now_s) for kind, feed in sorted(self._feeds.items())}
        return {
            "server": self._client.server,
            "version": self.discovered.server,
            "synced": bool(kinds) and all(feed.synced for feed in self._present()),
            "age_s": max((item["age_s"] for item in kinds.values()), default=0),
            "kinds": kinds,
        }

    # what reflectors tell

    def came(self, feed: Feed, item: Item) -> None:
        if feed is self._crds:
            self._look_again.set()
            return
        with self._lock:
            changed = self._store.put(feed.watched.kind, item, _version_of(feed))
        self._told(feed, changed)

    def listed(self, feed: Feed, keys: Set[Key]) -> None:
        kind, only = feed.watched.kind, feed.only
        if feed is self._crds:
            self._look_again.set()
            return
        with self._lock:
            if only is None:
                changed = self._store.keep(kind, keys)
            else:
                changed = not keys and self._store.drop(kind, (only.namespace, only.name))
        self._told(feed, changed)

    def went(self, feed: Feed, key: Key) -> None:
        if feed is self._crds:
            self._look_again.set()
            return
        with self._lock:
            changed = self._store.drop(feed.watched.kind, key)
        self._told(feed, changed)

    def became(self, feed: Feed) -> None:
        if feed.condition.phase == "absent":
            self._look_again.set()
        self._settle()

    def _told(self, feed: Feed, changed: bool) -> None:
        if changed and self._knows:
            if feed.watched.kind in NAMING:
                self._follow_references()
            self._changed()
        self._settle()

    def _settle(self) -> None:
        """Is all known that there is? Only then is what is not there not there."""
        if (self._knows and not self._is_of_before) or not self._feeds:
            return
        if all(map(self._settles, self._feeds.values())):
            self._follow_references()
            if all(map(self._settles, self._named.values())):
                self._is_of_before = False
                self._know()

    def _know(self) -> None:
        self._knows = True
        self._changed()

    def _waiting(self) -> str:
        if self._trouble:
            return self._trouble
        feeds = self._everything()
        missing = sorted({feed.watched.kind for feed in feeds if not self._settles(feed)})
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        return f"API server: has not told of {', '.join(missing[:3]) or 'its kinds'}{more} yet"

    def _settles(self, feed: Feed) -> bool:
        """A kind that may not be read is as good as none, if that allows no more than there was."""
        kind = feed.watched.kind
        is_harmless = kind not in RESTRICTING and kind not in self._of_before
        is_harmless = is_harmless and (self._reads_all or kind in ADDING)
        return feed.settles or (feed.condition.phase == "forbidden" and is_harmless)

    def _present(self) -> list[Feed]:
        return [feed for feed in self._everything() if feed.condition.phase != "absent"]

    def _everything(self) -> list[Feed]:
        return [*self._feeds.values(), *self._named.values()]

    # which kinds there are

    async def _keep_discovering(self) -> None:
        """A CRD is one kind more, at any time."""
        backoff = Backoff()
        while True:
            self._look_again.clear()
            if trouble := await self._discover():
                self._fail(trouble)
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            self._trouble = ""
            self._follow()
            seen = not self._reads_all or (
                self._crds is not None and self._crds.condition.phase == "synced"
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(REDISCOVERY_S if seen else BLIND_REDISCOVERY_S):
                    await self._look_again.wait()
            await asyncio.sleep(SETTLING_S)

    async def _discover(self) -> str:
        """What went wrong, in words."""
        trouble = ""
        try:
            self.discovered = await discover(self._client, self._groups)
        except* Unavailable as errors:
            first: BaseException = errors
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            trouble = str(first)
        return trouble

    def _fail(self, trouble: str) -> None:
        if not self._trouble:
            self._troubled_s = self._clock()
            log.warning("%s", trouble)
        self._trouble = trouble
        self._recall()

    def _follow(self) -> None:
        """A reflector for each kind that the server has, in the version that it has now."""
        for watched in self._all:
            resource = self.discovered.choose(watched.kind, watched.versions)
            feed = self._feeds.get(watched.kind)
            if feed is None or feed.resource != resource:
                if feed:
                    feed.stop()
                self._feeds[watched.kind] = self._begin(watched, resource)
        kind = self.discovered.choose(CRDS.kind, CRDS.versions) if self._reads_all else None
        if self._crds is None and kind:
            self._crds = self._feed(CRDS, kind)
            self._start(self._crds)
        if self._knows:
            self._follow_references()
        self._settle()

    def _feed(self, watched: Watched, resource: Resource | None) -> Feed:
        phase: Phase = "behind" if resource else "absent"
        return Feed(watched, resource, Condition(phase, self._clock()))

    def _begin(self, watched: Watched, resource: Resource | None) -> Feed:
        feed = self._feed(watched, resource)
        with self._lock:
            self._store.forget(watched.kind)
            changed = resource is None and self._store.keep(watched.kind, frozenset())
        if resource:
            self._start(feed)
        elif changed and self._knows:
            self._changed()
        return feed

    def _start(self, feed: Feed) -> None:
        assert self._group is not None and feed.resource is not None
        namespace = feed.only.namespace if feed.only else ""
        reflector = Reflector(
            self._client,
            feed.resource,
            feed.watched.query,
            FeedSink(self, feed),
            self._clock,
            Backoff(),
            namespace=namespace,
        )
        feed.task = self._group.create_task(undisturbed(reflector.run, feed.watched.kind))

    def _follow_references(self) -> None:
        """Read what our objects name, and nothing else of what is confidential."""
        with self._lock:
            snapshot = self._store.snapshot()
            wanted, self._unread = references(snapshot)
            held = {
                ref_of(obj) for kind in BY_NAME for obj in snapshot.kinds.get(kind, {}).values()
            }
            for ref in held - wanted:
                self._store.drop(ref.kind, (ref.namespace, ref.name))
        for ref in self._named.keys() - wanted:
            self._named.pop(ref).stop()
        for ref in sorted(wanted):
            watched, before = named(ref.kind, ref.name), self._named.get(ref)
            resource = self.discovered.choose(ref.kind, watched.versions)
            if before is None or (before.resource is None and resource):
                feed = Feed(watched, resource, Condition("behind", self._clock()), ref)
                self._named[ref] = feed
                if resource:
                    self._start(feed)

    # what was good before

    def _load(self) -> None:
        try:
            remembered = self._checkpoint.load()
        except Refused as error:
            self._refused = (refuse("Checkpoint", "last-good", str(error)),)
            return
        self._remembered = remembered.get(FILE, [])
        self._of_before = {ref.kind for ref in self._remembered}
        # Even if all of it has gone: else a later agent would take it for good again.
        self._unsaved.update(ref for refs in remembered.values() for ref in refs)

    async def _recall_in_time(self) -> None:
        await asyncio.sleep(RECALL_AFTER_S)
        self._recall()

    def _recall(self) -> None:
        """What was good when the last agent ended is good until the server says otherwise."""
        remembered, self._remembered = self._remembered, []
        if self._knows or not remembered:
            return
        for ref in remembered:
            try:
                item = self._checkpoint.recall(ref)
            except Refused as error:
                self._refused += (refuse("Checkpoint", "last-good", str(error)),)
            else:
                if item:
                    self._placed[ref] = item
        with self._lock:
            self._store.recall(item.obj for item in self._placed.values())
        log.warning("%d objects are in force as they were last known", len(self._placed))
        self._is_of_before = True
        self._know()

    def _save(self, found: Snapshot) -> None:
        unsaved = self._unsaved
        if not unsaved:
            return
        self._unsaved = set()
        for ref in unsaved:
            obj = found.get(ref)
            if obj is None:
                self._placed.pop(ref, None)
            else:
                self._placed[ref] = Placed(obj, FILE, 0)
        try:
            self._checkpoint.save(self._placed, unsaved)
        except Unavailable as error:
            reason = f"{error}; a restart would not know the objects in force"
            self._unwritten = (refuse("Checkpoint", "last-good", reason),)
            self._unsaved |= unsaved
        else:
            self._unwritten = ()


def _version_of(feed: Feed) -> str:
    return feed.resource.group_version if feed.resource else ""
