"""An API server whose controllers do at once what they are told, or do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.unit.edges.kubernetes.registry import SERVED, Json, Key, Refusal
from tests.unit.edges.kubernetes.server import FakeServer
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.discovery import Resource, discover
from tulle.install.cluster import Cluster

_RBAC = "rbac.authorization.k8s.io"
_CRD = ("apiextensions.k8s.io", "CustomResourceDefinition")
KINDS = (
    *SERVED,
    Resource("", "v1", "serviceaccounts", "ServiceAccount", True),
    Resource("apps", "v1", "daemonsets", "DaemonSet", True, True),
    Resource("apps", "v1", "deployments", "Deployment", True, True),
    Resource("tulle.io", "v1alpha1", "meshnodes", "MeshNode", False, True),
    Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True),
    Resource("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", False),
    Resource(_CRD[0], "v1", "customresourcedefinitions", _CRD[1], False, True),
    *(
        Resource(_RBAC, "v1", name.lower() + "s", name, name.startswith("Role"))
        for name in ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    ),
)


class FakeCluster(FakeServer):
    """`stuck` are images whose pods never become ready."""

    def __init__(self, minor: int = 30) -> None:
        super().__init__(KINDS, minor)
        self.stuck: set[str] = set()
        self.refused: set[str] = set()  # names of objects

    def change(
        self,
        method: str,
        is_apply: bool,
        resource: Resource,
        key: Key,
        sub: str,
        query: Mapping[str, str],
        body: bytes,
    ) -> Json:
        if method != "GET" and key[1] in self.refused:
            raise Refusal(403, "Forbidden", f'{resource.plural} "{key[1]}" is forbidden')
        if query.get("dryRun"):
            return {}
        made = super().change(method, is_apply, resource, key, sub, query, body)
        if method in ("PATCH", "POST") and resource.kind in _CONTROLLED:
            made = self.put({**made, "status": self._status(made)})
        return made

    def _status(self, obj: Json) -> Json:
        if obj["kind"] == "CustomResourceDefinition":
            return {"conditions": [{"type": "Established", "status": "True"}]}
        (container,) = obj["spec"]["template"]["spec"]["containers"]
        ready = 0 if container["image"] in self.stuck else 2
        if obj["kind"] == "Deployment":
            return {"replicas": 2, "updatedReplicas": 2, "availableReplicas": ready}
        return {
            "desiredNumberScheduled": 2,
            "updatedNumberScheduled": 2,
            "numberAvailable": ready,
        }

    def names(self) -> set[tuple[str, str]]:
        """What there is, but for nodes."""
        return {
            (kind, name)
            for kind in {resource.kind for resource in KINDS} - {"Node"}
            for _, name in self.objects(kind)
        }

    async def cluster(self, told: list[str]) -> Cluster:
        client = Client(self.access)
        return Cluster(client, await discover(client), told.append)


_CONTROLLED = ("CustomResourceDefinition", "DaemonSet", "Deployment")


def node(name: str, **more: Any) -> Json:
    info = {"kernelVersion": "6.12.1", "architecture": "amd64", "operatingSystem": "linux"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"podCIDR": "10.244.0.0/24"},
        "status": {"nodeInfo": {**info, **more}},
    }


def daemon(name: str) -> Iterator[Json]:
    container = {"name": "x", "image": "x"}
    template = {"spec": {"containers": [container]}}
    yield {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {"template": template},
    }
