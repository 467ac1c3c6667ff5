"""ClusterNetworkPolicy's reference as rows, on the town."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.compile.explain.town import asked, flow, policy, told, town
from tulle.compile.explain import explain
from tulle.model.verdict import FROM_NODE, NOT_ISOLATED

KIND = "ClusterNetworkPolicy"
OPEN = NOT_ISOLATED


def cluster(name: str, spec: str, **annotations: str) -> Any:
    return policy(name, f"{{tier: Admin, priority: 1, {spec}}}", KIND, **annotations)


def refusing(peer: str, direction: str = "egress", more: str = "") -> Any:
    side = "to" if direction == "egress" else "from"
    rule = f"{{action: Deny, {side}: [{peer}]{more}}}"
    return cluster("k", f"subject: {{namespaces: {{}}}}, {direction}: [{rule}]")


SUBJECTS = [
    ("{namespaces: {}}", "shop/web", True),
    ("{namespaces: {}}", "park/tree", True),
    ("{namespaces: {matchLabels: {team: red}}}", "shop/web", True),
    ("{namespaces: {matchLabels: {team: red}}}", "bank/web", False),
    ("{namespaces: {matchLabels: {kubernetes.io/metadata.name: park}}}", "park/tree", True),
    ("{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}", "bank/web", True),
    ("{pods: {namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: "
     "{app: web}}}}", "bank/web", False),
    ("{pods: {namespaceSelector: {matchLabels: {team: red}}, podSelector: {}}}", "shop/db", True),
]  # fmt: skip


@pytest.mark.parametrize(("subject", "name", "selected"), SUBJECTS)
def test_subjects(subject: str, name: str, selected: bool) -> None:
    rule = "{action: Deny, from: [{namespaces: {}}]}"
    item = cluster("k", f"subject: {subject}, ingress: [{rule}]")
    assert asked(f"shop/api > {name}", item).allowed is not selected


@pytest.mark.parametrize(("peer", "name", "meant"), SUBJECTS)
def test_peers_are_chosen_as_subjects_are(peer: str, name: str, meant: bool) -> None:
    assert asked(f"{name} > shop/api", refusing(peer, "ingress")).allowed is not meant
    assert asked(f"shop/api > {name}", refusing(peer)).allowed is not meant


@pytest.mark.parametrize(
    ("peer", "destination", "meant"),
    [
        ("{namespaces: {}}", "shop/cache", True),
        ("{namespaces: {}}", "internet", False),
        ("{namespaces: {}}", "east", False),
        ("{namespaces: {}}", "lost", False),
        ("{nodes: {}}", "east", True),
        ("{nodes: {matchLabels: {role: core}}}", "east", True),
        ("{nodes: {matchLabels: {role: edge}}}", "east", False),
        ("{nodes: {}}", "shop/cache", False),
        ("{nodes: {}}", "internet", False),
        # networks are about addresses, whoever has them
        ("{networks: [192.0.2.0/24]}", "internet", True),
        ("{networks: [198.51.100.0/24]}", "internet", False),
        ("{networks: [10.0.0.0/8]}", "shop/cache", True),
        ("{networks: [10.0.0.0/8]}", "east", True),
        ("{networks: [10.0.0.0/8]}", "lost", True),
        ("{networks: ['::/0']}", "internet", False),
        ("{networks: ['::/0']}", "internet 6", True),
    ],
)
def test_peers_of_egress(peer: str, destination: str, meant: bool) -> None:
    assert asked(f"shop/web > {destination}", refusing(peer)).allowed is not meant


@pytest.mark.parametrize(
    ("protocols", "destination", "meant"),
    [
        ("[{tcp: {destinationPort: {number: 80}}}]", "shop/api TCP 80", True),
        ("[{tcp: {destinationPort: {number: 80}}}]", "shop/api TCP 81", False),
        ("[{tcp: {destinationPort: {number: 80}}}]", "shop/api UDP 80", False),
        ("[{udp: {destinationPort: {range: {start: 5, end: 9}}}}]", "shop/api UDP 9", True),
        ("[{udp: {destinationPort: {range: {start: 5, end: 9}}}}]", "shop/api UDP 10", False),
        ("[{sctp: {destinationPort: {number: 7}}}]", "shop/api SCTP 7", True),
        ("[{tcp: {destinationPort: {number: 1}}}, {tcp: {destinationPort: {number: 2}}}]",
         "shop/api TCP 2", True),
        ("[{destinationNamedPort: http}]", "shop/api TCP 8080", True),
        ("[{destinationNamedPort: http}]", "shop/web TCP 8080", False),
        ("[{destinationNamedPort: dns}]", "shop/api UDP 53", True),
        ("[{destinationNamedPort: dns}]", "shop/api TCP 54", True),
        ("[{destinationNamedPort: http}]", "shop/cache TCP 6379", True),
        ("[{destinationNamedPort: http}]", "internet TCP 80", False),
        ("[{tcp: {destinationPort: {number: 80}}}]", "shop/api ICMP 8", False),
    ],
)  # fmt: skip
def test_protocols(protocols: str, destination: str, meant: bool) -> None:
    everybody = "{networks: [0.0.0.0/0]}"
    item = refusing(everybody, more=f", protocols: {protocols}")
    assert asked(f"bank/web > {destination}", item).allowed is not meant


def test_without_protocols_everything_is_meant() -> None:
    item = refusing("{networks: [0.0.0.0/0]}")
    for what in ("TCP 1", "UDP 2", "SCTP 3", "ICMP 8"):
        assert not asked(f"bank/web > shop/api {what}", item).allowed


def test_only_directions_with_rules_are_spoken_of() -> None:
    item = refusing("{namespaces: {}}", "ingress")
    assert told(asked("shop/web > internet", item)) == f"{OPEN} | -"
    assert told(asked("node > shop/web", item)) == f"- | {FROM_NODE}"
    assert told(asked("shop/web > node", item)) == f"{OPEN} | -"


def test_what_no_rule_matches_is_left_to_others() -> None:
    item = refusing("{networks: [198.51.100.0/24]}")
    assert told(asked("shop/web > bank/web", item)) == f"{OPEN} | {OPEN}"
    closed = policy("shop/p", "{policyTypes: [Egress]}")
    assert not asked("shop/web > bank/web", item, closed).allowed


def test_an_accept_of_the_admin_tier_beats_a_default_deny() -> None:
    rule = "{action: Accept, from: [{namespaces: {matchLabels: {team: blue}}}]}"
    item = cluster("k", f"subject: {{namespaces: {{}}}}, ingress: [{rule}]")
    closed = policy("shop/p", "{}")
    assert told(asked("bank/web > shop/db", item, closed)) == (
        f"{OPEN} | ClusterNetworkPolicy k ingress[0]"
    )
    assert not asked("park/tree > shop/db", item, closed).allowed


def test_the_lower_number_goes_first_and_baseline_last() -> None:
    peers = "[{namespaces: {}}]"
    subject = "subject: {namespaces: {}}"
    strict = policy(
        "a",
        f"{{tier: Admin, priority: 2, {subject}, ingress: [{{action: Deny, from: {peers}}}]}}",
        KIND,
    )
    kind = policy(
        "b",
        f"{{tier: Admin, priority: 1, {subject}, ingress: [{{action: Pass, from: {peers}}}]}}",
        KIND,
    )
    last = policy(
        "c",
        f"{{tier: Baseline, priority: 0, {subject}, ingress: [{{action: Deny, from: {peers}}}]}}",
        KIND,
    )
    opened = policy("shop/p", "{ingress: [{}]}")
    world = town(strict, kind, last)
    assert (
        told(explain(world, flow("bank/web > shop/db"))) == "- | ClusterNetworkPolicy c ingress[0]"
    )
    assert asked("bank/web > shop/db", strict, kind, last, opened).allowed
    assert not asked("bank/web > shop/db", strict, opened).allowed


def test_audit_and_reject() -> None:
    peers = "[{namespaces: {}}]"
    spec = f"subject: {{namespaces: {{}}}}, ingress: [{{action: Deny, from: {peers}}}]"
    verdict = asked("bank/web > shop/db", cluster("k", spec, audit="true"))
    assert verdict.allowed
    assert str(verdict.audit) == "ClusterNetworkPolicy k ingress[0]"
    assert asked("bank/web > shop/db", cluster("k", spec, reject="true")).reject
