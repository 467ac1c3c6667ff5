"""What a real API server has is what the source says: every kind, as it comes, changes and goes."""

from __future__ import annotations

import asyncio
import copy
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.hostile.valid import VALID
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.crds import definition
from tulle.agent.kube.decode import checked
from tulle.agent.kube.source import KubernetesSource
from tulle.edges import netns
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.config import from_kubeconfig
from tulle.edges.manifests.checkpoint import Checkpoint
from tulle.edges.manifests.parse import parse
from tulle.edges.manifests.schema import versions_of
from tulle.errors import Unavailable
from tulle.model.gateway_routes import TLSRoute
from tulle.model.kinds import KubernetesObject, ref_of
from tulle.model.kubernetes import Namespace, Service

Json = dict[str, Any]
WHERE = "source"
NODE = "no-node"
# who it is that may not be made here, or is read only if others name it
ELSEWHERE = ("Pod", "Node", "Namespace", "EndpointSlice", "Secret", "ConfigMap")
SLICE = {
    "apiVersion": "discovery.k8s.io/v1beta1",
    "kind": "EndpointSlice",
    "metadata": {
        "name": "web",
        "namespace": WHERE,
        "labels": {"kubernetes.io/service-name": "web"},
    },
    "addressType": "IPv4",
    "endpoints": [
        {"addresses": ["10.244.9.9"], "topology": {"kubernetes.io/hostname": "somewhere"}}
    ],
    "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
}


def placed(obj: Json) -> Json:
    """In this module's namespace, and without what 1.20 has not."""
    obj = copy.deepcopy(obj)
    if "namespace" in obj["metadata"]:
        obj["metadata"]["namespace"] = WHERE
    if obj["kind"] == "Service":
        del obj["spec"]["internalTrafficPolicy"]
    if obj["kind"] == "NetworkPolicy":
        for rule in obj["spec"]["ingress"]:
            for port in rule["ports"]:
                port.pop("endPort", None)
    return obj


OBJECTS = [placed(obj) for obj in VALID if obj["kind"] not in ELSEWHERE]


@asynccontextmanager
async def running(plane: ControlPlane, path: Path) -> AsyncIterator[KubernetesSource]:
    def make_socket(*words: int) -> socket.socket:
        return netns.run_in(plane.netns, lambda: socket.socket(*words))

    access = from_kubeconfig(plane.directory / "admin.kubeconfig")
    client = Client(access, make_socket=make_socket)
    checkpoint = Checkpoint(path / "last-good.json", checked)
    source = KubernetesSource(client, checkpoint, time.monotonic, NODE)
    task = asyncio.create_task(source.run())
    try:
        await until(lambda: is_known(source), lambda: source.problems)
        yield source
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        source.unwatch()
        await client.close()


def is_known(source: KubernetesSource) -> bool:
    try:
        source.scan()
    except Unavailable:
        return False
    return True


async def until(holds: Callable[[], object], told: Callable[[], object] = lambda: None) -> None:
    try:
        async with asyncio.timeout(40):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"it did not happen in time: {told()}") from None


def read(obj: Json) -> KubernetesObject:
    """As from a file."""
    (found,) = parse(json.dumps(obj).encode(), "x.json").objects
    return found.obj


def said(source: KubernetesSource, obj: Json) -> KubernetesObject | None:
    return source.scan().get(ref_of(read(obj)))


def test_every_kind_comes_changes_and_goes(crds: ControlPlane, tmp_path: Path) -> None:
    kubectl = crds.kubectl

    async def story() -> None:
        async with running(crds, tmp_path) as source:
            crds.make_namespace(WHERE)
            await asyncio.to_thread(kubectl.apply, *OBJECTS, SLICE, manager="tests")

            def missing() -> list[str]:
                return [str(ref_of(read(obj))) for obj in OBJECTS if not said(source, obj)]

            await until(lambda: not missing(), lambda: (missing(), source.scan().refusals))
            snapshot = source.scan()
            assert not [item for item in snapshot.refusals if item.ref.namespace == WHERE]
            for obj in OBJECTS:
                found, wanted = said(source, obj), read(obj)
                assert getattr(found, "spec", None) == getattr(wanted, "spec", None)
            assert WHERE in snapshot.named(Namespace)
            (listed,) = (
                item for item in snapshot.kinds["EndpointSlice"].values() if "web" in str(item)
            )
            assert listed.endpoints[0].node_name == "somewhere"  # type: ignore[union-attr]
            assert not source.problems

            changed = copy.deepcopy(next(obj for obj in OBJECTS if obj["kind"] == "Service"))
            changed["spec"]["ports"][0]["port"] = 81
            await asyncio.to_thread(kubectl.apply, changed, manager="tests")

            def ports() -> set[int]:
                found = said(source, changed)
                assert isinstance(found, Service)
                return {item.port for item in found.spec.ports}

            await until(lambda: 81 in ports(), lambda: said(source, changed))
            await asyncio.to_thread(kubectl.delete, *OBJECTS, SLICE)
            await until(lambda: not any(said(source, obj) for obj in OBJECTS))

    try:
        asyncio.run(story())
    finally:
        kubectl.delete(*OBJECTS, SLICE)


def test_a_kind_may_go_and_be_defined_again(crds: ControlPlane, tmp_path: Path) -> None:
    kubectl = crds.kubectl
    (route,) = (obj for obj in OBJECTS if obj["kind"] == "TLSRoute")
    route = {**route, "metadata": {"name": "again", "namespace": "default"}}
    group = route["apiVersion"].partition("/")[0]
    versions = [item.rpartition("/")[2] for item in versions_of(TLSRoute)]
    defined = definition("TLSRoute", group, versions)

    def phase(source: KubernetesSource) -> str:
        return str(source.status()["kinds"]["TLSRoute"]["phase"])

    async def story() -> None:
        async with running(crds, tmp_path) as source:
            kubectl.apply(route)
            await until(lambda: said(source, route))
            await asyncio.to_thread(kubectl.delete, defined)
            await until(lambda: phase(source) == "absent" and not said(source, route))
            assert is_known(source)
            await asyncio.to_thread(kubectl.create, defined)
            name = f"crd/{defined['metadata']['name']}"
            wait = ("wait", "--for=condition=Established", name, "--timeout=30s")
            await asyncio.to_thread(kubectl, *wait)
            await asyncio.to_thread(kubectl.apply, route)
            await until(lambda: said(source, route))
            await asyncio.to_thread(kubectl.delete, route)
            await until(lambda: not said(source, route))

    asyncio.run(story())
