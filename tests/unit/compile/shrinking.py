"""The smallest world in which something still happens, and how to show it to people.

Hypothesis shrinks what it drew itself; the differential test draws with a plain seeded generator,
which is ten times as fast, and shrinks the one world that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import yaml

from tulle.model.kubernetes import ObjectMeta
from tulle.model.verdict import Flow
from tulle.model.world import Node, Workload, World

PARTS = (
    *("policies", "cilium_policies", "clusterwide_policies", "cluster_policies", "cidr_groups"),
    *("nodes", "remote", "workloads", "services", "slices", "namespaces"),
)
# Without these an object means nothing, or something else altogether.
KEPT = ("endpoint_selector", "node_selector", "namespaces", "pods")


def shrink(world: World, still: Callable[[World], bool]) -> World:
    """A world from which nothing can be taken without losing what `still` sees. Greedy.

    What is left of an object may be none that validation would accept; where `still` stumbles over
    one, that cut is not made.
    """
    while True:
        for candidate in _smaller_worlds(world):
            if _holds(still, candidate):
                world = candidate
                break
        else:
            return world


def render(world: World, flow: Flow) -> str:
    """The parts of a world that a verdict may depend on, as YAML."""
    content: dict[str, Any] = {
        "flow": f"{flow.src} -> {flow.dst} {flow.protocol} {flow.dport}",
        "node": _node(world.node),
        "nodes": {name: _node(item) for name, item in world.nodes.items()},
        "workloads": {str(item): _workload(item) for item in world.workloads.values()},
        "remote": {
            node: {str(item): _workload(item) for item in items.values()}
            for node, items in world.remote.items()
        },
    }
    for part in (*PARTS[:5], "services", "slices", "namespaces"):
        content[part] = [msgspec.to_builtins(item) for item in getattr(world, part).values()]
    shown = {name: value for name, value in content.items() if value}
    return yaml.safe_dump(shown, sort_keys=False, default_flow_style=None, width=100)


def _holds(still: Callable[[World], bool], world: World) -> bool:
    try:
        return still(world)
    except (AssertionError, KeyError, TypeError, ValueError):
        return False


def _node(node: Node) -> dict[str, Any]:
    shown = {
        "labels": dict(node.labels),
        "addresses": [str(address) for address in node.addresses],
        "pod_cidrs": [str(cidr) for cidr in node.pod_cidrs],
    }
    return {name: value for name, value in shown.items() if value}


def _workload(workload: Workload) -> dict[str, Any]:
    ports = [f"{port.name}={port.container_port}/{port.protocol}" for port in workload.ports]
    shown = {
        "labels": dict(workload.labels),
        "account": workload.service_account,
        "addresses": [str(address) for address in workload.addresses],
        "ports": ports,
    }
    return {name: value for name, value in shown.items() if value}


def _smaller_worlds(world: World) -> Iterator[World]:
    """Big cuts first, so that most of a world is gone after a few tries."""
    for cut in (_without_key, _smaller_values):
        for part in PARTS:
            for items in cut(getattr(world, part)):
                changes: dict[str, Any] = {part: items}
                yield replace(world, **changes)
    for node in _smaller(world.node):
        yield replace(world, node=node)


def _without_key(items: Mapping[Any, Any]) -> Iterator[dict[Any, Any]]:
    for key in items:
        yield {other: value for other, value in items.items() if other != key}


def _smaller_values(items: Mapping[Any, Any]) -> Iterator[dict[Any, Any]]:
    for key, value in items.items():
        yield from ({**items, key: candidate} for candidate in _smaller(value))


def _smaller(value: Any) -> Iterator[Any]:
    """The same thing with one thing less, wherever that is inside of it."""
    match value:
        case tuple():
            for index, item in enumerate(value):
                yield value[:index] + value[index + 1 :]
                yield from (
                    (*value[:index], smaller, *value[index + 1 :]) for smaller in _smaller(item)
                )
        case Mapping():
            yield from _without_key(value)
            yield from _smaller_values(value)
        case ObjectMeta():
            for name in ("annotations", "labels"):
                for items in _without_key(getattr(value, name)):
                    yield msgspec.structs.replace(value, **{name: items})
        case msgspec.Struct():
            yield from _smaller_structs(value)
        case Workload() | Node():
            for name in ("labels", "ports", "addresses", "pod_cidrs"):
                for smaller in _smaller(getattr(value, name, ())):
                    changes: dict[str, Any] = {name: smaller}
                    yield replace(value, **changes)


def _smaller_structs(value: msgspec.Struct) -> Iterator[msgspec.Struct]:
    for item in msgspec.structs.fields(value):
        held = getattr(value, item.name)
        if item.name not in KEPT and item.default not in (msgspec.NODEFAULT, held):
            yield msgspec.structs.replace(value, **{item.name: item.default})
        for smaller in _smaller(held):
            yield msgspec.structs.replace(value, **{item.name: smaller})
