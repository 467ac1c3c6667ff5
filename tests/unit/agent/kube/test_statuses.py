from __future__ import annotations

from typing import Any

import msgspec

from tulle.agent.kube.statuses import statuses
from tulle.edges.manifests.directory import Snapshot
from tulle.edges.manifests.parse import parse
from tulle.model.hosts import MeshNode, MeshNodeSpec
from tulle.model.ingress import Ingress, IngressSpec
from tulle.model.kinds import KubernetesObject, ref_of
from tulle.model.kubernetes import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectMeta,
    ObjectRef,
    Service,
    ServiceStatus,
)
from tulle.model.world import Refusal

Json = dict[str, Any]

MANIFESTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: door, namespace: shop}
spec: {gatewayClassName: tulle, listeners: [{name: web, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec: {parentRefs: [{name: door}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: allow, namespace: shop, generation: 3, uid: u-3}
spec: {endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]}
"""
GATEWAY = ObjectRef("Gateway", "shop", "door")
ROUTE = ObjectRef("HTTPRoute", "shop", "web")
SERVICE = ObjectRef("Service", "shop", "web")
POLICY = ObjectRef("CiliumNetworkPolicy", "shop", "allow")
INGRESS = Ingress(ObjectMeta("web", "shop"), IngressSpec())


def snapshot(text: str = MANIFESTS) -> Snapshot:
    kinds: dict[str, dict[Any, KubernetesObject]] = {}
    for placed in parse(text.encode(), "all.yaml").objects:
        ref = ref_of(placed.obj)
        kinds.setdefault(ref.kind, {})[ref.namespace, ref.name] = placed.obj
    return Snapshot(kinds, ())


def with_address(service: Service, address: str) -> Service:
    status = ServiceStatus(LoadBalancerStatus((LoadBalancerIngress(address),)))
    return msgspec.structs.replace(service, status=status)


def test_a_routing_says_what_it_says() -> None:
    said: dict[ObjectRef, Json] = {GATEWAY: {"conditions": []}, ROUTE: {"parents": [1]}}
    found = statuses(snapshot(), said, {}, (), {})
    assert found[GATEWAY].status is said[GATEWAY]
    assert found[ROUTE].status is said[ROUTE]


def test_nothing_is_said_of_what_the_api_does_not_have() -> None:
    """The class that is built in, and Services that stand for Gateways."""
    made = ObjectRef("GatewayClass", "", "tulle")
    stand_in = ("shop", "tulle-gateway-door")
    service = with_address(snapshot().of(Service)["shop", "web"], "192.0.2.1")
    found = statuses(snapshot(), {made: {"conditions": []}}, {stand_in: service}, (), {})
    assert found.keys() == {ROUTE, POLICY}


def test_a_route_that_has_left_our_gateways_has_no_entries() -> None:
    assert statuses(snapshot(), {}, {}, (), {})[ROUTE].status == {"parents": []}


def test_an_address_that_was_given_is_told() -> None:
    now = snapshot()
    service = now.of(Service)["shop", "web"]
    given = with_address(service, "192.0.2.1")
    found = statuses(now, {}, {("shop", "web"): given}, (), {})
    assert found[SERVICE].status == {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    assert SERVICE not in statuses(now, {}, {("shop", "web"): service}, (), {})
    now = Snapshot({"Service": {("shop", "web"): given}}, ())
    assert SERVICE not in statuses(now, {}, {("shop", "web"): given}, (), {})


def test_what_is_no_longer_balanced_has_no_addresses() -> None:
    now = snapshot()
    had = with_address(now.of(Service)["shop", "web"], "192.0.2.1")
    had = msgspec.structs.replace(had, spec=msgspec.structs.replace(had.spec, type="ClusterIP"))
    now = Snapshot({"Service": {("shop", "web"): had}, "Ingress": {("shop", "web"): INGRESS}}, ())
    found = statuses(now, {}, {}, (), {})
    none = {"loadBalancer": {"ingress": []}}
    assert {ref: told.status for ref, told in found.items()} == {
        SERVICE: none,
        ObjectRef("Ingress", "shop", "web"): none,
    }


def valid(*refusals: Refusal, of: ObjectRef = POLICY) -> Json:
    [said] = statuses(snapshot(), {}, {}, refusals, {})[of].status["conditions"]
    condition = dict(said)
    assert condition.pop("type") == "Valid"
    found: Json = condition
    return found


def test_a_policy_that_is_in_force_is_valid() -> None:
    assert valid(Refusal(GATEWAY, "another's")) == {
        "status": "True",
        "reason": "Valid",
        "message": "",
        "observedGeneration": 3,
    }


def test_a_status_is_of_one_object() -> None:
    other = ObjectRef("CiliumNetworkPolicy", "shop", "bent")
    found = statuses(snapshot(), {}, {}, [Refusal(other, "no")], {})
    assert (found[POLICY].uid, found[other].uid) == ("u-3", "")


def test_a_policy_says_what_of_it_is_not_in_force() -> None:
    found = valid(Refusal(POLICY, "one"), Refusal(POLICY, "two"), Refusal(POLICY, "one"))
    assert found == {
        "status": "False",
        "reason": "PartlyInForce",
        "message": "one; two",
        "observedGeneration": 3,
    }


def test_a_policy_that_was_refused_is_told_of_without_its_generation() -> None:
    other = ObjectRef("CiliumNetworkPolicy", "shop", "bent")
    found = valid(Refusal(other, "spec.ingress: no"), of=other)
    assert found == {"status": "False", "reason": "Invalid", "message": "spec.ingress: no"}


def test_a_message_has_an_end() -> None:
    assert len(valid(Refusal(POLICY, "x" * 100_000))["message"]) < 10_000


def test_of_a_host_whether_it_is_there_and_taken() -> None:
    spec = MeshNodeSpec(("192.0.2.1",), ("10.0.0.0/24",))
    hosts: dict[Any, Any] = {n: MeshNode(ObjectMeta(n), spec) for n in ("a", "b", "new")}
    now = Snapshot({"MeshNode": hosts}, ())
    clash = Refusal(ObjectRef("Node", "", "b"), "overlaps")
    found = statuses(now, {}, {}, [clash], {"a": True, "b": False, "new": None})
    said = {
        ref.name: {c["type"]: (c["status"], c["message"]) for c in told.status["conditions"]}
        for ref, told in found.items()
    }
    assert said.keys() == {"a", "b"}, "of one that nobody has watched yet nothing is said"
    assert said["a"] == {"Accepted": ("True", ""), "Ready": ("True", "")}
    assert said["b"]["Accepted"] == ("False", "overlaps") and said["b"]["Ready"][0] == "False"
