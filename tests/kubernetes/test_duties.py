"""What agents write into the API: one for all of them, and each of what it denies."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.mesh import Cluster, Mesh, admit, service, wait_for
from tests.kubernetes.control_plane import ControlPlane

Json = dict[str, Any]
PATIENCE_S = 40.0  # a lease that nobody gives back is another's after 15


def make(kind: str, name: str, version: str, spec: Json, namespace: str = "shop") -> Json:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def pool(name: str, cidr: str) -> Json:
    version = "cilium.io/v2"
    return make("CiliumLoadBalancerIPPool", name, version, {"blocks": [{"cidr": cidr}]}, "")


def balanced(name: str) -> Json:
    return service(name, "web", type="LoadBalancer")


def ingress() -> Json:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    spec = {"ingressClassName": "tulle", "defaultBackend": backend}
    return make("Ingress", "web", "networking.k8s.io/v1", spec)


def cilium_policy(name: str, **spec: Any) -> Json:
    selected = {"endpointSelector": {"matchLabels": {"app": "idle"}}, **spec}
    return make("CiliumNetworkPolicy", name, "cilium.io/v2", selected)


def a_gateway(name: str) -> Json:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    spec = {"gatewayClassName": "tulle", "listeners": [listener]}
    return make("Gateway", name, "gateway.networking.k8s.io/v1", spec)


def ingress_ips(found: Json) -> list[str]:
    given = found.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    return [item["ip"] for item in given]


def condition(found: Json, name: str) -> str:
    conditions = found.get("status", {}).get("conditions", [])
    return next((item["status"] for item in conditions if item["type"] == name), "")


def events(plane: ControlPlane, name: str, reason: str) -> list[Json]:
    """As `kubectl describe` finds them: by the object's uid."""
    found = plane.kubectl.list("events.v1.events.k8s.io", "-n", "shop")
    return [
        item for item in found if item["regarding"]["name"] == name and item["reason"] == reason
    ]


def leaders(cluster: Cluster) -> list[str]:
    nodes = cluster.nodes.values()
    return [node.name for node in nodes if node.status()["kubernetes"]["duties"]["leads"]]


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Mesh:
    node = cluster["a"]
    node.serve("web", app="web")
    node.run("stranger", "sleep", "inf")
    return node


def test_addresses_are_given_and_stay(crds: ControlPlane, cluster: Cluster) -> None:
    crds.kubectl.apply(pool("duty", "192.0.2.0/28"), balanced("web"), ingress(), a_gateway("m"))

    def given(kind: str, name: str) -> list[str]:
        return ingress_ips(crds.kubectl.wait(kind, name, "shop", ingress_ips, PATIENCE_S))

    (address,) = given("service", "web")
    assert address.startswith("192.0.2.")
    assert given("ingress", "web") != [address]
    found = crds.kubectl.wait(
        "gateway", "m", "shop", lambda it: condition(it, "Programmed") == "True", PATIENCE_S
    )
    told = found["status"]["addresses"]
    # the pool is as good as full: whoever comes earlier by name would take another's place
    names = [f"a-{number}" for number in range(10)]
    crds.kubectl.apply(*map(balanced, names), a_gateway("b"))
    for name in names:
        assert given("service", name) not in ([], [address])
    assert given("service", "web") == [address]
    again = crds.kubectl.get("gateway", "m", "shop")
    assert again is not None
    assert again["status"]["addresses"] == told
    crds.kubectl.delete(*map(balanced, names), a_gateway("b"))


def test_a_policy_says_whether_it_is_valid(crds: ControlPlane, cluster: Cluster) -> None:
    good = cilium_policy("good", ingress=[{"fromEndpoints": [{}]}])
    bad = cilium_policy("bad", ingress=[{"fromNowhere": [{}]}])
    crds.kubectl.apply(good, bad)
    for name, wanted in (("good", "True"), ("bad", "False")):
        crds.kubectl.wait(
            "ciliumnetworkpolicy",
            name,
            "shop",
            lambda it, wanted=wanted: condition(it, "Valid") == wanted,
            PATIENCE_S,
        )
    wait_for(lambda: bool(events(crds, "bad", "Refused")), PATIENCE_S)
    (event,) = events(crds, "bad", "Refused")
    assert "fromNowhere" in event["note"]
    assert not events(crds, "good", "Refused")
    assert "Refused" in crds.kubectl("describe", "ciliumnetworkpolicy", "bad", "-n", "shop")


def test_what_is_denied_is_told_of_the_pod(crds: ControlPlane, shop: Mesh) -> None:
    """The workload is none of a kubelet's, so that its Pod only lends it a name."""
    container = {"name": "main", "image": "none"}
    crds.kubectl.apply(make("Pod", "web", "v1", {"containers": [container]}))
    crds.kubectl.apply(admit("web", "web", "client"), service("plain", "web"))
    address = shop.exec("web", "ip", "-4", "-o", "address", "show", "scope", "global")
    url = f"http://{address.split(' inet ')[1].split('/')[0]}:8080/"

    def told() -> list[Json]:
        assert shop.get_http("stranger", url, timeout_s=0.3) in ("", "web")
        return events(crds, "web", "IngressDenied")

    wait_for(lambda: bool(told()), PATIENCE_S)
    (event,) = told()
    assert "shop/stranger to 8080/TCP" in event["note"]
    assert "NetworkPolicy shop/web" in event["note"]
    assert event["reportingInstance"] == shop.name


def test_another_takes_over_when_the_leader_dies(crds: ControlPlane, cluster: Cluster) -> None:
    wait_for(lambda: len(leaders(cluster)) == 1, PATIENCE_S)
    (first,) = leaders(cluster)
    key = next(key for key, node in cluster.nodes.items() if node.name == first)
    other = next(node for node in cluster.nodes.values() if node.name != first)
    before = crds.kubectl.get("gateway", "m", "shop")
    cluster[key].kill_agent()
    try:
        crds.kubectl.apply(balanced("late"))
        found = crds.kubectl.wait("service", "late", "shop", ingress_ips, PATIENCE_S)
        assert ingress_ips(found)
        assert other.status()["kubernetes"]["duties"]["leads"]
    finally:
        cluster.start(key)
    wait_for(lambda: len(leaders(cluster)) == 1, PATIENCE_S)
    assert leaders(cluster) == [other.name]
    assert crds.kubectl.get("gateway", "m", "shop") == before  # it had nothing new to say
