"""Whose connections may go from socket to socket."""

from __future__ import annotations

from dataclasses import replace

from tulle.agent.homes import short_circuited
from tulle.model.world import Settings, Workload, World


def workload(ifindex: int, **labels: str) -> Workload:
    return Workload("shop", f"w{ifindex}", labels, (), ifindex)


def test_all_but_those_that_ask_not_to_be() -> None:
    marked = {"tulle.io/short-circuit": "false"}
    pods = [
        workload(4),
        workload(5, app="web"),
        workload(6, **marked),
        workload(7, **{"tulle.io/short-circuit": "true"}),
        workload(0),  # without an interface of its own
    ]
    world = World(workloads={(pod.namespace, pod.name): pod for pod in pods})
    assert short_circuited(world) == set()
    assert short_circuited(world, left=True) == {4, 5, 7}
    asked = replace(world, settings=Settings(short_circuit=True))
    assert short_circuited(asked) == {4, 5, 7}
