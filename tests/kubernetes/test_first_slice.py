"""What kubectl applies is in force on nodes, and what came of it stands in the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.mesh import Cluster, Mesh, admit, service, wait_for
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.objects import listing, pod, say_running
from tulle.cli.client import Agent
from tulle.model.paths import NodePaths

Json = dict[str, Any]


def gateway() -> list[Json]:
    version = "gateway.networking.k8s.io/v1"
    metadata = {"name": "door", "namespace": "shop"}
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    route = {
        "parentRefs": [{"name": "door"}],
        "rules": [{"backendRefs": [{"name": "open", "port": 80}]}],
    }
    return [
        {
            "apiVersion": version,
            "kind": "Gateway",
            "metadata": metadata,
            "spec": {"gatewayClassName": "tulle", "listeners": [listener]},
        },
        {"apiVersion": version, "kind": "HTTPRoute", "metadata": metadata, "spec": route},
    ]


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Mesh:
    node = cluster["a"]
    node.serve("web", app="web")
    node.serve("open", app="open")
    node.run("client", "sleep", "inf")
    node.run("stranger", "sleep", "inf")
    return node


def image(node: Mesh) -> Json:
    return Agent(NodePaths(node.name)).get("/v1/image")


def ip_of(node: Mesh, name: str) -> str:
    """Of a workload, which no Pod of the API is."""
    found = node.exec(name, "ip", "-4", "-o", "address", "show", "scope", "global")
    return found.split(" inet ")[1].split("/")[0]


def test_what_kubectl_applies_is_in_force(crds: ControlPlane, shop: Mesh) -> None:
    web = service("web", "web")
    crds.kubectl.apply(web, listing("web-1", "web", shop.name, ip_of(shop, "web")))
    found = crds.kubectl.get("service", "web", "shop")
    assert found is not None
    url = f"http://{found['spec']['clusterIP']}/"
    wait_for(lambda: shop.get_http("client", url) == "web")
    assert shop.get_http("stranger", url) == "web"
    crds.kubectl.apply(admit("web", "web", "client"))
    wait_for(lambda: shop.get_http("stranger", url, timeout_s=0.3) == "")
    assert shop.get_http("client", url) == "web"


def test_nobody_is_behind_a_service_that_lists_nobody(crds: ControlPlane, shop: Mesh) -> None:
    crds.kubectl.apply(service("idle", "web"))
    found = crds.kubectl.get("service", "idle", "shop")
    assert found is not None
    addresses = found["spec"]["clusterIPs"]
    wait_for(lambda: "idle" in {row["name"] for row in shop.get("services")})
    assert shop.get_http("client", f"http://{addresses[0]}/", timeout_s=0.5) == ""
    (row,) = (row for row in shop.get("services") if row["name"] == "idle")
    assert row["cluster_ips"] == addresses


def test_a_pod_of_another_node_is_known_by_its_labels(
    crds: ControlPlane, cluster: Cluster, shop: Mesh
) -> None:
    """Nothing but its Pod says so: what runs there is no workload of its node's agent to others."""
    far = cluster["b"]
    far.run("client", "sleep", "inf")
    far.run("stranger", "sleep", "inf")
    url = f"http://{ip_of(shop, 'web')}:8080/"
    for name in ("client", "stranger"):
        crds.kubectl.apply(pod(f"far-{name}", name, far.name))
        address = ip_of(far, name)
        say_running(crds, f"far-{name}", address)
    wait_for(lambda: far.get_http("client", url, timeout_s=0.5) == "web")
    assert far.get_http("stranger", url, timeout_s=0.5) == ""
    crds.kubectl("delete", "pod", "-n", "shop", "far-client", "--force", "--grace-period=0")
    wait_for(lambda: far.get_http("client", url, timeout_s=0.5) == "")


def test_what_becomes_of_a_gateway_stands_in_the_api(crds: ControlPlane, shop: Mesh) -> None:
    listed = listing("open-1", "open", shop.name, ip_of(shop, "open"))
    crds.kubectl.apply(service("open", "open"), listed, *gateway())

    def is_programmed(found: Json) -> bool:
        conditions = found.get("status", {}).get("conditions", [])
        return any(c["type"] == "Programmed" and c["status"] == "True" for c in conditions)

    found = crds.kubectl.wait("gateway", "door", "shop", is_programmed, timeout_s=40.0)
    assert found["status"]["addresses"]
    address = found["status"]["addresses"][0]["value"]
    wait_for(lambda: shop.get_http("client", f"http://{address}/") == "open", 20.0)


def test_a_bad_object_is_told_and_the_others_hold(crds: ControlPlane, shop: Mesh) -> None:
    bad = service("bad", "web", port=80)
    bad["spec"]["ports"].append({"name": "q", "port": 90, "protocol": "SCTP"})
    crds.kubectl.apply(bad)

    def refused() -> list[str]:
        return [item["object"] for item in shop.status()["refused"]]

    wait_for(lambda: "Service shop/bad" in refused())
    assert "web" in {row["name"] for row in shop.get("services")}
    crds.kubectl.delete(bad)
    wait_for(lambda: "Service shop/bad" not in refused())


def test_without_an_api_server_all_that_it_said_holds(
    crds: ControlPlane, cluster: Cluster, shop: Mesh
) -> None:
    found = crds.kubectl.get("service", "web", "shop")
    assert found is not None
    url = f"http://{found['spec']['clusterIP']}/"

    def assert_enforced() -> None:
        assert shop.get_http_direct("client", url) == "web"
        assert shop.get_http_direct("stranger", url, timeout_s=0.5) == ""

    memory = NodePaths(shop.name).durable / "others.json"
    wait_for(lambda: cluster["b"].name in memory.read_text(), 40.0)
    before = image(shop)
    crds.kill_api()
    try:
        assert_enforced()
        shop.kill_agent()
        assert_enforced()
        cluster.start("a")
        wait_for(lambda: bool(shop.status()["apply"]), 30.0)  # it puts in force what was good
        assert_enforced()
        assert image(shop) == before
        told = shop.status()
        assert told["health"] == "degraded"
        assert any("API server" in problem for problem in told["problems"])
        fresh = admit("late", "web", "stranger")
    finally:
        crds.start_api()
    crds.kubectl.apply(fresh)
    wait_for(lambda: shop.get_http("stranger", url, timeout_s=0.5) == "web", 60.0)
    wait_for(lambda: not [p for p in shop.status()["problems"] if "API server" in p], 60.0)
