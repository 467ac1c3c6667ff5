"""What `tulle get nodes` and `tulle get pods` show: who is where, as plain JSON values."""

from __future__ import annotations

from typing import Any

from tulle.model.hosts import MeshNode
from tulle.model.kubernetes import Pod
from tulle.model.world import Key, Node, Workload

from .agent import Agent, Pass

Json = dict[str, Any]


def nodes(agent: Agent, now: Pass) -> list[Json]:
    world = now.world
    guests = now.snapshot.named(MeshNode)
    created = {name: str(item.metadata.creation_timestamp or "") for name, item in guests.items()}
    created |= agent.neighbours.created()
    counts = {name: len(workloads) for name, workloads in world.remote.items()}
    counts[world.node.name] = len(world.workloads)
    return [
        {
            "name": name,
            "this": node is world.node,
            "addresses": [str(item) for item in node.addresses],
            "underlay": str(node.underlay or ""),
            "pod_cidrs": [str(item) for item in node.pod_cidrs],
            "workloads": counts.get(name, 0),
            "labels": dict(node.labels),
            "created": created.get(name, ""),
        }
        for name, node in sorted({**world.nodes, world.node.name: world.node}.items())
    ]


def pods(agent: Agent, now: Pass) -> list[Json]:
    """Those of the manifests, as this node sees them: what runs elsewhere is told by its node.

    In a Kubernetes cluster those that have an address in the mesh.
    """
    here = now.world.node
    elsewhere = {
        key: workload for of_node in now.world.remote.values() for key, workload in of_node.items()
    }
    if agent.options.kubernetes:
        known = {**elsewhere, **now.world.workloads}
        return [_row(key, known[key], here, "Running") for key in sorted(known)]
    rows = []
    for key, pod in sorted(now.snapshot.of(Pod).items()):
        if key in now.world.workloads or key not in elsewhere:
            rows.append(_own_pod(agent, now, key, pod))
        else:
            rows.append(_row(key, elsewhere[key], here, "Running"))
    return rows


def _own_pod(agent: Agent, now: Pass, key: Key, pod: Pod) -> Json:
    workload = now.world.workloads.get(key)
    containers = agent.pods.status(key)
    running = bool(containers) and all(item.running for item in containers)
    reasons = [item.reason for item in containers if item.reason]
    row = _row(key, workload, now.world.node, "Running" if running else "Pending")
    reason = agent.pods.problems().get(key) or agent.pending.get(key) or "; ".join(reasons)
    return {
        **row,
        "node": row["node"] or pod.spec.node_name,
        "restarts": sum(item.restarts for item in containers),
        "reason": reason,
    }


def _row(key: Key, workload: Workload | None, here: Node, phase: str) -> Json:
    return {
        "namespace": key[0],
        "name": key[1],
        "phase": phase,
        "ready": bool(workload and workload.ready),
        "restarts": None,  # only its own node knows
        "addresses": [str(item) for item in workload.addresses] if workload else [],
        "node": (workload.node or here.name) if workload else "",
        "reason": "",
    }
