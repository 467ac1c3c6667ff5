"""What is decided where several policies speak: tiers, precedence, audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tulle.model.kubernetes import ObjectRef
from tulle.model.verdict import NOT_ISOLATED, RequestRule, Rule

from ..rules import Action, Tier
from .ends import Direction


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one policy that selects the subject says of one flow in one direction.

    `matched` are its rules that match the flow, in their order; those that allow some of its
    requests only are `requests`. `default` is its default deny, None if it does not isolate.
    Smaller `priority` goes first.
    """

    ref: ObjectRef
    matched: tuple[tuple[Rule, Action], ...]
    default: Rule | None = None
    tier: Tier = Tier.NAMESPACE
    priority: int = 0
    audit: bool = False
    reject: bool = False
    requests: tuple[RequestRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """`audit` is the rule that would deny what is allowed, if no policy were in audit mode.

    `requests` decide on each request of what is allowed; `audit_requests` would.
    """

    rule: Rule
    denies: bool = False
    reject: bool = False
    audit: Rule | None = None
    requests: tuple[RequestRule, ...] = ()
    audit_requests: tuple[RequestRule, ...] = ()


def decide(direction: Direction, opinions: Sequence[Opinion]) -> Decision:
    """Policies in audit mode have no part in the decision, only in what is said beside it."""
    decision = _decide(direction, [item for item in opinions if not item.audit])
    strict = _decide(direction, opinions)
    if strict.denies and not decision.denies:
        return replace(decision, audit=strict.rule)
    if not decision.denies and not decision.requests:
        return replace(decision, audit_requests=strict.requests)
    return decision


def _decide(direction: Direction, opinions: Sequence[Opinion]) -> Decision:
    ordered = sorted(opinions, key=lambda item: (item.priority, item.ref))
    by_tier = {tier: [item for item in ordered if item.tier is tier] for tier in Tier}
    return (
        _first_match(by_tier[Tier.ADMIN])
        or _deny_over_allow(by_tier[Tier.NAMESPACE])
        or _first_match(by_tier[Tier.BASELINE])
        or Decision(Rule(direction, builtin=NOT_ISOLATED))
    )


def _first_match(opinions: Sequence[Opinion]) -> Decision | None:
    """The first rule of all decides; Pass leaves it to the next tier."""
    for opinion in opinions:
        for rule, action in opinion.matched:
            if action is Action.PASS:
                return None
            denies = action is Action.DENY
            return Decision(rule, denies, denies and opinion.reject)
    return None


def _deny_over_allow(opinions: Sequence[Opinion]) -> Decision | None:
    """A deny rule beats every allow rule; what nothing allows is denied if a policy isolates.

    Rules that allow some requests are asked where none allows all of them.
    """
    for wanted in (Action.DENY, Action.ALLOW):
        for opinion in opinions:
            for rule, action in opinion.matched:
                if action is wanted:
                    denies = action is Action.DENY
                    return Decision(rule, denies, denies and opinion.reject)
    if requests := tuple(item for opinion in opinions for item in opinion.requests):
        return Decision(requests[0].rule, requests=requests)
    isolating = [item for item in opinions if item.default]
    for opinion in isolating:
        assert opinion.default
        reject = any(item.reject for item in isolating)
        return Decision(opinion.default, denies=True, reject=reject)
    return None
