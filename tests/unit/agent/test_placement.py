"""What `tulle get pods` and `tulle get nodes` are told."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.agent.passes import pass_of
from tests.unit.compile.objects import objects, workload, world_of
from tulle.agent import placement
from tulle.agent.agent import Pass
from tulle.agent.options import KubernetesOptions, NodeOptions
from tulle.edges.manifests import Snapshot
from tulle.model.kubernetes import Pod
from tulle.model.world import Node

DB = workload("db-2", app="db")
AWAY = replace(workload("db-9", "10.0.9.9", app="db"), node="b", ifindex=0)
PODS = """
kind: Pod
metadata: {name: db-2}
spec: {containers: [{name: a, command: [a]}, {name: b, command: [b]}]}
---
kind: Pod
metadata: {name: db-9}
spec: {nodeName: b, containers: [{name: a, command: [a]}]}
"""


@pytest.fixture
def now() -> Pass:
    world = replace(world_of(DB), nodes={"b": Node("b")}, remote={"b": {AWAY.key: AWAY}})
    pods = {(pod.metadata.namespace, pod.metadata.name): pod for pod in objects(PODS)}
    assert all(isinstance(pod, Pod) for pod in pods.values())
    return replace(pass_of(world), snapshot=Snapshot({"Pod": pods}, ()))


@pytest.fixture
def agent() -> Any:
    return SimpleNamespace(
        options=NodeOptions(),
        pods=SimpleNamespace(problems=dict, status=lambda key: ()),
        pending={},
        neighbours=SimpleNamespace(created=lambda: {"b": "2024-01-01T00:00:00+00:00"}),
    )


def test_pods_wait_until_all_containers_run(agent: Any, now: Pass) -> None:
    states = [
        SimpleNamespace(running=True, restarts=1, reason=""),
        SimpleNamespace(running=False, restarts=2, reason="exited with 3"),
    ]
    agent.pods.status = lambda key: states
    row = placement.pods(agent, now)[0]
    assert (row["phase"], row["restarts"], row["reason"]) == ("Pending", 3, "exited with 3")
    assert (row["ready"], row["addresses"]) == (True, ["10.0.0.2"])
    states[1].running = True
    assert placement.pods(agent, now)[0]["phase"] == "Running"
    states.clear()
    assert placement.pods(agent, now)[0]["phase"] == "Pending"


def test_a_pod_of_another_node_is_as_that_node_tells(agent: Any, now: Pass) -> None:
    row = placement.pods(agent, now)[1]
    assert (row["node"], row["phase"], row["restarts"]) == ("b", "Running", None)


def test_in_kubernetes_pods_are_who_has_an_address(agent: Any, now: Pass) -> None:
    agent.options = NodeOptions(kubernetes=KubernetesOptions())
    rows = placement.pods(agent, replace(now, snapshot=Snapshot({}, ())))
    assert [(row["name"], row["node"]) for row in rows] == [
        ("db-2", now.world.node.name),
        ("db-9", "b"),
    ]


def test_nodes_are_listed_with_how_many_live_there(agent: Any, now: Pass) -> None:
    rows = {item["name"]: item for item in placement.nodes(agent, now)}
    assert rows["b"]["workloads"] == 1 and rows["b"]["created"].startswith("2024")
    assert rows[now.world.node.name]["this"]
