"""What is left out, by name, when there is more in the world than the kernel's maps can hold.

A workload of this node without an entry reaches nobody and is reached by nobody, and a policy
without its rules still denies. One of another node counts as unmanaged: what policies say of its
labels, be it to allow or to deny, is not about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tulle.abi import MAPS
from tulle.model.verdict import Rule
from tulle.model.world import IPNetwork, Refusal

from .blocks import borders
from .identities import Distinctions
from .lines import ParsedPolicy
from .parts import DERIVED
from .rules import Action, Policy, PolicyRule, Tier

Limits = Mapping[str, int]  # entries per map, and what else is bounded
LISTENERS = "listeners"
# Half of each map, as a change puts the new beside the old before it deletes that.
LIMITS: Limits = {
    **{name: MAPS[name].max_entries // 2 for name in DERIVED},
    LISTENERS: 1024,  # of rule sets: each has sockets, filters and routes in the proxy
}
# Kept free for those whose policies do not fit: a rule and an entry for each way and reason.
DENIALS = 6


def full(name: str, limits: Limits) -> str:
    if name == LISTENERS:
        return f"the node's proxy is full (limit {limits[name]} sets of layer 7 rules)"
    return f"map {name} is full (limit {limits[name]})"


def fitting_policies(
    policies: tuple[Policy, ...], others: Iterable[IPNetwork], limits: Limits
) -> tuple[tuple[Policy, ...], tuple[Refusal, ...]]:
    """Policies whose blocks find room beside other prefixes; the rest without their rules.

    A block needs all of its prefixes: without an `except`, it would admit too much.
    """
    taken, room = set(borders(others)), limits["ipcache"]
    kept: list[Policy] = []
    refused: list[Refusal] = []
    for policy in policies:
        fresh = borders(Distinctions([ParsedPolicy(policy)]).outside.networks) - taken
        if len(taken) + len(fresh) <= room:
            taken |= fresh
            kept.append(policy)
            continue
        hollow = _hollow(policy)
        kept.append(hollow)
        what = f"all {policy.direction} of what it selects is denied"
        if not hollow.rules:
            what = "it isolates, and its rules admit nobody"
        refused.append(Refusal(policy.ref, f"{full('ipcache', limits)}: {what}"))
    return tuple(kept), tuple(refused)


def _hollow(policy: Policy) -> Policy:
    """One that allows no more than the policy does: where it could deny, it denies everything."""
    if policy.tier is Tier.NAMESPACE and all(rule.action is Action.ALLOW for rule in policy.rules):
        return replace(policy, rules=())
    everything = PolicyRule(Rule(policy.direction, policy.ref, spec=policy.spec), Action.DENY)
    return replace(policy, rules=(everything,))
