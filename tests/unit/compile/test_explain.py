"""Who has a say on which node, what stands beside a verdict, and what one verdict leaves out."""

from __future__ import annotations

import pytest

from tests.unit.compile.explain.town import asked, flow, policy, told, town
from tulle.abi import Reason
from tulle.compile.explain import explain, seen_from
from tulle.model.verdict import FROM_NODE, NOT_ISOLATED, TO_ITSELF, Verdict

CLOSED = policy("shop/closed", "{policyTypes: [Ingress, Egress]}")
WALL = policy(
    "wall",
    """
    nodeSelector: {}
    ingress: [{fromEntities: [remote-node], toPorts: [{ports: [{port: "22"}]}]}]
    egress: [{toEntities: [cluster]}]
    """,
    "CiliumClusterwideNetworkPolicy",
)
DENY = "default deny by"


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        # its own node judges each end: this one has no rule for what lives elsewhere
        ("shop/cache > shop/web", f"- | {DENY} NetworkPolicy shop/closed (ingress)"),
        ("bank/web > shop/cache", f"{NOT_ISOLATED} | -"),
        ("bank/till > bank/web", f"- | {NOT_ISOLATED}"),
        ("shop/cache > bank/till", "- | -"),
        ("internet > shop/cache", "- | -"),
        ("east > shop/cache", "- | -"),
        # the node of a workload always reaches it, another one not
        ("node > shop/web", f"- | {FROM_NODE}"),
        ("shop/web > node", f"{FROM_NODE} | -"),
        ("east > shop/web", f"- | {DENY} NetworkPolicy shop/closed (ingress)"),
        # no policy, no say: the node is no workload
        ("internet > node", "- | -"),
        ("node > east", "- | -"),
        # loopback, and what the proxy leads back
        ("shop/web > shop/web", f"{TO_ITSELF} | {TO_ITSELF}"),
        ("node > node 6", "- | -"),
    ],
)
def test_each_node_judges_its_own_ends(text: str, rules: str) -> None:
    assert told(asked(text, CLOSED)) == rules


def test_the_other_end_is_judged_by_the_world_as_its_node_has_it() -> None:
    world = seen_from(town(CLOSED), "east")
    assert world.node.name == "east"
    assert set(world.nodes) == {"west"}
    assert told(explain(world, flow("bank/web > shop/cache"))) == (
        f"- | {DENY} NetworkPolicy shop/closed (ingress)"
    )
    assert told(explain(world, flow("east > shop/cache"))) == f"- | {FROM_NODE}"
    assert told(explain(world, flow("node > shop/cache"))) == (
        f"- | {DENY} NetworkPolicy shop/closed (ingress)"
    )
    assert seen_from(world, "west") == town(CLOSED)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("east > node TCP 22", "- | CiliumClusterwideNetworkPolicy wall ingress[0]"),
        ("east > node TCP 23", f"- | {DENY} CiliumClusterwideNetworkPolicy wall (ingress)"),
        ("internet > node TCP 22", f"- | {DENY} CiliumClusterwideNetworkPolicy wall (ingress)"),
        ("node > internet", f"{DENY} CiliumClusterwideNetworkPolicy wall (egress) | -"),
        ("node > shop/cache", "CiliumClusterwideNetworkPolicy wall egress[0] | -"),
        # the node's own workloads as all others; what they allow is their own policies' matter
        ("shop/web > node", f"- | {DENY} CiliumClusterwideNetworkPolicy wall (ingress)"),
        ("node > shop/web", f"CiliumClusterwideNetworkPolicy wall egress[0] | {NOT_ISOLATED}"),
        ("node > node", "- | -"),
    ],
)
def test_a_host_policy_stands_between_the_node_and_everybody_else(text: str, rules: str) -> None:
    assert told(asked(text, WALL)) == rules


def test_a_host_policy_is_about_the_nodes_that_it_selects() -> None:
    other = policy(
        "wall",
        "{nodeSelector: {matchLabels: {role: core}}, ingress: [{}]}",
        "CiliumClusterwideNetworkPolicy",
    )
    assert asked("internet > node", other).allowed
    assert asked("internet > east", other).allowed  # for all that this node knows
    assert not explain(seen_from(town(other), "east"), flow("internet > east")).allowed


def test_an_audited_policy_is_told_beside_the_verdict() -> None:
    audited = policy("shop/p", "{ingress: [{ports: [{port: 80}]}]}", audit="true")
    assert asked("bank/web > shop/db TCP 80", audited).audit is None
    verdict = asked("bank/web > shop/db TCP 81", audited)
    assert told(verdict) == f"{NOT_ISOLATED} | {NOT_ISOLATED}"
    assert str(verdict.audit) == f"{DENY} NetworkPolicy shop/p (ingress)"


def test_a_denial_at_ingress_keeps_what_egress_would_have_said() -> None:
    leave = policy("bank/p", "{policyTypes: [Egress]}", audit="true")
    verdict = asked("bank/web > shop/db", leave, CLOSED)
    assert told(verdict) == f"- | {DENY} NetworkPolicy shop/closed (ingress)"
    assert str(verdict.audit) == f"{DENY} NetworkPolicy bank/p (egress)"
    assert asked("shop/db > bank/web", leave, CLOSED).audit is None


def test_the_node_is_not_audited_at_its_own_workloads() -> None:
    audited = policy("shop/p", "{}", audit="true")
    assert asked("node > shop/db", audited) == asked("node > shop/db", policy("shop/p", "{}"))


def test_a_denial_is_told_to_the_sender_where_its_policy_says_so() -> None:
    told_so = policy("shop/p", "{policyTypes: [Ingress, Egress]}", reject="true")
    assert asked("bank/web > shop/db", told_so).reject
    assert asked("shop/db > bank/web", told_so).reject
    assert not asked("bank/web > shop/db", CLOSED).reject
    assert not asked("bank/web > bank/vault", told_so).reject


@pytest.mark.parametrize("source", ["shop/web", "internet", "node", "shop/cache"])
@pytest.mark.parametrize("family", ["", "6"])
def test_a_service_address_carries_no_packets(source: str, family: str) -> None:
    verdict = asked(f"{source} > service {family}", policy("shop/p", "{egress: [{}]}"))
    assert verdict == Verdict(Reason.NO_SERVICE_PORT)
    assert not verdict.allowed
