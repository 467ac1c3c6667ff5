"""A host that is no Node of the cluster tells its API server of itself, and of what runs on it.

Level-triggered: what the server says of this host is compared with what is there, whenever either
changes. The Lease says that the agent is there; without it nobody believes the rest for long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from tulle.edges.kubernetes.backoff import Backoff
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.discovery import Resource
from tulle.edges.kubernetes.errors import NotFound
from tulle.edges.kubernetes.lease import LEASES
from tulle.edges.manifests.directory import Snapshot
from tulle.edges.manifests.validate import validate
from tulle.errors import ManifestError, TulleError, Unavailable
from tulle.model.hosts import (
    MeshNode,
    MeshNodeSpec,
    MeshWorkload,
    MeshWorkloadSpec,
    WorkloadPort,
)
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectMeta, ObjectRef
from tulle.model.traffic import TULLE_GROUP
from tulle.model.world import Key, Node, Workload

from ..mesh import uplink_addresses
from .feeds import undisturbed
from .leases import EXPIRES_S, LABEL, RENEW_S, lease_of
from .news import log_news

log = logging.getLogger("tulle")

Json = dict[str, Any]
Ours = MeshNode | MeshWorkload

MANAGER = "tulle-host"
REQUEST_S = 5.0
_WHAT = "what this host is to tell"
_PAUSE_S = 0.2  # between two looks at all
_WITHDRAW_S = 10.0
_RESOURCES = {
    "MeshNode": Resource(TULLE_GROUP, "v1alpha1", "meshnodes", "MeshNode", False),
    "MeshWorkload": Resource(TULLE_GROUP, "v1alpha1", "meshworkloads", "MeshWorkload", True),
}


class Joining:
    """Told from any thread; everything else belongs to the event loop."""

    def __init__(
        self, client: Client, namespace: str, name: str, scan: Callable[[], Snapshot]
    ) -> None:
        """`namespace` is where Leases are, `scan` what the server says."""
        self._client, self._namespace, self._name, self._scan = client, namespace, name, scan
        self._said: tuple[Node, Mapping[Key, Workload]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news, self._renewed = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._lease_problem = ""
        self._problems: dict[ObjectRef, str] = {}

    def tell(self, node: Node, workloads: Mapping[Key, Workload]) -> None:
        """After each pass: what is in force, and how others reach it."""
        self._said = (node, workloads)
        if self._loop:
            self._loop.call_soon_threadsafe(self._news.set)

    @property
    def problems(self) -> list[str]:
        found = [f"{ref}: {text}" for ref, text in sorted(self._problems.items())]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return [item for item in (self._lease_problem, *(f + more for f in found[:1])) if item]

    def status(self) -> Json:
        told = len(self._said[1]) if self._said else 0
        return {"as": self._name, "workloads": told, "problems": self.problems}

    async def run(self) -> None:
        """Until cancelled, or withdrawn."""
        self._loop = asyncio.get_running_loop()
        if self._said:
            self._news.set()
        self._task = asyncio.create_task(undisturbed(self._keep_there, _WHAT))
        try:
            await asyncio.wait({self._task})
        finally:
            self._task.cancel()

    async def withdraw(self) -> None:
        """Nothing of this host is left in the API; what cannot be deleted ends with its Lease."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})
        try:
            async with asyncio.timeout(_WITHDRAW_S):
                for ref in sorted(_own(self._scan(), self._name), reverse=True):
                    await self._delete(_path(ref))
                await self._delete(LEASES.path(self._namespace, lease_of(self._name)))
        except (TimeoutError, TulleError) as error:
            log.warning("what the API server knows of this host runs out by itself: %s", error)

    async def _keep_there(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_renewing())
            group.create_task(self._keep_telling())

    async def _keep_renewing(self) -> None:
        await self._news.wait()  # before the first pass nobody should be sent here
        while True:
            try:
                await self._renew()
            except Unavailable as error:
                text = f"Lease {self._namespace}/{lease_of(self._name)}: {error}"
                if not self._lease_problem:
                    log.warning("%s", text)
                self._lease_problem = text
            else:
                self._lease_problem = ""
                self._renewed.set()
            await asyncio.sleep(RENEW_S)

    async def _renew(self) -> None:
        """By server-side apply: a right to that is one to a name."""
        name = lease_of(self._name)
        spec = {
            "holderIdentity": self._name,
            "leaseDurationSeconds": round(EXPIRES_S),
            "renewTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        meta = {"name": name, "namespace": self._namespace, "labels": {LABEL: "true"}}
        body = {"apiVersion": LEASES.group_version, "kind": LEASES.kind, "metadata": meta}
        await self._apply(LEASES.path(self._namespace, name), {**body, "spec": spec})

    async def _keep_telling(self) -> None:
        await self._renewed.wait()
        backoff = Backoff(1.0, 60.0)
        while True:
            await self._news.wait()
            self._news.clear()
            await self._tell_all()
            pause_s = _PAUSE_S
            if self._problems:
                pause_s = max(1.0, backoff.next())
                self._news.set()
            else:
                backoff.reset()
            await asyncio.sleep(pause_s)

    async def _tell_all(self) -> None:
        """One that is not taken is in no other's way."""
        problems: dict[ObjectRef, str] = {}
        try:
            have = _own(self._scan(), self._name)
            wanted = self._wanted(problems)
        except TulleError as error:
            problems[ObjectRef("MeshNode", "", self._name)] = str(error)
            have = wanted = {}
        for ref in sorted(wanted):
            if not _says(have.get(ref), wanted[ref]):
                await self._try(ref, self._apply(_path(ref), _body(wanted[ref])), problems)
        for ref in sorted(have.keys() - wanted.keys() - problems.keys()):
            await self._try(ref, self._delete(_path(ref)), problems)
        log_news(problems, self._problems)
        self._problems = problems

    def _wanted(self, problems: dict[ObjectRef, str]) -> dict[ObjectRef, Ours]:
        """Raises Unavailable as long as the host cannot be reached."""
        assert self._said is not None
        node, workloads = self._said
        found: dict[ObjectRef, Ours] = {}
        told: list[Ours] = [_node(self._name, node)]
        told += [_workload(self._name, item) for item in workloads.values()]
        for obj in told:
            try:
                good = validate(obj)
            except ManifestError as error:
                problems[ref_of(obj)] = str(error)
            else:
                assert isinstance(good, Ours)
                found[ref_of(good)] = good
        return found

    async def _try(
        self,
        ref: ObjectRef,
        request: Coroutine[Any, Any, None],
        problems: dict[ObjectRef, str],
    ) -> None:
        try:
            await request
        except Unavailable as error:
            problems[ref] = str(error)

    async def _apply(self, path: str, body: Json) -> None:
        try:
            async with asyncio.timeout(REQUEST_S):
                await self._client.apply(path, msgspec.json.encode(body), MANAGER, force=True)
        except TimeoutError as error:
            raise Unavailable(f"no answer within {REQUEST_S:.0f} s") from error

    async def _delete(self, path: str) -> None:
        try:
            async with asyncio.timeout(REQUEST_S):
                await self._client.delete(path)
        except NotFound:
            pass
        except TimeoutError as error:
            raise Unavailable(f"no answer within {REQUEST_S:.0f} s") from error


def _own(snapshot: Snapshot, name: str) -> dict[ObjectRef, Ours]:
    """What the server has of this host."""
    return {ref_of(obj): obj for obj in _told_of(snapshot, name)}


def _told_of(snapshot: Snapshot, name: str) -> Iterator[Ours]:
    if node := snapshot.named(MeshNode).get(name):
        yield node
    for item in snapshot.of(MeshWorkload).values():
        if item.spec.node == name:
            yield item


def _says(have: Ours | None, wanted: Ours) -> bool:
    same = have is not None and have.spec == wanted.spec
    return same and have is not None and have.metadata.labels == wanted.metadata.labels


def _node(name: str, node: Node) -> MeshNode:
    addresses = tuple(map(str, uplink_addresses(node)))
    if not addresses:
        raise Unavailable("has no uplink, so other nodes could not reach it")
    spec = MeshNodeSpec(addresses, tuple(map(str, node.pod_cidrs)))
    return MeshNode(ObjectMeta(name, labels=dict(node.labels)), spec)


def _workload(name: str, workload: Workload) -> MeshWorkload:
    ports = tuple(
        WorkloadPort(port.container_port, port.name, port.protocol)
        for port in workload.ports
        if port.protocol != "SCTP"
    )
    spec = MeshWorkloadSpec(
        name,
        tuple(map(str, workload.addresses)),
        workload.service_account,
        ports,
        workload.weight,
        workload.ready,
    )
    labels = dict(workload.labels)
    return MeshWorkload(ObjectMeta(workload.name, workload.namespace, labels), spec)


def _body(obj: Ours) -> Json:
    made: Json = msgspec.to_builtins(obj)
    return {"apiVersion": obj.api_version, "kind": obj.kind, **made}


def _path(ref: ObjectRef) -> str:
    return _RESOURCES[ref.kind].path(ref.namespace, ref.name)
