"""A large world, written into a real API server by its own requests, many at a time."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from tests.e2e.mesh import wait_for
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.crds import definitions
from tulle.edges import netns
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.config import from_kubeconfig
from tulle.edges.kubernetes.discovery import Discovered, discover
from tulle.lab import node as lab_node
from tulle.lab.cluster import Cluster

from . import worlds
from .worlds import Json, Size

AT_ONCE = 16
# Half of what a write costs a server is to note who wrote which field. Objects have no
# managedFields then, so what is read of each is less.
_UNOWNED = "--feature-gates=ServerSideApply=false"
_SLICES = ("v1", "v1beta1")


class BigCluster:
    """A control plane, and one node of the lab that has no agent yet; the rest is pretended."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.name = f"scale-{os.getpid()}"
        self.node = f"{self.name}-a"
        self.plane, self.lab = ControlPlane(self.name), Cluster(self.name)
        self._slices = ""  # version of EndpointSlices

    def make(self) -> None:
        self.plane.start(_UNOWNED)
        self.plane.connect(self.lab)
        lab_node.create_in(self.lab, self.node)
        self.plane.make_node(self.lab, self.node)
        self.plane.kubectl.create(*definitions())
        wait_for(self._serves_all, 120)

    def _serves_all(self) -> bool:
        found = self.plane.kubectl.list("crd")
        conditions = (item.get("status", {}).get("conditions") or () for item in found)
        return all(
            any((each["type"], each["status"]) == ("Established", "True") for each in of_one)
            for of_one in conditions
        )

    def remove(self) -> None:
        """Also if it was made half-way."""
        if self.lab.members():
            lab_node.destroy(self.node)
        self.plane.stop()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """An administrator's, beside the nodes."""
        access = from_kubeconfig(self.plane.directory / "admin.kubeconfig")
        client = Client(access, make_socket=partial(_socket_in, self.plane))
        try:
            yield client
        finally:
            await client.close()

    async def write(self, tell: Callable[[str], None]) -> int:
        """Everything of the pretended cluster; how many requests that took."""
        async with self.client() as client:
            found = await discover(client, frozenset({"discovery.k8s.io"}))
            self._slices = _slice_version(found)
            count = 0
            for what, jobs in self._jobs(client):
                tell(f"writing {what}")
                count += await _run(jobs)
            return count

    async def put_slice(self, client: Client, index: int, ready: bool) -> None:
        body = self._slice(index, ready)
        path = f"{self._slices_of(body)}/{body['metadata']['name']}"
        await client.put(path, worlds.encode(body))

    async def label_pod(self, client: Client, number: int, app: str) -> None:
        pod = self.pod(number)
        patch = {"metadata": {"labels": {"app": app}}}
        await client.merge_patch(_path(pod), worlds.encode(patch))

    def pod(self, number: int) -> Json:
        """As its creator and its kubelet write it."""
        made = worlds.pod(self.size, number, True)
        made["apiVersion"], made["kind"] = "v1", "Pod"
        made["spec"] = {
            **made["spec"],
            "containers": [{**item, "image": "x"} for item in made["spec"]["containers"]],
        }
        made["status"]["podIP"] = made["status"]["podIPs"][0]["ip"]
        return made

    # --- what is written ------------------------------------------------------------------------

    def _jobs(self, client: Client) -> Iterator[tuple[str, Iterator[Coroutine[Any, Any, object]]]]:
        size, create = self.size, partial(_create, client)
        spaces = [worlds.namespace_of(size, index) for index in range(size.namespaces)]
        core = "/api/v1"
        yield "namespaces", (create(f"{core}/namespaces", _namespace(name)) for name in spaces)
        yield (
            "accounts",
            (create(f"{core}/namespaces/{n}/serviceaccounts", _account()) for n in spaces),
        )
        nodes = (worlds.node_file(size, index)["node"] for index in range(size.nodes))
        yield "nodes", (create(f"{core}/nodes", node) for node in nodes)
        services = (worlds.service(size, index) for index in range(size.services))
        yield "services", (create(_folder(item, "services"), item) for item in services)
        slices = (self._slice(index, True) for index in range(size.services))
        yield "endpoint slices", (create(self._slices_of(item), item) for item in slices)
        policies = (worlds.policy(size, index) for index in range(size.policies))
        path = "networkpolicies"
        yield "policies", (create(_folder(item, path, _NETWORKING), item) for item in policies)
        yield "pods", (_run_pod(client, self.pod(number)) for number in range(size.pods))

    def _slice(self, index: int, ready: bool) -> Json:
        made = worlds.endpoint_slice(self.size, index, ready)
        made["apiVersion"] = f"discovery.k8s.io/{self._slices}"
        if self._slices == "v1beta1":
            for endpoint in made["endpoints"]:
                endpoint["topology"] = {
                    "kubernetes.io/hostname": endpoint.pop("nodeName"),
                    "topology.kubernetes.io/zone": endpoint.pop("zone"),
                }
        return made

    def _slices_of(self, item: Json) -> str:
        return _folder(item, "endpointslices", f"/apis/{item['apiVersion']}")


_NETWORKING = "/apis/networking.k8s.io/v1"


async def _run(jobs: Iterator[Coroutine[Any, Any, object]]) -> int:
    """So many at a time as an API server serves well."""
    count = 0

    async def work() -> None:
        nonlocal count
        for job in jobs:
            await job
            count += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    return count


async def _create(client: Client, path: str, item: Json) -> None:
    await client.create(path, worlds.encode(item))


async def _run_pod(client: Client, pod: Json) -> None:
    """Two writes, as a new pod has no status."""
    status = pod.pop("status")
    await client.create(_folder(pod, "pods"), worlds.encode(pod))
    await client.put(f"{_path(pod)}/status", worlds.encode({**pod, "status": status}))


def _folder(item: Json, plural: str, base: str = "/api/v1") -> str:
    return f"{base}/namespaces/{item['metadata']['namespace']}/{plural}"


def _path(pod: Json) -> str:
    return f"{_folder(pod, 'pods')}/{pod['metadata']['name']}"


def _namespace(name: str) -> Json:
    labels = {"kubernetes.io/metadata.name": name}  # an API server of 1.20 does not give it
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _account() -> Json:
    meta = {"name": "default"}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": meta,
        "automountServiceAccountToken": False,
    }


def _slice_version(found: Discovered) -> str:
    chosen = found.choose("EndpointSlice", [f"discovery.k8s.io/{item}" for item in _SLICES])
    assert chosen is not None
    return chosen.version


def _socket_in(plane: ControlPlane, family: int, kind: int, protocol: int) -> socket.socket:
    return netns.run_in(plane.netns, partial(socket.socket, family, kind, protocol))
