"""What kubectl applies is in force on nodes, and what came of it stands in the API."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.mesh import Cluster, Mesh, admit, service, wait_for
from tests.kubernetes.control_plane import ControlPlane
from tulle.lab.cluster import Cluster as Lab

Json = dict[str, Any]
SHORT = "slice"


def listing(name: str, of: str, node: str, *addresses: str) -> Json:
    """As an API server of 1.20 has it."""
    endpoints = [
        {
            "addresses": [address],
            "conditions": {"ready": True},
            "topology": {"kubernetes.io/hostname": node},
        }
        for address in addresses
    ]
    labels = {"kubernetes.io/service-name": of}
    return {
        "apiVersion": "discovery.k8s.io/v1beta1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "p", "port": 8080, "protocol": "TCP"}],
    }


@pytest.fixture(scope="module")
def cluster(crds: ControlPlane, clusters: Clusters) -> Iterator[Cluster]:
    lab = Lab(f"e2e-{os.getpid()}-{SHORT}")
    crds.connect(lab)
    agent = crds.kubeconfig("agent", "tulle", "system:masters")
    options = ("--kubernetes", str(agent), "--duties")
    try:
        with clusters(SHORT, ["a", "b"], *options) as made:
            for node in made.nodes.values():
                crds.make_node(lab, node.name)
            crds.make_namespace("shop")
            yield made
    finally:
        crds.disconnect()


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Mesh:
    node = cluster["a"]
    node.serve("web", app="web")
    node.run("client", "sleep", "inf")
    node.run("stranger", "sleep", "inf")
    return node


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
    crds.kubectl.delete(listing("web-1", "web", shop.name))
    wait_for(lambda: shop.get_http("client", url, timeout_s=0.3) == "")
