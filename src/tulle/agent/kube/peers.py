"""Other clusters that this one is joined with: each a Secret with a kubeconfig, by its label.

What they say joins what our own API server says: nodes and workloads, namespaces, and slices of
the Services that both have. One that is away or bad takes nothing of ours along.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tulle.edges.kubernetes.backoff import Backoff
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.condition import Condition
from tulle.edges.kubernetes.config import from_kubeconfig
from tulle.edges.kubernetes.depth import decoded
from tulle.edges.kubernetes.discovery import Resource
from tulle.edges.kubernetes.reflector import Reflector
from tulle.edges.kubernetes.wire import Item, Key
from tulle.edges.manifests.directory import Snapshot
from tulle.edges.manifests.fields import FieldError
from tulle.edges.manifests.syntax import check_dns_label
from tulle.errors import Refused, Unavailable
from tulle.model.cilium import DEFAULT_CLUSTER
from tulle.model.kubernetes import EndpointSlice, Namespace, ObjectRef, Service
from tulle.model.multicluster import CLUSTERSET, ClusterSet
from tulle.model.world import IPNetwork, Refusal

from ..nodes import Others
from ..published import NodeState
from ..records import write_atomically
from .cluster import MakeClient, OtherCluster
from .clusterset import Imports, exported, exports_of, foreign_imports, of_services
from .feeds import Feed, FeedSink, problems_of, undisturbed
from .foreign import Said, disjoint, refused_in, shared_by_both
from .kinds import Watched

log = logging.getLogger("tulle")

Json = dict[str, Any]
Clock = Callable[[], float]

LABEL = "tulle.io/cluster"  # on a Secret: the name of the cluster that it leads to
FIELD = "kubeconfig"
SECRETS = Resource("", "v1", "secrets", "Secret", True)
HELD = "; what it led to before holds"
WAIT_S = 15.0  # at most, for what was known of clusters before: longer than recalling it takes


class _Metadata(msgspec.Struct):
    labels: dict[str, str] = {}


class _Secret(msgspec.Struct):
    metadata: _Metadata
    data: dict[str, str] | None = None


_decoder = msgspec.json.Decoder(_Secret)


@dataclass(slots=True)
class _Joined:
    kubeconfig: bytes
    cluster: OtherCluster
    task: asyncio.Task[None] | None = None


class Peers:
    """Scanned from any thread; everything else belongs to the event loop."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        own: str,
        directory: Path,
        make_client: MakeClient,
        clock: Clock,
        ranges: Collection[IPNetwork] = (),
    ) -> None:
        """`own` is this cluster's name; without one it joins nobody.

        From `ranges` are addresses of what is imported.
        """
        self._client, self._namespace, self._own = client, namespace, own
        self._directory, self._make_client, self._clock = directory, make_client, clock
        watched = Watched("Secret", ("v1",), {"labelSelector": LABEL})
        self._feed = Feed(watched, SECRETS, Condition("behind", clock()))
        self._lock = threading.Lock()
        self._told: dict[Key, bytes] = {}  # Secrets
        self._has_followed = False  # all that there are, once
        self._joined: dict[str, _Joined] = {}
        self._led: dict[Key, tuple[str, bytes]] = {}  # where each did when it could be read last
        self._refused: dict[ObjectRef, str] = {}
        self._group: asyncio.TaskGroup | None = None
        self._changed: Callable[[], object] = lambda: None
        self._waits_until = clock() + WAIT_S
        self._awaited = set(self._remembered())
        self._merged: tuple[tuple[object, ...], Snapshot] | None = None
        self._imports = Imports(ranges)
        self._services: Mapping[Key, Service] = {}
        self._fitting: dict[str, tuple[object, object, Others]] = {}

    @property
    def is_on(self) -> bool:
        return self._own != DEFAULT_CLUSTER

    def watch(self, changed: Callable[[], object]) -> None:
        self._changed = changed

    def unwatch(self) -> None:
        self._changed = lambda: None

    async def run(self) -> None:
        """Until cancelled."""
        if not self.is_on:
            return
        async with asyncio.TaskGroup() as group:
            self._group = group
            for name, kubeconfig in self._remembered().items():
                self._join(name, kubeconfig, ObjectRef("Secret", self._namespace, name))
            sink, query = FeedSink(self, self._feed), self._feed.watched.query
            reflector = Reflector(
                *(self._client, SECRETS, query, sink, self._clock, Backoff()),
                namespace=self._namespace,
            )
            group.create_task(undisturbed(reflector.run, "Secrets of other clusters"))

    # what they add

    def snapshot(self, ours: Snapshot) -> Snapshot:
        """Our own objects with what belongs to them elsewhere.

        Raises Unavailable until those are known that an earlier agent knew.
        """
        with self._lock:
            self._services = ours.of(Service)
            is_known = not self.is_on or self._has_followed
            others = self._joined or self._refused or self._awaited
            if is_known and not (others or exported(ours)):
                return ours
            said = {name: item.cluster.scan() for name, item in sorted(self._joined.items())}
            self._await(name for name, known in said.items() if known)
            troubles = dict(self._refused), self._has_heard_all(said)
            given = ours, *(known and known.snapshot for known in said.values())
            if self._merged is None or not _are(self._merged[0], (*given, troubles)):
                theirs = {name: known.snapshot for name, known in said.items() if known}
                self._merged = (*given, troubles), self._together(ours, theirs, *troubles)
            return self._merged[1]

    def _together(
        self,
        ours: Snapshot,
        theirs: Mapping[str, Snapshot],
        refused: Mapping[ObjectRef, str],
        whole: bool,
    ) -> Snapshot:
        """What belongs to Services that both sides share, and to those that any exports."""
        exports = exports_of({self._own: ours, **theirs})
        services, slices = dict(ours.of(Service)), dict(ours.of(EndpointSlice))
        of_exported = list(of_services(slices, exported(ours)))
        refusals = [Refusal(ref, text) for ref, text in sorted(refused.items())]
        refusals += foreign_imports(ours, exports)
        for name, snapshot in theirs.items():
            shared, more = shared_by_both(services, snapshot), exported(snapshot)
            found = self._joined[name].cluster.abroad.slices(shared | more, snapshot)
            slices |= of_services(found, shared)
            of_exported += of_services(found, more)
            refusals += [refused_in(name, item) for item in snapshot.refusals]
        kinds = {**ours.kinds, "EndpointSlice": slices | self._imports.slices(of_exported)}
        if exports:
            kinds["Service"] = services | self._imports.services(ours, exports)
        return replace(
            ours,
            kinds=kinds,
            refusals=(*ours.refusals, *refusals),
            foreign={name: snapshot.named(Namespace) for name, snapshot in theirs.items()},
            clusterset=ClusterSet(exports, whole),
        )

    def _has_heard_all(self, said: Mapping[str, Said | None]) -> bool:
        """Whether what nobody speaks of is not there."""
        if not self.is_on:
            return True
        return (
            self._has_followed and all(said.values()) and not any(map(self._is_lost, self._refused))
        )

    def _is_lost(self, secret: ObjectRef) -> bool:
        """Whether it may lead to a cluster that is not asked."""
        led = self._led.get((secret.namespace, secret.name))
        return led is None or led[0] not in self._joined

    def others(self) -> Others:
        """Their nodes, as nodes of this mesh, where `snapshot` was asked for last."""
        nodes, refusals = dict[str, NodeState](), list[Refusal]()
        with self._lock:
            ours = self._services
            for name, item in sorted(self._joined.items()):
                if known := item.cluster.scan():
                    abroad = item.cluster.abroad.others(known.others)
                    before = self._fitting.get(name)
                    if before is None or before[0] is not abroad or before[1] is not ours:
                        before = self._fitting[name] = abroad, ours, disjoint(abroad, ours)
                    nodes |= before[2].nodes
                    refusals += before[2].refusals
        return Others(nodes, tuple(refusals))

    def created(self) -> dict[str, str]:
        objects = (state.node.metadata for state in self.others().nodes.values())
        return {meta.name: str(meta.creation_timestamp or "") for meta in objects}

    @property
    def problems(self) -> list[str]:
        found = problems_of([self._feed], self._clock()) if self.is_on else []
        clusters = [item.cluster for item in self._joined.values()]
        return found + [text for cluster in clusters for text in cluster.problems]

    def status(self) -> Json:
        found = {name: item.cluster.status() for name, item in sorted(self._joined.items())}
        return {"name": self._own, "joined": found}

    def _await(self, known: Iterable[str]) -> None:
        self._awaited -= set(known)
        if self._awaited and self._clock() < self._waits_until:
            raise Unavailable(f"cluster {min(self._awaited)}: what it said is not known yet")
        self._awaited.clear()

    # what the reflector tells

    def came(self, feed: Feed, item: Item) -> None:
        """Of a first list nothing is acted on before its end: who is missing would be left."""
        self._told[item.key] = item.raw
        if feed.synced:
            self._follow()

    def listed(self, feed: Feed, keys: Set[Key]) -> None:
        self._told = {key: raw for key, raw in self._told.items() if key in keys}
        self._follow()

    def went(self, feed: Feed, key: Key) -> None:
        self._told.pop(key, None)
        self._follow()

    def became(self, feed: Feed) -> None:
        """The status asks when it is asked."""

    def _follow(self) -> None:
        """Join those whom a Secret leads to, and leave the others."""
        found: dict[str, tuple[ObjectRef, bytes]] = {}
        refused: dict[ObjectRef, str] = {}
        for key, raw in sorted(self._told.items()):
            ref, held = ObjectRef("Secret", *key), self._led.get(key)
            try:
                self._led[key] = held = _read(raw, self._own)
            except Refused as error:
                refused[ref] = str(error) + (HELD if held else "")
            if held and held[0] in found:
                refused[ref] = f"{LABEL}: {found[held[0]][0]} leads to cluster {held[0]} already"
            elif held:
                found[held[0]] = ref, held[1]
        self._led = {key: held for key, held in self._led.items() if key in self._told}
        with self._lock:
            self._refused = refused
            for name in self._joined.keys() - found.keys():
                self._leave(name)
        for name, (ref, kubeconfig) in found.items():
            known = self._joined.get(name)
            if known is None or known.kubeconfig != kubeconfig:
                self._join(name, kubeconfig, ref)
        self._has_followed = True
        self._changed()

    def _join(self, name: str, kubeconfig: bytes, ref: ObjectRef) -> None:
        """Whatever it said before holds until it says something else."""
        assert self._group is not None
        directory = self._directory / name
        path = directory / FIELD
        fresh = directory / f"{FIELD}.fresh"  # a bad one is not what a restart is to find
        before = self._joined.get(name)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(fresh, kubeconfig)
            client = self._make_client(from_kubeconfig(fresh, whole=True))
            fresh.replace(path)
        except (Refused, OSError) as error:
            fresh.unlink(missing_ok=True)
            text = str(error).removeprefix(f"{fresh}: ")
            self._refused[ref] = f"data.{FIELD}: {text}{HELD if before else ''}"
            return
        if before and before.task:
            before.task.cancel()
        cluster = OtherCluster(name, directory, before.cluster.said if before else None)
        run = partial(cluster.run, client, self._clock, lambda: self._changed())
        task = self._group.create_task(undisturbed(run, f"cluster {name}"))
        with self._lock:
            self._joined[name] = _Joined(kubeconfig, cluster, task)
        log.info("joined cluster %s", name)

    def _leave(self, name: str) -> None:
        left = self._joined.pop(name)
        self._awaited.discard(name)
        self._fitting.pop(name, None)
        if left.task:
            left.task.cancel()
            left.task.add_done_callback(lambda task: self._forget(left))
        log.info("left cluster %s", name)

    def _forget(self, left: _Joined) -> None:
        """Unless a Secret that was made anew has joined it again meanwhile."""
        if left.cluster.name not in self._joined:
            left.cluster.forget()

    def _remembered(self) -> dict[str, bytes]:
        """Those whom an earlier agent had joined."""
        found = {}
        for path in sorted(self._directory.glob(f"*/{FIELD}")) if self.is_on else ():
            if path.parent.name != self._own:
                found[path.parent.name] = path.read_bytes()
        return found


def _read(raw: bytes, own: str) -> tuple[str, bytes]:
    """The name of the cluster that a Secret leads to, and how. Raises Refused."""
    try:
        secret = decoded(_decoder, raw)
        name = secret.metadata.labels.get(LABEL, "")
        check_dns_label(name, "metadata", "labels", LABEL)
        encoded = (secret.data or {}).get(FIELD)
        if encoded is None:
            raise Refused(f"data.{FIELD}: is required")
        kubeconfig = base64.b64decode(encoded, validate=True)
    except (msgspec.MsgspecError, binascii.Error) as error:
        raise Refused("is no Secret that can be read") from error
    except FieldError as error:
        raise Refused(str(error)) from error
    if name in (own, DEFAULT_CLUSTER, CLUSTERSET):
        raise Refused(f"{LABEL}: {name} is this cluster's own name, or none")
    return name, kubeconfig


def _are(before: tuple[object, ...], now: tuple[object, ...]) -> bool:
    """The last of each is compared, the others must be the same objects."""
    same = (one is other for one, other in zip(before[:-1], now[:-1], strict=False))
    return len(before) == len(now) and all(same) and before[-1] == now[-1]
