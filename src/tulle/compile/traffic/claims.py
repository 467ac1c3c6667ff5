"""Which policy holds for a target when several name it (GEP-713: the oldest, then by name)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from tulle.model.kubernetes import ObjectRef
from tulle.model.traffic import TrafficPolicy

from ..routes.conditions import age

P = TypeVar("P", bound=TrafficPolicy)


class Target(NamedTuple):
    """An object, or a part of it: a Service's port, a Gateway's listener, a route's rule."""

    of: ObjectRef
    section: str = ""

    def __str__(self) -> str:
        return f"{self.of}{f' ({self.section})' if self.section else ''}"


@dataclass(frozen=True, slots=True)
class Claims(Generic[P]):
    """Of policies that speak of the same: for each target those that name it, the holder first."""

    of: Mapping[Target, tuple[P, ...]] = field(default_factory=dict)

    def holder(self, target: Target) -> P | None:
        claimants = self.of.get(target)
        return claimants[0] if claimants else None


def claims_of(policies: Iterable[P]) -> Claims[P]:
    found: dict[Target, list[P]] = {}
    for policy in sorted(policies, key=lambda item: (age(item.metadata), item.kind)):
        for target in targets_of(policy):
            found.setdefault(target, []).append(policy)
    return Claims({target: tuple(claimants) for target, claimants in found.items()})


def targets_of(policy: TrafficPolicy) -> list[Target]:
    namespace = policy.metadata.namespace
    return [
        Target(ObjectRef(ref.kind, namespace, ref.name), getattr(ref, "section_name", ""))
        for ref in policy.spec.target_refs
    ]
