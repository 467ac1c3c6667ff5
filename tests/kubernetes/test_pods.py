"""A shop by kubectl on two nodes with real kubelets: Tulle is the pods' network and their mesh."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.mesh import admit, service, wait_for
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.mesh import KubeMesh, deployment, kube_mesh, pod


@pytest.fixture(scope="module")
def mesh(crds: ControlPlane) -> Iterator[KubeMesh]:
    with kube_mesh(crds, "pods", ("a", "b"), "--duties") as made:
        yield made


@pytest.fixture(scope="module")
def shop(mesh: KubeMesh) -> KubeMesh:
    """Servers of `web` on both nodes; of each node a client that policies admit, and a stranger."""
    kubectl = mesh.plane.kubectl
    kubectl("create", "namespace", "shop")
    clients = [
        pod(f"{who}-{letter}", item.name)
        for who in ("client", "stranger")
        for letter, item in mesh.nodes.items()
    ]
    for item in clients:
        item["metadata"]["labels"]["app"] = item["metadata"]["name"].partition("-")[0]
    kubectl.apply(deployment("web", 4), service("web", "web"), *clients)
    kubectl("rollout", "status", "-n", "shop", "deployment/web", "--timeout=60s")
    kubectl("wait", "-n", "shop", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    return mesh


def address_of(mesh: KubeMesh, name: str) -> str:
    found = mesh.plane.kubectl.get("service", name, "shop")
    assert found is not None
    return str(found["spec"]["clusterIP"])


def names_of(mesh: KubeMesh, app: str) -> set[str]:
    pods = mesh.plane.kubectl.list("pods", "-n", "shop", "-l", f"app={app}")
    return {
        item["metadata"]["name"] for item in pods if "deletionTimestamp" not in item["metadata"]
    }


def test_pods_are_on_both_nodes(shop: KubeMesh) -> None:
    pods = shop.plane.kubectl.list("pods", "-n", "shop", "-l", "app=web")
    assert {item["spec"]["nodeName"] for item in pods} == {n.name for n in shop.nodes.values()}


@pytest.mark.parametrize("letter", ["a", "b"])
def test_pods_of_both_nodes_answer(shop: KubeMesh, letter: str) -> None:
    web = address_of(shop, "web")
    seen: set[str] = set()

    def all_have_answered() -> bool:
        seen.add(shop.get_http(f"client-{letter}", web))
        return seen >= names_of(shop, "web")

    wait_for(all_have_answered, 30)
    assert seen == names_of(shop, "web")


@pytest.mark.parametrize("letter", ["a", "b"])
def test_a_policy_holds_and_goes(shop: KubeMesh, letter: str) -> None:
    web = address_of(shop, "web")
    stranger = f"stranger-{letter}"
    rule = admit("web", "web", "client")
    shop.plane.kubectl.apply(rule)
    wait_for(lambda: shop.get_http(stranger, web) == "")
    assert shop.get_http(f"client-{letter}", web).startswith("web-")
    shop.plane.kubectl.delete(rule)
    wait_for(lambda: shop.get_http(stranger, web).startswith("web-"))


def test_pods_that_are_replaced_are_found_by_their_service(shop: KubeMesh) -> None:
    web = address_of(shop, "web")
    before = names_of(shop, "web")
    shop.plane.kubectl("rollout", "restart", "-n", "shop", "deployment/web")
    shop.plane.kubectl("rollout", "status", "-n", "shop", "deployment/web", "--timeout=60s")
    assert not before & names_of(shop, "web")
    wait_for(lambda: shop.get_http("client-a", web) in names_of(shop, "web"))


def test_pods_in_the_nodes_own_network_are_reached(shop: KubeMesh) -> None:
    daemons = deployment("on-every-node", hostNetwork=True)
    del daemons["spec"]["replicas"]
    daemons["kind"] = "DaemonSet"
    shop.plane.kubectl.apply(daemons)
    shop.plane.kubectl("rollout", "status", "-n", "shop", "ds/on-every-node", "--timeout=60s")
    for item in shop.nodes.values():
        wait_for(lambda own=item: shop.get_http("client-a", own.address, port=8080) != "")
    shop.plane.kubectl.delete(daemons)


def test_a_pod_reaches_the_api_server_by_its_service(shop: KubeMesh) -> None:
    found = shop.plane.kubectl.get("service", "kubernetes", "default")
    assert found is not None
    server = f"{found['spec']['clusterIP']}:443"
    for letter in shop.nodes:
        shop.exec(f"client-{letter}", "agnhost", "connect", "--timeout=5s", server)
