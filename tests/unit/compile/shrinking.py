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

from tulle.model.kubernetes import (
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyEgressRule,
    NetworkPolicyIngressRule,
    NetworkPolicyPeer,
    NetworkPolicySpec,
)
from tulle.model.verdict import Flow
from tulle.model.world import Workload, World

changed = msgspec.structs.replace


def shrink(world: World, still: Callable[[World], bool]) -> World:
    """A world from which nothing can be taken without losing what `still` sees. Greedy."""
    while True:
        for candidate in _smaller_worlds(world):
            if still(candidate):
                world = candidate
                break
        else:
            return world


def render(world: World, flow: Flow) -> str:
    """The parts of a world that a verdict may depend on, as YAML."""
    content = {
        "flow": f"{flow.src} -> {flow.dst} {flow.protocol} {flow.dport}",
        "node": [str(address) for address in world.node.addresses],
        "namespaces": {name: dict(item.metadata.labels) for name, item in world.namespaces.items()},
        "workloads": {str(item): _workload(item) for item in world.workloads.values()},
        "services": {
            "/".join(key): list(item.spec.cluster_ips) for key, item in world.services.items()
        },
        "policies": {
            "/".join(key): msgspec.to_builtins(item.spec) for key, item in world.policies.items()
        },
    }
    shown = {name: value for name, value in content.items() if value}
    return yaml.safe_dump(shown, sort_keys=False, default_flow_style=None, width=100)


def _workload(workload: Workload) -> dict[str, Any]:
    ports = [f"{port.name}={port.container_port}/{port.protocol}" for port in workload.ports]
    return {
        "labels": dict(workload.labels),
        "addresses": [str(address) for address in workload.addresses],
        "ports": ports,
    }


def _without(items: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    for index in range(len(items)):
        yield items[:index] + items[index + 1 :]


def _without_key(items: Mapping[Any, Any]) -> Iterator[dict[Any, Any]]:
    for key in items:
        yield {other: value for other, value in items.items() if other != key}


def _replaced(
    items: Mapping[Any, Any], smaller: Callable[[Any], Iterator[Any]]
) -> Iterator[dict[Any, Any]]:
    for key, value in items.items():
        yield from ({**items, key: candidate} for candidate in smaller(value))


def _smaller_worlds(world: World) -> Iterator[World]:
    """Big cuts first, so that most of a world is gone after a few tries."""
    for name in ("policies", "workloads", "services", "slices", "namespaces"):
        for items in _without_key(getattr(world, name)):
            cut: dict[str, Any] = {name: items}
            yield replace(world, **cut)
    for addresses in _without(world.node.addresses):
        yield replace(world, node=replace(world.node, addresses=addresses))
    for policies in _replaced(world.policies, _smaller_policies):
        yield replace(world, policies=policies)
    for workloads in _replaced(world.workloads, _smaller_workloads):
        yield replace(world, workloads=workloads)


def _smaller_workloads(workload: Workload) -> Iterator[Workload]:
    for labels in _without_key(workload.labels):
        yield replace(workload, labels=labels)
    for ports in _without(workload.ports):
        yield replace(workload, ports=ports)
    for addresses in _without(workload.addresses):
        yield replace(workload, addresses=addresses)


def _smaller_policies(policy: NetworkPolicy) -> Iterator[NetworkPolicy]:
    for spec in _smaller_specs(policy.spec):
        yield changed(policy, spec=spec)


def _smaller_specs(spec: NetworkPolicySpec) -> Iterator[NetworkPolicySpec]:
    for selector in _smaller_selectors(spec.pod_selector):
        yield changed(spec, pod_selector=selector)
    for name in ("ingress", "egress"):
        rules = getattr(spec, name)
        for fewer in _without(rules):
            yield changed(spec, **{name: fewer})
        for index, rule in enumerate(rules):
            for smaller in _smaller_rules(rule):
                yield changed(spec, **{name: (*rules[:index], smaller, *rules[index + 1 :])})


def _smaller_rules(
    rule: NetworkPolicyIngressRule | NetworkPolicyEgressRule,
) -> Iterator[NetworkPolicyIngressRule | NetworkPolicyEgressRule]:
    name = "from_" if isinstance(rule, NetworkPolicyIngressRule) else "to"
    peers: tuple[NetworkPolicyPeer, ...] = getattr(rule, name)
    for ports in _without(rule.ports):
        yield changed(rule, ports=ports)
    for fewer in _without(peers):
        yield changed(rule, **{name: fewer})
    for index, peer in enumerate(peers):
        for smaller in _smaller_peers(peer):
            yield changed(rule, **{name: (*peers[:index], smaller, *peers[index + 1 :])})


def _smaller_peers(peer: NetworkPolicyPeer) -> Iterator[NetworkPolicyPeer]:
    if peer.ip_block is not None:
        for holes in _without(peer.ip_block.except_):
            yield changed(peer, ip_block=changed(peer.ip_block, except_=holes))
    for name in ("pod_selector", "namespace_selector"):
        selector = getattr(peer, name)
        if selector is not None:
            for smaller in _smaller_selectors(selector):
                yield changed(peer, **{name: smaller})


def _smaller_selectors(selector: LabelSelector) -> Iterator[LabelSelector]:
    for labels in _without_key(selector.match_labels):
        yield changed(selector, match_labels=labels)
    for expressions in _without(selector.match_expressions):
        yield changed(selector, match_expressions=expressions)
