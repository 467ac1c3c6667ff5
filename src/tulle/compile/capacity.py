"""What is left out, by name, when there is more in the world than the kernel's maps can hold.

Nothing opens by it: a workload without an entry reaches nobody and is reached by nobody, and a
policy without its rules still isolates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from tulle.model.kinds import ref_of
from tulle.model.kubernetes import NetworkPolicy, ObjectRef
from tulle.model.world import IPNetwork, Key, Refusal, Workload, World

from .identities import Distinctions
from .policies import policy_types

Limits = Mapping[str, int]  # entries per map


def full(name: str, limits: Limits) -> str:
    return f"map {name} is full (limit {limits[name]})"


def fit(world: World, limits: Limits) -> tuple[World, list[Refusal]]:
    """The world without the workloads, and the policies without the rules, that do not fit."""
    workloads, cut_off = _workloads(world, limits)
    policies, hollowed = _policies(world, limits)
    return replace(world, workloads=workloads, policies=policies), cut_off + hollowed


def _workloads(world: World, limits: Limits) -> tuple[dict[Key, Workload], list[Refusal]]:
    kept: dict[Key, Workload] = {}
    refused: list[Refusal] = []
    room = limits["endpoints"]
    # Interfaces are numbered as they are made, so the latest comer is the one that finds no room.
    for key, workload in sorted(world.workloads.items(), key=lambda item: item[1].ifindex):
        if len(workload.addresses) > room:
            reason = f"{full('endpoints', limits)}: it is cut off"
            refused.append(Refusal(ObjectRef("Pod", *key), reason))
            continue
        room -= len(workload.addresses)
        kept[key] = workload
    return kept, refused


def _policies(world: World, limits: Limits) -> tuple[Mapping[Key, NetworkPolicy], list[Refusal]]:
    """An ipBlock needs all its prefixes: without an `except`, it would admit too much."""
    room = limits["ipcache"] - len(world.node.addresses)
    if _most_prefixes(world) <= room:
        return world.policies, []
    kept: dict[Key, NetworkPolicy] = {}
    refused: list[Refusal] = []
    seen: frozenset[IPNetwork] = frozenset()
    for key, policy in sorted(world.policies.items()):
        needed = seen | Distinctions([policy]).networks()
        if len(needed) > room:
            reason = f"{full('ipcache', limits)}: it isolates, and its rules admit nobody"
            refused.append(Refusal(ref_of(policy), reason))
            kept[key] = _hollow(policy)
        else:
            seen, kept[key] = needed, policy
    return kept, refused


def _most_prefixes(world: World) -> int:
    """No fewer than `Distinctions.networks` would find, without parsing anything."""
    return 1 + sum(
        1 + len(peer.ip_block.except_)
        for policy in world.policies.values()
        for peers in (
            *(rule.from_ for rule in policy.spec.ingress),
            *(rule.to for rule in policy.spec.egress),
        )
        for peer in peers
        if peer.ip_block is not None
    )


def _hollow(policy: NetworkPolicy) -> NetworkPolicy:
    isolated = policy_types(policy)
    types = tuple(name for name in ("Ingress", "Egress") if name.lower() in isolated)
    spec = msgspec.structs.replace(policy.spec, ingress=(), egress=(), policy_types=types)
    return msgspec.structs.replace(policy, spec=spec)
