"""How an installation does: its version, and the agents node by node."""

from __future__ import annotations

from typing import Any

import msgspec

from tulle.agent.kube.kinds import ALL
from tulle.agent.kube.peers import LABEL
from tulle.edges.kubernetes.errors import Forbidden, NotFound

from .cluster import Cluster, Json, daemons_lack, decoded, replicas_lack
from .metadata import AGENT, MANAGED_BY, OPERATOR, VERSION
from .rbac import LEASE
from .revisions import Revisions

HOST = "Host"  # as phase: no kubelet runs there
_PASSING = ("ContainerCreating", "PodInitializing")


class _Meta(msgspec.Struct):
    name: str = ""
    labels: dict[str, str] = {}


class _Reason(msgspec.Struct):
    reason: str = ""


class _State(msgspec.Struct):
    waiting: _Reason | None = None
    terminated: _Reason | None = None


class _Container(msgspec.Struct, rename="camel"):
    ready: bool = False
    restart_count: int = 0
    state: _State = msgspec.field(default_factory=_State)


class _Condition(msgspec.Struct):
    type: str = ""
    status: str = ""
    reason: str = ""


class _Status(msgspec.Struct, rename="camel"):
    phase: str = ""
    reason: str = ""
    conditions: list[_Condition] = []
    init_container_statuses: list[_Container] = []
    container_statuses: list[_Container] = []


class _Spec(msgspec.Struct, rename="camel"):
    node_name: str = ""


class _Pod(msgspec.Struct):
    metadata: _Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class _Pods(msgspec.Struct):
    items: list[_Pod]


async def overview(cluster: Cluster, namespace: str) -> Json:
    daemons = await cluster.get(_workload("DaemonSet", AGENT, namespace))
    operator = await cluster.get(_workload("Deployment", OPERATOR, namespace))
    revisions = await Revisions(cluster, namespace).all()
    newest = revisions[-1] if revisions else None
    labels = (daemons or {}).get("metadata", {}).get("labels", {})
    return {
        "installed": daemons is not None,
        "namespace": namespace,
        "server": cluster.discovered.server,
        "version": labels.get(VERSION, ""),
        "manager": labels.get(MANAGED_BY, ""),
        "revision": newest.number if newest else None,
        "state": newest.state if newest else "",
        "agents": daemons_lack(daemons),
        "operator": replicas_lack(operator),
        "joined": await _joined(cluster, namespace),
        "leader": await _leader(cluster, namespace),
        "nodes": await _nodes(cluster, namespace) + await _hosts(cluster),
    }


def _workload(kind: str, name: str, namespace: str) -> Json:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata}


async def _leader(cluster: Cluster, namespace: str) -> str:
    """Who writes statuses for all."""
    metadata = {"name": LEASE, "namespace": namespace}
    lease: dict[str, Any] = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    found = await cluster.get({**lease, "metadata": metadata})
    return str(((found or {}).get("spec") or {}).get("holderIdentity") or "")


async def _joined(cluster: Cluster, namespace: str) -> list[str]:
    """Other clusters to which Secrets lead, as far as whoever asks may see those."""
    path = f"/api/v1/namespaces/{namespace}/secrets"
    try:
        found = decoded(await cluster.client.get(path, {"labelSelector": LABEL})).get("items") or []
    except (Forbidden, NotFound):
        return []
    return sorted({item["metadata"]["labels"][LABEL] for item in found})


async def held_up(cluster: Cluster, namespace: str) -> list[str]:
    """Pods of the installation that do not start, each with its reason."""
    found = {
        pod.metadata.name: _reason(pod)
        for name in (AGENT, OPERATOR)
        for pod in await _pods(cluster, namespace, name)
    }
    return [f"Pod {namespace}/{name}: {reason}" for name, reason in found.items() if reason]


async def _pods(cluster: Cluster, namespace: str, name: str) -> list[_Pod]:
    query = {"labelSelector": f"app.kubernetes.io/name={name}"}
    path = f"/api/v1/namespaces/{namespace}/pods"
    try:
        return msgspec.json.decode(await cluster.client.get(path, query), type=_Pods).items
    except NotFound:
        return []


def _reason(pod: _Pod) -> str:
    """Why it does not run, as `kubectl get pods` has it; "" if it does, or is about to."""
    for container in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        if (waits := container.state.waiting) and waits.reason not in ("", *_PASSING):
            return waits.reason
        if (ended := container.state.terminated) and ended.reason not in ("", "Completed"):
            return ended.reason
    where = (item for item in pod.status.conditions if item.type == "PodScheduled")
    nowhere = next((item.reason for item in where if item.status == "False"), "")
    return pod.status.reason or nowhere


async def _nodes(cluster: Cluster, namespace: str) -> list[Json]:
    """Every node, also one without an agent."""
    pods = await _pods(cluster, namespace, AGENT)
    listed = decoded(await cluster.client.get("/api/v1/nodes")).get("items") or []
    found = {item["metadata"]["name"]: _row(item["metadata"]["name"], None) for item in listed}
    found |= {pod.spec.node_name: _row(pod.spec.node_name, pod) for pod in pods}
    return [found[name] for name in sorted(found) if name]


async def _hosts(cluster: Cluster) -> list[Json]:
    """Those beside the cluster, as their statuses have them."""
    kind = cluster.discovered.choose("MeshNode", ALL["MeshNode"].versions)
    items = decoded(await cluster.client.get(kind.path())).get("items") or [] if kind else []
    return [
        {**_row(item["metadata"]["name"], None), "phase": HOST, "ready": _is_ready(item)}
        for item in items
    ]


def _is_ready(host: Json) -> bool:
    conditions = (host.get("status") or {}).get("conditions") or ()
    said = {item["type"]: item["status"] for item in conditions}
    return said.get("Ready") == said.get("Accepted") == "True"


def _row(node: str, pod: _Pod | None) -> Json:
    containers = pod.status.container_statuses if pod else []
    return {
        "node": node,
        "pod": pod.metadata.name if pod else "",
        "version": pod.metadata.labels.get(VERSION, "") if pod else "",
        "phase": pod.status.phase if pod else "",
        "ready": bool(containers) and all(item.ready for item in containers),
        "restarts": sum(item.restart_count for item in containers),
        "reason": _reason(pod) if pod else "",
    }
