"""Policies of every kind → rules.Policy, each object translated once for as long as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tulle.model.cilium import CiliumClusterwideNetworkPolicy, CiliumNetworkPolicy
from tulle.model.cluster_policy import ClusterNetworkPolicy
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import NetworkPolicy, ObjectRef
from tulle.model.world import Refusal, World

from ..rules import Policy
from .cilium import cilium_policy
from .cluster_policy import cluster_policy
from .named import Named
from .network_policy import network_policy

PolicyObject = (
    NetworkPolicy | CiliumNetworkPolicy | CiliumClusterwideNetworkPolicy | ClusterNetworkPolicy
)

__all__ = ["PolicyObject", "Translated", "policies_of"]


@dataclass(frozen=True, slots=True)
class _Known:
    """One object's translation, and what of the world it was made from."""

    source: PolicyObject
    used: tuple[object, ...]
    policies: tuple[Policy, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Translated:
    """`policies` are in order of their objects' names.

    A policy of `refusals` is in force, but what it names is missing and selects nobody, or a part
    of it cannot be honoured and allows nothing. `sources` are the mappings of the world that all
    was made from.
    """

    policies: tuple[Policy, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    known: Mapping[ObjectRef, _Known] = field(default_factory=dict)
    sources: tuple[object, ...] = ()


def policies_of(world: World, before: Translated | None = None) -> Translated:
    """All policies of a world; those that nothing changed are the same values as in `before`."""
    sources = _sources(world)
    if before and _are_current(before, sources, world):
        return before
    earlier = before.known if before else {}
    known: dict[ObjectRef, _Known] = {}
    for item in (item for source in sources for item in source.values()):
        ref = ref_of(item)
        last = earlier.get(ref)
        known[ref] = last if last and _holds(last, item, world) else _translate(item, world, last)
    ordered = sorted(known.items())
    return Translated(
        tuple(policy for _, item in ordered for policy in item.policies),
        tuple(Refusal(ref, reason) for ref, item in ordered for reason in item.problems),
        known,
        (*sources, *(used for item in known.values() for used in item.used)),
    )


def _sources(world: World) -> tuple[Mapping[Any, PolicyObject], ...]:
    return (
        world.policies,
        world.cilium_policies,
        world.clusterwide_policies,
        world.cluster_policies,
    )


def _parts(world: World) -> tuple[object, ...]:
    """What policies may name."""
    return world.cidr_groups, world.services, world.slices


def _are_current(before: Translated, sources: tuple[object, ...], world: World) -> bool:
    current = {id(item) for item in (*sources, *_parts(world))}
    made_from = {id(item) for item in before.sources}
    return made_from <= current and made_from >= {id(item) for item in sources}


def _holds(last: _Known, item: PolicyObject, world: World) -> bool:
    parts = {id(part) for part in _parts(world)}
    return last.source is item and all(id(used) in parts for used in last.used)


def _translate(item: PolicyObject, world: World, last: _Known | None) -> _Known:
    named = Named(world)
    match item:
        case NetworkPolicy():
            policies = network_policy(item)
        case ClusterNetworkPolicy():
            policies = cluster_policy(item)
        case _:
            policies = cilium_policy(item, named)
    if last and last.policies == policies:
        policies = last.policies
    problems = tuple(dict.fromkeys((*named.missing, *named.refused)))
    return _Known(item, tuple(named.used), policies, problems)
