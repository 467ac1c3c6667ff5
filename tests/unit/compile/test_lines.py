"""Policies as lines: what is read of them, and in which order it counts."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from tulle.compile.lines import ParsedPolicy, Term, in_order
from tulle.compile.rules import (
    Action,
    Cidr,
    Entity,
    Nodes,
    PeerTerm,
    Pods,
    Policy,
    PolicyRule,
    PortTerm,
    Tier,
)
from tulle.model.kubernetes import LabelSelector, ObjectRef
from tulle.model.verdict import Rule

EVERYBODY = Pods(LabelSelector())


def policy(name: str, *actions: Action, tier: Tier = Tier.NAMESPACE, priority: int = 0) -> Policy:
    ref = ObjectRef("NetworkPolicy", "shop", name)
    rules = tuple(
        PolicyRule(Rule("ingress", ref, index), action) for index, action in enumerate(actions)
    )
    return Policy(ref, "ingress", EVERYBODY, rules, tier, priority)


def order(*policies: Policy) -> list[str]:
    lines = in_order([ParsedPolicy(item) for item in policies])
    return [f"{line.rule.policy.name}{line.rule.index}" for line in lines if line.rule.policy]


def one(
    peers: tuple[PeerTerm, ...] | None = None, ports: tuple[PortTerm, ...] | None = None
) -> ParsedPolicy:
    item = policy("p", Action.ALLOW)
    return ParsedPolicy(replace(item, rules=(replace(item.rules[0], peers=peers, ports=ports),)))


def test_tiers_count_one_after_the_other_and_denials_go_first_within_a_namespace() -> None:
    a = policy("a", Action.ALLOW, Action.DENY)
    b = policy("b", Action.DENY, Action.ALLOW)
    late = policy("c", Action.ALLOW, Action.PASS, tier=Tier.ADMIN, priority=9)
    early = policy("d", Action.DENY, tier=Tier.ADMIN, priority=1)
    base = policy("e", Action.DENY, tier=Tier.BASELINE)
    found = order(a, b, late, early, base)
    assert found == ["d0", "c0", "c1", "a1", "b0", "a0", "b1", "aNone", "e0"]


def test_only_policies_of_a_namespace_that_isolate_deny_by_default() -> None:
    assert order(replace(policy("a"), isolates=False), policy("b", tier=Tier.ADMIN)) == []
    assert order(policy("a"), policy("b")) == ["aNone"]


def test_a_default_denial_that_is_only_audited_stands_before_the_one_in_force() -> None:
    audited = replace(policy("a"), audit=True)
    lines = in_order(
        [
            ParsedPolicy(audited),
            ParsedPolicy(policy("b")),
            ParsedPolicy(replace(policy("c"), reject=True)),
        ]
    )
    assert [(line.rule.policy, line.audit, line.reject) for line in lines] == [
        (audited.ref, True, False),
        (policy("b").ref, False, True),  # any that isolates may ask for an answer
    ]


def test_the_default_denial_is_that_of_its_spec() -> None:
    default = ParsedPolicy(replace(policy("a"), spec=2)).default
    assert (
        default and str(default.rule) == "default deny by NetworkPolicy shop/a specs[2] (ingress)"
    )


@pytest.mark.parametrize(
    ("ports", "spans", "names"),
    [
        (None, ((0, 0, 65535),), ()),
        ((), (), ()),
        ((PortTerm("TCP"),), ((6, 0, 65535),), ()),
        ((PortTerm("UDP", 53),), ((17, 53, 53),), ()),
        ((PortTerm("TCP", 80, 90),), ((6, 80, 90),), ()),
        ((PortTerm("ICMP", 0),), ((1, 0, 0),), ()),
        ((PortTerm("", 80),), ((6, 80, 80), (17, 80, 80), (132, 80, 80)), ()),
        ((PortTerm("TCP", "web"),), (), (("web", "TCP"),)),
        ((PortTerm("", "web"),), (), (("web", "TCP"), ("web", "UDP"), ("web", "SCTP"))),
    ],
)
def test_ports_become_spans_and_names(
    ports: tuple[PortTerm, ...] | None, spans: object, names: object
) -> None:
    (line,) = one(ports=ports).lines
    assert (line.spans, line.names) == (spans, names)


@pytest.mark.parametrize(
    ("peers", "terms"),
    [
        (None, None),
        ((), ()),
        ((Entity.ALL, Entity.HOST), None),
        ((Entity.WORLD,), (Term("entity", "world"),)),
        ((Entity.WORLD_IPV4,), (Term("world-cidr", "0.0.0.0/0"),)),
        ((Cidr(ip_network("10.0.0.0/8")),), (Term("cidr", "10.0.0.0/8"),)),
        ((Cidr(ip_network("::/0"), managed=False),), (Term("world-cidr", "::/0"),)),
        ((Nodes(LabelSelector({"a": "b"})),), (Term("nodes", "", (("a", "b"),)),)),
    ],
)
def test_peers_become_terms(peers: tuple[PeerTerm, ...] | None, terms: object) -> None:
    (line,) = one(peers=peers).lines
    assert line.terms == terms


def test_equal_questions_are_one_term() -> None:
    first = Pods(LabelSelector({"a": "1", "b": "2"}))
    second = Pods(LabelSelector({"b": "2", "a": "1"}))
    assert len(one(peers=(first, second)).terms) == 1


def test_a_name_is_the_subject_s_own_port_on_the_way_in_and_the_peer_s_on_the_way_out() -> None:
    inwards = one(ports=(PortTerm("TCP", "web"),))
    outwards = ParsedPolicy(replace(inwards.policy, direction="egress"))
    assert (inwards.named_own, inwards.named_peers) == ({("web", "TCP")}, frozenset())
    assert (outwards.named_own, outwards.named_peers) == (frozenset(), {"web"})
