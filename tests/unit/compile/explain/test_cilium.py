"""How a Cilium policy is read: directions, lists, ports, and what surprises."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.compile.explain.town import asked, policy, told
from tulle.model.verdict import FROM_NODE, NOT_ISOLATED

CNP, CCNP = "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"
OPEN = NOT_ISOLATED
DENY = f"default deny by {CNP} shop/p"


def cilium(spec: str, path: str = "shop/p", **annotations: str) -> Any:
    """One about everybody in the namespace, unless the spec says otherwise."""
    subject = "" if "Selector" in spec else "endpointSelector: {}, "
    kind = CNP if "/" in path else CCNP
    return policy(path, f"{{{subject}{spec}}}", kind, **annotations)


@pytest.mark.parametrize(
    ("spec", "rules"),
    [
        # absent and empty lists do not speak of the direction
        ("ingress: []", f"{OPEN} | {OPEN}"),
        ("ingressDeny: []", f"{OPEN} | {OPEN}"),
        ("egress: [{}]", f"{OPEN} | {OPEN}"),
        # an empty rule admits nobody: that is Cilium's way to deny by default
        ("ingress: [{}]", f"- | {DENY} (ingress)"),
        ("ingress: [{fromEndpoints: []}]", f"- | {DENY} (ingress)"),
        ("ingress: [{fromEntities: [], toPorts: [{ports: [{port: '80'}]}]}]",
         f"- | {DENY} (ingress)"),
        # no peers with ports: everybody
        ("ingress: [{toPorts: [{ports: [{port: '80'}]}]}]", f"{OPEN} | {CNP} shop/p ingress[0]"),
        ("ingress: [{fromEndpoints: [{}], toPorts: []}]", f"- | {DENY} (ingress)"),
        ("ingress: [{fromEntities: [all]}]", f"{OPEN} | {CNP} shop/p ingress[0]"),
        ("ingress: [{toPorts: [{ports: []}], fromEntities: [all]}]", f"- | {DENY} (ingress)"),
        # deny rules win, and isolate as well
        ("ingressDeny: [{fromEntities: [all]}]", f"- | {CNP} shop/p ingressDeny[0]"),
        ("ingressDeny: [{fromEntities: [world]}]", f"- | {DENY} (ingress)"),
        ("ingress: [{fromEntities: [all]}], ingressDeny: [{fromEntities: [host]}, "
         "{fromEntities: [cluster]}]", f"- | {CNP} shop/p ingressDeny[1]"),
        ("ingressDeny: [{}], ingress: [{fromEntities: [all]}]",
         f"{OPEN} | {CNP} shop/p ingress[0]"),
        # enableDefaultDeny
        ("ingress: [{}], enableDefaultDeny: {ingress: false}", f"{OPEN} | {OPEN}"),
        ("ingressDeny: [{fromEntities: [world]}], enableDefaultDeny: {ingress: false}",
         f"{OPEN} | {OPEN}"),
        ("ingressDeny: [{fromEntities: [cluster]}], enableDefaultDeny: {ingress: false}",
         f"- | {CNP} shop/p ingressDeny[0]"),
        ("enableDefaultDeny: {ingress: true}", f"- | {DENY} (ingress)"),
        ("egress: [{}], enableDefaultDeny: {ingress: true, egress: false}",
         f"- | {DENY} (ingress)"),
        ("ingress: [{fromEntities: [all]}], enableDefaultDeny: {ingress: false}",
         f"{OPEN} | {CNP} shop/p ingress[0]"),
    ],
)  # fmt: skip
def test_what_a_direction_says(spec: str, rules: str) -> None:
    assert told(asked("bank/web > shop/db TCP 80", cilium(spec))) == rules


def test_egress_is_read_in_the_same_way() -> None:
    spec = "egress: [{toEntities: [cluster]}], egressDeny: [{toEntities: [remote-node]}]"
    item = cilium(spec)
    assert told(asked("shop/web > bank/web", item)) == f"{CNP} shop/p egress[0] | {OPEN}"
    assert told(asked("shop/web > east", item)) == f"{CNP} shop/p egressDeny[0] | -"
    assert told(asked("shop/web > internet", item)) == f"{DENY} (egress) | -"
    assert told(asked("shop/web > node", item)) == f"{FROM_NODE} | -"


@pytest.mark.parametrize(
    ("selector", "name", "selected"),
    [
        ("{}", "shop/web", True),
        ("{}", "bank/web", False),
        ("{matchLabels: {app: db}}", "shop/db", True),
        ("{matchLabels: {'k8s:app': db}}", "shop/db", True),
        ("{matchLabels: {'any:app': db}}", "shop/db", True),
        ("{matchLabels: {app: db}}", "shop/web", False),
        ("{matchLabels: {app: web}}", "bank/web", False),
        ("{matchLabels: {'io.cilium.k8s.namespace.labels.team': blue}}", "bank/web", False),
        ("{matchLabels: {'io.cilium.k8s.namespace.labels.team': red}}", "shop/web", True),
        ("{matchExpressions: [{key: 'reserved:host', operator: DoesNotExist}]}", "shop/web", True),
        ("{matchLabels: {'reserved:host': ''}}", "shop/web", False),
    ],
)
def test_subjects_are_of_the_policys_own_namespace(
    selector: str, name: str, selected: bool
) -> None:
    item = cilium(f"endpointSelector: {selector}, ingress: [{{}}]")
    assert asked(f"shop/api > {name}", item).allowed is not selected


@pytest.mark.parametrize(
    ("selector", "name", "selected"),
    [
        ("{}", "shop/web", True),
        ("{}", "park/tree", True),
        ("{}", "node", False),
        ("{matchLabels: {app: web}}", "bank/web", True),
        ("{matchLabels: {'k8s:io.kubernetes.pod.namespace': bank}}", "bank/web", True),
        ("{matchLabels: {'k8s:io.kubernetes.pod.namespace': bank}}", "shop/web", False),
        ("{matchLabels: {'io.cilium.k8s.namespace.labels.secure': 'yes'}}", "bank/web", True),
        ("{matchLabels: {'io.cilium.k8s.policy.serviceaccount': guard}}", "bank/vault", True),
        ("{matchLabels: {'io.cilium.k8s.policy.serviceaccount': guard}}", "bank/web", False),
        ("{matchLabels: {'io.cilium.k8s.policy.cluster': default}}", "bank/web", True),
        ("{matchLabels: {'io.cilium.k8s.policy.cluster': other}}", "bank/web", False),
    ],
)
def test_subjects_of_a_clusterwide_policy(selector: str, name: str, selected: bool) -> None:
    item = cilium(f"endpointSelector: {selector}, ingress: [{{}}]", "wide")
    assert asked(f"shop/cache > {name}", item).allowed is not selected


@pytest.mark.parametrize(
    ("ports", "destination", "admitted"),
    [
        ("{port: '80', protocol: TCP}", "shop/api TCP 80", True),
        ("{port: '80', protocol: TCP}", "shop/api UDP 80", False),
        ("{port: '80'}", "shop/api TCP 80", True),
        ("{port: '80'}", "shop/api UDP 80", True),
        ("{port: '80', protocol: ANY}", "shop/api SCTP 80", True),
        ("{port: '80', protocol: ANY}", "shop/api ICMP 80", False),
        ("{port: '80', protocol: ANY}", "shop/api TCP 81", False),
        ("{port: '0', protocol: TCP}", "shop/api TCP 1", True),
        ("{port: '0', protocol: TCP}", "shop/api UDP 1", False),
        ("{port: '0', protocol: ANY}", "shop/api SCTP 9", True),
        ("{port: '0', protocol: ANY}", "shop/api ICMP 8", False),
        ("{protocol: UDP}", "shop/api UDP 5", True),
        ("{port: '100', endPort: 200, protocol: TCP}", "shop/api TCP 100", True),
        ("{port: '100', endPort: 200, protocol: TCP}", "shop/api TCP 200", True),
        ("{port: '100', endPort: 200, protocol: TCP}", "shop/api TCP 201", False),
        ("{port: http, protocol: TCP}", "shop/api TCP 8080", True),
        ("{port: http, protocol: TCP}", "shop/web TCP 8080", False),
        ("{port: dns}", "shop/api UDP 53", True),
        ("{port: dns}", "shop/api TCP 54", True),
        ("{port: dns}", "shop/api TCP 53", False),
    ],
)
def test_ports(ports: str, destination: str, admitted: bool) -> None:
    item = cilium(f"ingress: [{{toPorts: [{{ports: [{ports}]}}]}}]")
    assert asked(f"bank/web > {destination}", item).allowed is admitted
    item = cilium(f"egress: [{{toPorts: [{{ports: [{ports}]}}]}}]", "bank/p")
    assert asked(f"bank/web > {destination}", item).allowed is admitted


@pytest.mark.parametrize(
    ("fields", "destination", "admitted"),
    [
        ("{type: 8}", "shop/api ICMP 8", True),
        ("{type: '8'}", "shop/api ICMP 8", True),
        ("{type: EchoRequest}", "shop/api ICMP 8", True),
        ("{type: EchoRequest}", "shop/api ICMP 13", False),
        ("{type: EchoRequest, family: IPv6}", "shop/api ICMP 8", False),
        ("{type: EchoRequest, family: IPv6}", "shop/api 6 ICMPv6 128", True),
        ("{type: 8}", "shop/api 6 ICMPv6 8", False),
        ("{type: 8}", "shop/api TCP 8", False),
    ],
)
def test_icmp(fields: str, destination: str, admitted: bool) -> None:
    item = cilium(f"ingress: [{{icmps: [{{fields: [{fields}]}}]}}]")
    assert asked(f"bank/web > {destination}", item).allowed is admitted


def test_peers_and_ports_of_a_rule_must_both_match() -> None:
    item = cilium(
        "ingress: [{fromEndpoints: [{matchLabels: {app: web}}], "
        "toPorts: [{ports: [{port: '80'}]}]}]"
    )
    assert asked("shop/web > shop/db TCP 80", item).allowed
    assert not asked("shop/web > shop/db TCP 81", item).allowed
    assert not asked("shop/api > shop/db TCP 80", item).allowed


def test_specs_are_named_by_their_place() -> None:
    text = """
    - endpointSelector: {matchLabels: {app: web}}
      ingress: [{fromEntities: [world]}]
    - endpointSelector: {}
      ingress: [{fromEntities: [cluster]}]
      ingressDeny: [{toPorts: [{ports: [{port: "1"}]}]}]
    """
    item = policy("shop/p", text, CNP)
    where = f"{CNP} shop/p"
    assert told(asked("internet > shop/web", item)) == f"- | {where} specs[0].ingress[0]"
    assert told(asked("east > shop/web", item)) == f"- | {where} specs[1].ingress[0]"
    assert told(asked("east > shop/web TCP 1", item)) == f"- | {where} specs[1].ingressDeny[0]"
    assert told(asked("internet > shop/db", item)) == (
        f"- | default deny by {where} specs[1] (ingress)"
    )


def test_all_kinds_of_a_namespace_add_up_and_denials_win() -> None:
    wide = cilium("ingressDeny: [{fromEntities: [world]}]", "wide")
    plain = policy("shop/p", "{ingress: [{}]}")
    assert told(asked("internet > shop/db", plain, wide)) == f"- | {CCNP} wide ingressDeny[0]"
    assert told(asked("east > shop/db", plain, wide)) == "- | NetworkPolicy shop/p ingress[0]"
    assert told(asked("east > bank/web", plain, wide)) == (
        f"- | default deny by {CCNP} wide (ingress)"
    )


def test_audit_and_reject() -> None:
    verdict = asked("bank/web > shop/db", cilium("ingress: [{}]", audit="true"))
    assert told(verdict) == f"{OPEN} | {OPEN}"
    assert str(verdict.audit) == f"{DENY} (ingress)"
    assert asked("bank/web > shop/db", cilium("ingress: [{}]", reject="true")).reject
