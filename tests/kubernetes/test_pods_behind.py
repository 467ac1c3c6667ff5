"""Real kubelets whose pods another plugin wires and numbers: Tulle's is the last of the chain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.mesh import admit, service, wait_for
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubectl import Json
from tests.kubernetes.mesh import KubeMesh, deployment, kube_mesh, pod

RANGES = {"a": "10.66.1.0/24", "b": "10.66.2.0/24"}  # in no node's podCIDR


@pytest.fixture(scope="module")
def mesh(crds: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeMesh]:
    where = tmp_path_factory.mktemp("addresses")
    behind = {letter: bridge(subnet, where / letter) for letter, subnet in RANGES.items()}
    with kube_mesh(crds, "behind", ("a", "b"), "--duties", "--cni-chained", behind=behind) as made:
        for here, there in ("ab", "ba"):  # as Flannel's host-gw does
            by = made.nodes[there].address
            made.agents[here].host("ip", "route", "add", RANGES[there], "via", by)
        yield made


def bridge(subnet: str, addresses: Path) -> Json:
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": subnet}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(addresses),
    }
    return {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": ipam}


def test_pods_of_another_plugin_are_in_the_mesh(mesh: KubeMesh) -> None:
    kubectl = mesh.plane.kubectl
    kubectl("create", "namespace", "shop")
    clients = [pod(who, mesh.nodes["b"].name) for who in ("client", "stranger")]
    web = deployment("web", 1, nodeName=mesh.nodes["a"].name)
    kubectl.apply(web, service("web", "web"), *clients)
    kubectl("rollout", "status", "-n", "shop", "deployment/web", "--timeout=90s")
    kubectl("wait", "-n", "shop", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    found = kubectl.list("pods", "-n", "shop", "-l", "app=web")
    assert found[0]["status"]["podIP"].startswith("10.66.1.")
    (listed,) = mesh.agents["a"].get("endpoints")
    assert listed["name"].startswith("web-")
    asked = kubectl.get("service", "web", "shop")
    assert asked is not None
    address = str(asked["spec"]["clusterIP"])
    wait_for(lambda: mesh.get_http("client", address).startswith("web-"), 30)
    kubectl.apply(admit("web", "web", "client"))
    wait_for(lambda: mesh.get_http("stranger", address) == "")
    assert mesh.get_http("client", address).startswith("web-")
    # now and then a kubelet notices only a minute later that a pod's containers have ended
    kubectl("delete", "namespace", "shop", "--timeout=150s", timeout_s=160)
    wait_for(lambda: all(agent.get("endpoints") == [] for agent in mesh.agents.values()), 60)
