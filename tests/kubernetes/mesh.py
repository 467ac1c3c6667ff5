"""Nodes of Kubernetes on a lab's nodes, with Tulle as their network: agents, plugins, kubelets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.e2e.conftest import Clusters, assert_gone
from tests.e2e.mesh import Cluster as Nodes
from tests.e2e.mesh import Mesh, tulle
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.images import AGNHOST
from tests.kubernetes.kubectl import Json
from tests.kubernetes.node import KubeNode, kube_nodes
from tulle.lab import node
from tulle.lab.cluster import Cluster


@dataclass(frozen=True)
class KubeMesh:
    """By the letter of each node: what the kubelet is of, and the agent."""

    plane: ControlPlane
    lab: Cluster
    nodes: dict[str, KubeNode]
    agents: dict[str, Mesh]

    def exec(self, pod: str, *command: str, namespace: str = "shop", check: bool = True) -> str:
        return self.plane.kubectl("exec", "-n", namespace, pod, "--", *command, check=check)

    def get_http(self, pod: str, host: str, path: str = "/hostname", port: int = 80) -> str:
        """Body of what the pod of `shop` was answered, or "" if nobody did in a second."""
        request = f"GET {path} HTTP/1.0\\r\\nHost: {host}\\r\\n\\r\\n"
        script = f"printf '{request}' | nc -w 1 {host} {port}"
        head, _, body = self.exec(pod, "sh", "-c", script, check=False).partition("\n\n")
        return body if " 200 " in head else ""


@contextmanager
def lab_cluster(
    plane: ControlPlane, clusters: Clusters, short: str, letters: Sequence[str], *options: str
) -> Iterator[Nodes]:
    """The lab's own nodes with agents that read this API, which has a namespace `shop`."""
    lab = Cluster(f"e2e-{os.getpid()}-{short}")
    plane.connect(lab)
    access = plane.kubeconfig("agent", "tulle", "system:masters")
    try:
        with clusters(short, letters, "--kubernetes", str(access), *options) as made:
            for item in made.nodes.values():
                plane.make_node(lab, item.name)
            plane.make_namespace("shop")
            yield made
    finally:
        plane.disconnect()


@contextmanager
def kube_mesh(
    plane: ControlPlane,
    short: str,
    letters: Sequence[str] = ("a", "b"),
    *options: str,
    behind: Mapping[str, Json] | None = None,
) -> Iterator[KubeMesh]:
    """Ready nodes; `options` are those of `tulle lab up`, `behind` the plugin before ours on each.

    Nothing of it stays.
    """
    lab = Cluster(f"kube-{os.getpid()}-{short}")
    names = {letter: f"{lab.name}-{letter}" for letter in letters}
    agents = {letter: Mesh(name) for letter, name in names.items()}
    with ExitStack() as stack:
        plane.connect(lab)
        stack.callback(plane.disconnect)
        plane.start_controllers()
        plane.start_scheduler()
        stack.callback(tulle, "lab", "down", *names.values())
        for name in names.values():
            node.create_in(lab, name)
        made = stack.enter_context(kube_nodes(plane, lab, names.values(), KubeNode))
        access = plane.kubeconfig("agent", "tulle", "system:masters")
        words = ("--cluster", lab.name, "--kubernetes", str(access), *options)
        tulle("lab", "up", *names.values(), *words)
        nodes = {letter: made[name] for letter, name in names.items()}
        for letter, item in nodes.items():
            item.install_plugin(behind[letter] if behind else None)
        for item in nodes.values():
            item.wait_ready()
        yield KubeMesh(plane, lab, nodes, agents)
    assert_gone(lab.name)


def deployment(name: str, replicas: int = 1, namespace: str = "shop", **spec: object) -> Json:
    """Of a server that tells its name: /hostname on port 8080."""
    labels = {"app": name}
    container = {
        "name": "server",
        "image": AGNHOST,
        "args": ["netexec", "--http-port=8080", "--udp-port=5353"],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [container],
                    **spec,
                },
            },
        },
    }


def pod(name: str, node_name: str, namespace: str = "shop") -> Json:
    """A client that does nothing by itself, on a node of one's choice."""
    container = {"name": "client", "image": AGNHOST, "args": ["pause"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "nodeName": node_name,
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
        },
    }
