"""Statuses that a real API server accepts and keeps, as kubectl shows them afterwards."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import yaml

from tests.kubernetes.control_plane import ControlPlane
from tests.unit.agent.kube.leases import FakeLease
from tulle.agent.agent import Pass
from tulle.agent.desired import desired
from tulle.agent.kube.decode import decode
from tulle.agent.kube.duties import Duties
from tulle.agent.mesh import Mesh
from tulle.agent.worlds import world_of
from tulle.compile import Ids
from tulle.edges import netns
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.config import from_kubeconfig
from tulle.edges.kubernetes.discovery import Discovered, Resource, discover
from tulle.edges.manifests.directory import Snapshot
from tulle.edges.manifests.schema import versions_of
from tulle.model.kinds import KINDS, KubernetesObject, ref_of
from tulle.model.kubernetes import ObjectRef, Service
from tulle.model.references import CONTROLLER
from tulle.model.world import Node, Refusal, Settings

Json = dict[str, Any]

SHOP = """
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: NAMESPACE}
spec: {blocks: [{cidr: 192.0.2.0/28}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: NAMESPACE}
spec: {controllerName: tulle.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: door, namespace: NAMESPACE}
spec: {gatewayClassName: NAMESPACE, listeners: [{name: web, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: NAMESPACE}
spec:
  parentRefs: [{name: door}, {name: other, kind: Gateway}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: NAMESPACE}
spec: {controller: tulle.io/ingress-controller}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: NAMESPACE}
spec: {ingressClassName: NAMESPACE, defaultBackend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: allow, namespace: NAMESPACE}
spec: {endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: NAMESPACE}
spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: []}
---
apiVersion: tulle.io/v1alpha1
kind: RateLimitPolicy
metadata: {name: calm, namespace: NAMESPACE}
spec:
  targetRefs: [{group: "", kind: Service, name: web}]
  limits: [{requests: 5}]
"""


class Shop:
    """Objects that kubectl applied, as an agent knows them."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane, self.namespace = plane, namespace
        self.documents: list[Json] = list(yaml.safe_load_all(SHOP.replace("NAMESPACE", namespace)))

    def apply(self) -> None:
        self.plane.kubectl.apply(*self.documents)

    def get(self, kind: str, name: str = "") -> Json:
        found = self.plane.kubectl.get(kind, name or self.namespace, self.namespace)
        assert found is not None
        return found

    def status(self, kind: str, name: str = "") -> Json:
        found: Json = self.get(kind, name).get("status") or {}
        return found

    def said(self, kind: str, name: str, condition: str) -> tuple[str, str]:
        return said(self.status(kind, name), condition)

    def live(self) -> list[Json]:
        """All of them, as the API server has them."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": self.documents})
        found = self.plane.kubectl("get", "-o", "json", "-f", "-", stdin=text)
        items: list[Json] = json.loads(found)["items"]
        return items

    def versions(self) -> dict[str, str]:
        return {
            f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for item in self.live()
        }

    def in_force(self, *refusals: Refusal) -> Pass:
        """What a pass of an agent would put in force."""
        kinds: dict[str, dict[Any, KubernetesObject]] = {}
        for live in self.live():
            obj = decode(live["kind"], json.dumps(live).encode(), live["apiVersion"])
            assert obj is not None
            ref = ref_of(obj)
            key = (ref.namespace, ref.name) if ref.namespace else ref.name
            kinds.setdefault(ref.kind, {})[key] = obj
        snapshot = Snapshot(kinds, ())
        world = world_of(snapshot, Mesh(Node(), {}), Settings(), snapshot.of(Service))
        wanted = desired(world, Ids())
        return Pass(
            wanted.world,
            wanted.compiled,
            snapshot,
            wanted.allocated,
            (*wanted.refusals, *refusals),
            routing=wanted.routing,
        )

    def write(self, *refusals: Refusal) -> int:
        """How many statuses one that has the duty writes until all is said."""
        return asyncio.run(self._write(self.in_force(*refusals)))

    async def _write(self, now: Pass) -> int:
        client = client_of(self.plane)
        try:
            known, lease = await discover(client), FakeLease()
            duties = Duties(client, partial(resource_of, known), lease)
            duties.tell(now)
            task = asyncio.create_task(duties.run())
            await asyncio.sleep(0)
            lease.gain()
            await until(lambda: duties.writer.is_running and not duties.writer.waiting)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert duties.writer.problems == {}
            return duties.writer.written
        finally:
            await client.close()


def client_of(plane: ControlPlane, stem: str = "admin") -> Client:
    """As an agent has it, from the control plane's own host."""

    def make_socket(*words: int) -> socket.socket:
        return netns.run_in(plane.netns, lambda: socket.socket(*words))

    access = from_kubeconfig(plane.directory / f"{stem}.kubeconfig")
    return Client(access, make_socket=make_socket)


def resource_of(known: Discovered, kind: str) -> Resource | None:
    return known.choose(kind, versions_of(KINDS[kind]))


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        for _ in itertools.count():
            if holds():
                return
            await asyncio.sleep(0.01)


def said(status: Json, condition: str) -> tuple[str, str]:
    (found,) = [item for item in status.get("conditions", ()) if item["type"] == condition]
    assert found["lastTransitionTime"]
    return found["status"], found["reason"]


@pytest.fixture
def shop(crds: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """One with a namespace, and a pool and classes, of its own."""
    made = Shop(crds, request.function.__name__.replace("_", "-")[:40].strip("-"))
    crds.make_namespace(made.namespace)
    made.apply()
    yield made
    crds.kubectl.delete(*made.documents)


def test_every_kind_says_what_became_of_it(shop: Shop) -> None:
    assert shop.write() == 8
    assert shop.said("GatewayClass", "", "Accepted") == ("True", "Accepted")
    gateway = shop.status("Gateway", "door")
    assert said(gateway, "Programmed") == ("True", "Programmed")
    assert said(gateway["listeners"][0], "Accepted") == ("True", "Accepted")
    assert gateway["addresses"][0]["value"].startswith("192.0.2.")
    (parent,) = shop.status("HTTPRoute", "web")["parents"]
    assert (parent["controllerName"], parent["parentRef"]["name"]) == (CONTROLLER, "door")
    assert said(parent, "ResolvedRefs") == ("True", "ResolvedRefs")
    addresses = {gateway["addresses"][0]["value"]}
    for kind in ("Service", "Ingress"):
        (given,) = shop.status(kind, "web")["loadBalancer"]["ingress"]
        addresses.add(given["ip"])
    assert len(addresses) == 3
    assert shop.said("CiliumNetworkPolicy", "allow", "Valid") == ("True", "Valid")
    assert shop.said("ClusterNetworkPolicy", "", "Valid") == ("True", "Valid")
    assert shop.status("RateLimitPolicy", "calm")["ancestors"]


def test_the_next_writer_writes_nothing(shop: Shop) -> None:
    shop.write()
    before = shop.versions()
    assert shop.write() == 0
    assert shop.versions() == before


def test_another_controllers_word_on_a_route_stays(shop: Shop) -> None:
    theirs = {
        "controllerName": "example.com/other",
        "parentRef": {"name": "other", "kind": "Gateway", "group": "gateway.networking.k8s.io"},
        "conditions": [],
    }
    route = shop.get("HTTPRoute", "web") | {"status": {"parents": [theirs]}}
    path = route["metadata"]["namespace"]
    raw = f"/apis/gateway.networking.k8s.io/v1/namespaces/{path}/httproutes/web/status"
    shop.plane.kubectl("replace", "--raw", raw, "-f", "-", stdin=json.dumps(route))
    shop.write()
    parents = shop.status("HTTPRoute", "web")["parents"]
    assert [item["controllerName"] for item in parents] == ["example.com/other", CONTROLLER]
    assert parents[0] == theirs
    shop.documents[3]["spec"]["parentRefs"].pop(0)
    shop.apply()
    shop.write()
    assert shop.status("HTTPRoute", "web")["parents"] == [theirs]


def test_what_changes_is_told_and_nothing_else(shop: Shop) -> None:
    shop.write()
    policy = ObjectRef("CiliumNetworkPolicy", shop.namespace, "allow")
    before = shop.versions()
    assert shop.write(Refusal(policy, "spec.ingress[0]: names nobody")) == 1
    (condition,) = shop.status("CiliumNetworkPolicy", "allow")["conditions"]
    assert (condition["status"], condition["message"]) == ("False", "spec.ingress[0]: names nobody")
    changed = {name for name, version in shop.versions().items() if before[name] != version}
    assert changed == {"CiliumNetworkPolicy/allow"}


def test_what_is_ours_no_more_loses_the_addresses_that_we_gave(shop: Shop) -> None:
    shop.write()
    kinds = {document["kind"]: document for document in shop.documents}
    kinds["Service"]["spec"]["type"] = "ClusterIP"
    kinds["Ingress"]["spec"]["ingressClassName"] = "another"
    shop.apply()
    shop.write()
    for kind in ("Service", "Ingress"):
        assert not shop.status(kind, "web")["loadBalancer"].get("ingress")
    assert shop.write() == 0
