"""The policies that are in force: all of them, but for want of room some without their rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import is_

from tulle.model.world import IPNetwork, Refusal

from .blocks import borders
from .capacity import Limits, fitting_policies
from .policies import PolicyIndex
from .rules import Policy


@dataclass(frozen=True, slots=True)
class PoliciesInForce:
    """The rest is what it was made from."""

    index: PolicyIndex = field(default_factory=lambda: PolicyIndex(()))
    refusals: tuple[Refusal, ...] = ()
    policies: tuple[Policy, ...] = ()
    others: tuple[IPNetwork, ...] = ()


def policies_in_force(
    policies: tuple[Policy, ...],
    others: tuple[IPNetwork, ...],
    limits: Limits,
    before: PoliciesInForce,
) -> PoliciesInForce:
    """`others` are the prefixes that the ipcache needs without any policy."""
    same = len(policies) == len(before.policies) and all(map(is_, policies, before.policies))
    if same and others == before.others:
        return before
    index = _index(policies, before.index)
    needed = borders({*index.distinctions.outside.networks, *others})
    if len(needed) <= limits["ipcache"]:
        return PoliciesInForce(index, (), policies, others)
    strict, refusals = fitting_policies(policies, others, limits)
    return PoliciesInForce(_index(strict, before.index), refusals, policies, others)


def _index(policies: tuple[Policy, ...], before: PolicyIndex) -> PolicyIndex:
    return before if before.holds(policies) else PolicyIndex(policies, before)
