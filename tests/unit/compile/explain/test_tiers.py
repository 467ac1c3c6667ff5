"""What is decided where several policies speak."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tulle.compile.explain.tiers import Decision, Opinion, decide
from tulle.compile.rules import Action, Tier
from tulle.model.kubernetes import ObjectRef
from tulle.model.verdict import NOT_ISOLATED, Rule

ALLOW, DENY, PASS = Action.ALLOW, Action.DENY, Action.PASS


def opinion(
    name: str,
    *actions: Action,
    tier: Tier = Tier.NAMESPACE,
    isolates: bool = False,
    priority: int = 0,
) -> Opinion:
    ref = ObjectRef("Policy", "", name)
    matched = tuple((Rule("ingress", ref, index), action) for index, action in enumerate(actions))
    default = Rule("ingress", ref) if isolates else None
    return Opinion(ref, matched, default, tier, priority)


def admin(name: str, *actions: Action, priority: int = 0) -> Opinion:
    return opinion(name, *actions, tier=Tier.ADMIN, priority=priority)


def baseline(name: str, *actions: Action) -> Opinion:
    return opinion(name, *actions, tier=Tier.BASELINE)


def outcome(*opinions: Opinion) -> str:
    decision = decide("ingress", opinions)
    rule = decision.rule
    place = "open" if rule.builtin else f"{rule.policy.name if rule.policy else ''}"
    index = "" if rule.index is None else f"[{rule.index}]"
    return f"{'deny' if decision.denies else 'allow'} {place}{index}"


@pytest.mark.parametrize(
    ("opinions", "expected"),
    [
        ([], "allow open"),
        ([opinion("a")], "allow open"),
        ([opinion("a", isolates=True)], "deny a"),
        ([opinion("a", ALLOW)], "allow a[0]"),
        ([opinion("b", ALLOW), opinion("a", ALLOW)], "allow a[0]"),
        # a deny rule beats every allow rule, whatever the names
        ([opinion("a", ALLOW, isolates=True), opinion("b", ALLOW, DENY)], "deny b[1]"),
        # what isolates gives way to what allows
        ([opinion("a", isolates=True), opinion("b", ALLOW)], "allow b[0]"),
        ([opinion("b", isolates=True), opinion("c", isolates=True), opinion("a")], "deny b"),
        # the admin tier goes first, in order of priority and then of names
        ([admin("a", ALLOW), opinion("b", DENY)], "allow a[0]"),
        ([admin("a", DENY), opinion("b", ALLOW)], "deny a[0]"),
        ([admin("a", DENY, ALLOW)], "deny a[0]"),
        ([admin("a", DENY, priority=5), admin("b", ALLOW, priority=1)], "allow b[0]"),
        ([admin("b", DENY, priority=5), admin("a", ALLOW, priority=5)], "allow a[0]"),
        # Pass leaves it to the next tier, past all that is left of this one
        ([admin("a", PASS, DENY), admin("b", DENY), opinion("c", isolates=True)], "deny c"),
        ([admin("a", PASS), baseline("b", DENY)], "deny b[0]"),
        ([admin("a", PASS)], "allow open"),
        # the baseline is for those that no policy of a namespace speaks of
        ([baseline("a", DENY), opinion("b", ALLOW)], "allow b[0]"),
        ([baseline("a", ALLOW), opinion("b", isolates=True)], "deny b"),
        ([baseline("a", DENY), opinion("b")], "deny a[0]"),
        ([baseline("a", PASS, DENY), baseline("b", DENY)], "allow open"),
    ],
)
def test_tiers_and_precedence(opinions: list[Opinion], expected: str) -> None:
    assert outcome(*opinions) == expected
    assert outcome(*reversed(opinions)) == expected


def audited(item: Opinion) -> Opinion:
    return replace(item, audit=True)


def rejecting(item: Opinion) -> Opinion:
    return replace(item, reject=True)


def test_an_audited_policy_decides_nothing_and_says_what_it_would_deny() -> None:
    decision = decide("ingress", [audited(opinion("a", isolates=True))])
    assert decision.rule == Rule("ingress", builtin=NOT_ISOLATED)
    assert not decision.denies
    assert str(decision.audit) == "default deny by Policy a (ingress)"


@pytest.mark.parametrize(
    "opinions",
    [
        [audited(opinion("a", ALLOW))],
        [audited(opinion("a", isolates=True)), opinion("b", ALLOW)],
        [audited(opinion("a", DENY)), opinion("b", DENY)],  # denied as it is
        [audited(opinion("a", ALLOW)), opinion("b", isolates=True)],  # would be let through
        [audited(admin("a", PASS)), opinion("b", ALLOW)],
    ],
)
def test_an_audited_policy_that_would_not_deny_is_silent(opinions: list[Opinion]) -> None:
    assert decide("ingress", opinions).audit is None


def test_audit_counts_every_tier() -> None:
    decision = decide(
        "ingress", [audited(admin("a", PASS)), admin("b", ALLOW), baseline("c", DENY)]
    )
    assert str(decision.rule) == "Policy b ingress[0]"
    assert str(decision.audit) == "Policy c ingress[0]"


@pytest.mark.parametrize(
    ("opinions", "expected"),
    [
        ([rejecting(opinion("a", DENY))], True),
        ([rejecting(opinion("a", ALLOW))], False),
        ([rejecting(admin("a", DENY))], True),
        ([opinion("a", DENY), rejecting(opinion("b", isolates=True))], False),
        # a default deny is common to all that isolate
        ([opinion("a", isolates=True), rejecting(opinion("b", isolates=True))], True),
        ([opinion("a", isolates=True), rejecting(opinion("b"))], False),
        ([opinion("a", isolates=True), audited(rejecting(opinion("b", isolates=True)))], False),
    ],
)
def test_who_is_told_of_a_denial(opinions: list[Opinion], expected: bool) -> None:
    decision: Decision = decide("ingress", opinions)
    assert decision.reject is expected
