from ipaddress import ip_network

import pytest

from tulle.compile.rules import (
    NAMESPACE_KEY,
    NAMESPACE_LABELS,
    Action,
    Cidr,
    Pods,
    PolicyRule,
    PortTerm,
    Tier,
    own_label,
)
from tulle.model.kubernetes import LabelSelector, LabelSelectorRequirement, ObjectRef
from tulle.model.verdict import Rule

from .samples import only, rule, translated

REF = ObjectRef("NetworkPolicy", "shop", "p")
HEAD = "{kind: NetworkPolicy, metadata: {name: p, namespace: shop}, spec: {podSelector: {}"
SHOP = {NAMESPACE_KEY: "shop"}


@pytest.mark.parametrize(
    ("rest", "directions"),
    [
        ("", ["ingress"]),
        (", policyTypes: []", ["ingress"]),
        (", policyTypes: [Egress]", ["egress"]),
        (", policyTypes: [Ingress, Egress]", ["egress", "ingress"]),
        (", egress: [{}]", ["egress", "ingress"]),
        (", ingress: [{}]", ["ingress"]),
    ],
)
def test_directions(rest: str, directions: list[str]) -> None:
    found = translated(f"{HEAD}{rest}}}}}")
    assert [item.direction for item in found] == directions
    assert all(item.isolates and item.tier is Tier.NAMESPACE for item in found)


def test_the_subject_is_in_the_policys_namespace() -> None:
    assert only(HEAD + "}}").subject == Pods(LabelSelector(SHOP))
    text = HEAD.replace("podSelector: {}", "podSelector: {matchLabels: {app: web}}")
    assert only(text + "}}").subject == Pods(LabelSelector({"app": "web", **SHOP}))


def test_a_pod_selector_asks_for_the_pods_own_label_of_that_name() -> None:
    text = HEAD.replace("podSelector: {}", f"podSelector: {{matchLabels: {{{NAMESPACE_KEY}: b}}}}")
    own = own_label(NAMESPACE_KEY)
    assert only(text + "}}").subject == Pods(LabelSelector({own: "b", **SHOP}))


def test_an_empty_rule_is_everybody_and_everything() -> None:
    for text in ("{}", "{from: []}", "{ports: []}"):
        found = rule(f"{HEAD}, ingress: [{text}]}}}}")
        assert found == PolicyRule(Rule("ingress", REF, 0), Action.ALLOW)


@pytest.mark.parametrize(
    ("peer", "term"),
    [
        ("podSelector: {}", Pods(LabelSelector(SHOP))),
        ("podSelector: {matchLabels: {a: b}}", Pods(LabelSelector({"a": "b", **SHOP}))),
        ("namespaceSelector: {}", Pods(LabelSelector())),
        (
            "namespaceSelector: {matchLabels: {t: x}}",
            Pods(LabelSelector({NAMESPACE_LABELS + "t": "x"})),
        ),
        (
            "namespaceSelector: {matchLabels: {t: x}}, podSelector: {matchLabels: {t: y}}",
            Pods(LabelSelector({"t": "y", NAMESPACE_LABELS + "t": "x"})),
        ),
        (
            "namespaceSelector: {matchExpressions: [{key: t, operator: DoesNotExist}]}",
            Pods(
                LabelSelector(
                    {}, (LabelSelectorRequirement(NAMESPACE_LABELS + "t", "DoesNotExist"),)
                )
            ),
        ),
        (
            "ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}",
            Cidr(ip_network("10.0.0.0/8"), (ip_network("10.1.0.0/16"),)),
        ),
    ],
)
def test_peers(peer: str, term: object) -> None:
    assert rule(f"{HEAD}, ingress: [{{from: [{{{peer}}}]}}]}}}}").peers == (term,)
    found = rule(f"{HEAD}, policyTypes: [Egress], egress: [{{to: [{{{peer}}}]}}]}}}}")
    assert found.peers == (term,)


@pytest.mark.parametrize(
    ("port", "term"),
    [
        ("port: 80", PortTerm("TCP", 80)),
        ("protocol: UDP", PortTerm("UDP")),
        ("port: http, protocol: SCTP", PortTerm("SCTP", "http")),
        ("port: 80, endPort: 90", PortTerm("TCP", 80, 90)),
    ],
)
def test_ports(port: str, term: PortTerm) -> None:
    assert rule(f"{HEAD}, ingress: [{{ports: [{{{port}}}]}}]}}}}").ports == (term,)


def test_annotations() -> None:
    text = HEAD.replace("name: p", "name: p, annotations: {tulle.io/audit: 'true'}") + "}}"
    assert (only(text).audit, only(text).reject) == (True, False)
    text = text.replace("audit", "reject")
    assert (only(text).audit, only(text).reject) == (False, True)
