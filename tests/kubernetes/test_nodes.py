"""Two of the lab's nodes are nodes of Kubernetes: pods are placed, run, and are spoken to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.images import AGNHOST
from tests.kubernetes.kubectl import Json
from tests.kubernetes.node import KubeNode, kube_nodes
from tulle.lab import node
from tulle.lab.cluster import Cluster

# makes a node ready; what runs in the node's own network asks no plugin
NO_NETWORK = {"cniVersion": "0.4.0", "name": "none", "plugins": [{"type": "none"}]}


@pytest.fixture(scope="module")
def nodes(plane: ControlPlane) -> Iterator[dict[str, KubeNode]]:
    lab = Cluster(f"kube-{os.getpid()}")
    names = [f"{lab.name}-{letter}" for letter in "ab"]
    plane.start_controllers()
    plane.start_scheduler()
    plane.connect(lab)
    try:
        for name in names:
            node.create_in(lab, name)
        with kube_nodes(plane, lab, names) as made:
            for item in made.values():
                (item.cni_conf / "10-none.conflist").write_text(json.dumps(NO_NETWORK))
            for item in made.values():
                item.wait_ready()
            yield made
    finally:
        for name in names:
            node.destroy(name)
        plane.disconnect()


def daemons() -> Json:
    labels = {"app": "on-every-node"}
    container = {"name": "server", "image": AGNHOST, "args": ["netexec", "--http-port=8080"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "on-every-node", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"hostNetwork": True, "containers": [container]},
            },
        },
    }


def test_a_pod_runs_on_each(plane: ControlPlane, nodes: dict[str, KubeNode]) -> None:
    plane.kubectl.apply(daemons())
    plane.kubectl("rollout", "status", "daemonset/on-every-node", "--timeout=60s")
    pods = plane.kubectl.list("pods", "-n", "default", "-l", "app=on-every-node")
    assert {pod["spec"]["nodeName"] for pod in pods} == set(nodes)
    for pod in pods:
        name, own = pod["metadata"]["name"], pod["status"]["podIP"]
        assert "Started HTTP server" in plane.kubectl("logs", name)
        assert own in plane.kubectl("exec", name, "--", "ip", "address")
    plane.kubectl.delete(daemons())
