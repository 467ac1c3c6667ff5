from ipaddress import ip_network

import pytest

from tulle.compile.rules import (
    NAMESPACE_LABELS,
    Action,
    Cidr,
    Nodes,
    Pods,
    PolicyRule,
    PortTerm,
    Tier,
)
from tulle.model.kubernetes import LabelSelector, ObjectRef
from tulle.model.verdict import Rule

from .samples import only, rule, translated

REF = ObjectRef("ClusterNetworkPolicy", "", "p")
ALL = "{namespaces: {}}"


def policy(rest: str, tier: str = "Admin", subject: str = ALL) -> str:
    return (
        "{kind: ClusterNetworkPolicy, metadata: {name: p}, "
        f"spec: {{tier: {tier}, priority: 7, subject: {subject}, {rest}}}}}"
    )


@pytest.mark.parametrize(("tier", "found"), [("Admin", Tier.ADMIN), ("Baseline", Tier.BASELINE)])
def test_tiers(tier: str, found: Tier) -> None:
    item = only(policy(f"ingress: [{{action: Deny, from: [{ALL}]}}]", tier))
    assert (item.tier, item.priority, item.isolates) == (found, 7, False)


def test_only_directions_with_rules_count() -> None:
    assert translated(policy("ingress: []")) == ()
    text = f"egress: [{{action: Deny, to: [{ALL}]}}]"
    assert [item.direction for item in translated(policy(text))] == ["egress"]


@pytest.mark.parametrize(
    ("name", "action"), [("Accept", Action.ALLOW), ("Deny", Action.DENY), ("Pass", Action.PASS)]
)
def test_actions(name: str, action: Action) -> None:
    found = rule(policy(f"ingress: [{{action: {name}, from: [{ALL}]}}]"))
    assert found == PolicyRule(Rule("ingress", REF, 0), action, (Pods(LabelSelector()),))


@pytest.mark.parametrize(
    ("given", "selector"),
    [
        ("{namespaces: {matchLabels: {t: x}}}", LabelSelector({NAMESPACE_LABELS + "t": "x"})),
        (
            "{pods: {namespaceSelector: {matchLabels: {t: x}}, "
            "podSelector: {matchLabels: {t: y}}}}",
            LabelSelector({"t": "y", NAMESPACE_LABELS + "t": "x"}),
        ),
    ],
)
def test_pods(given: str, selector: LabelSelector) -> None:
    text = f"ingress: [{{action: Deny, from: [{given}]}}]"
    assert only(policy(text, subject=given)).subject == Pods(selector)
    assert rule(policy(text)).peers == (Pods(selector),)
    assert rule(policy(f"egress: [{{action: Deny, to: [{given}]}}]")).peers == (Pods(selector),)


def test_peers_of_egress() -> None:
    text = "[{nodes: {matchLabels: {role: a}}}, {networks: [10.0.0.0/8, 'fd00::/8']}]"
    assert rule(policy(f"egress: [{{action: Deny, to: {text}}}]")).peers == (
        Nodes(LabelSelector({"role": "a"})),
        Cidr(ip_network("10.0.0.0/8")),  # pods and nodes too, by their addresses
        Cidr(ip_network("fd00::/8")),
    )


def test_protocols() -> None:
    text = (
        "[{tcp: {destinationPort: {number: 80}}}, "
        "{udp: {destinationPort: {range: {start: 5, end: 9}}}}, {destinationNamedPort: http}]"
    )
    found = rule(policy(f"ingress: [{{action: Deny, from: [{ALL}], protocols: {text}}}]")).ports
    assert found == (
        PortTerm("TCP", 80),
        PortTerm("UDP", 5, 9),
        PortTerm("TCP", "http"),
        PortTerm("UDP", "http"),
        PortTerm("SCTP", "http"),
    )


def test_annotations() -> None:
    text = policy(f"ingress: [{{action: Deny, from: [{ALL}]}}]").replace(
        "name: p", "name: p, annotations: {tulle.io/audit: 'true', tulle.io/reject: 'true'}"
    )
    assert (only(text).audit, only(text).reject) == (True, True)
