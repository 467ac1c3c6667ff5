from typing import Any

import pytest

from tulle.edges.manifests.policy import validate_policy
from tulle.errors import ManifestError
from tulle.model.kubernetes import (
    IPBlock,
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyEgressRule,
    NetworkPolicyIngressRule,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicySpec,
    ObjectMeta,
)

ALL = LabelSelector()


def checked(**spec: Any) -> NetworkPolicySpec:
    spec = {"pod_selector": ALL, **spec}
    return validate_policy(NetworkPolicy(ObjectMeta("p", "shop"), NetworkPolicySpec(**spec))).spec


def with_peer(peer: NetworkPolicyPeer) -> NetworkPolicySpec:
    return checked(ingress=(NetworkPolicyIngressRule(from_=(peer,)),))


@pytest.mark.parametrize("given", [None, ()])
@pytest.mark.parametrize(
    ("egress", "types"),
    [((), ("Ingress",)), ((NetworkPolicyEgressRule(),), ("Ingress", "Egress"))],
)
def test_absent_policy_types_are_filled_in(given: Any, egress: Any, types: Any) -> None:
    assert checked(policy_types=given, egress=egress).policy_types == types


def test_given_policy_types_stay() -> None:
    assert checked(policy_types=("Egress",)).policy_types == ("Egress",)
    with pytest.raises(ManifestError, match="twice"):
        checked(policy_types=("Egress", "Egress"))


def test_cidrs_are_canonical() -> None:
    spec = with_peer(NetworkPolicyPeer(ip_block=IPBlock("10.1.2.3/8", ("10.9.9.9/16",))))
    assert spec.ingress[0].from_[0].ip_block == IPBlock("10.0.0.0/8", ("10.9.0.0/16",))


@pytest.mark.parametrize(
    ("peer", "field"),
    [
        (NetworkPolicyPeer(), ""),
        (NetworkPolicyPeer(ALL, None, IPBlock("10.0.0.0/8")), ".ipBlock"),
        (NetworkPolicyPeer(None, ALL, IPBlock("10.0.0.0/8")), ".ipBlock"),
        (NetworkPolicyPeer(ip_block=IPBlock("10.0.0.0")), ".ipBlock.cidr"),
        (NetworkPolicyPeer(ip_block=IPBlock("10.0.0.0/8", ("x",))), ".ipBlock.except[0]"),
        (NetworkPolicyPeer(ip_block=IPBlock("10.0.0.0/8", ("10.0.0.0/8",))), ".ipBlock.except[0]"),
        (NetworkPolicyPeer(ip_block=IPBlock("10.0.0.0/8", ("0.0.0.0/0",))), ".ipBlock.except[0]"),
        (NetworkPolicyPeer(ip_block=IPBlock("10.0.0.0/8", ("fd00::/9",))), ".ipBlock.except[0]"),
        (NetworkPolicyPeer(LabelSelector({"a": "b c"})), ".podSelector.matchLabels.a"),
        (NetworkPolicyPeer(None, LabelSelector({"a": "b c"})), ".namespaceSelector.matchLabels.a"),
    ],
)
def test_peers_refused(peer: NetworkPolicyPeer, field: str) -> None:
    with pytest.raises(ManifestError) as caught:
        with_peer(peer)
    assert caught.value.field == f"spec.ingress[0].from[0]{field}"


@pytest.mark.parametrize(
    ("port", "field"),
    [
        (NetworkPolicyPort("TCP", "Http"), "port"),
        (NetworkPolicyPort("TCP", "http", 90), "endPort"),
        (NetworkPolicyPort("TCP", None, 90), "endPort"),
        (NetworkPolicyPort("TCP", 91, 90), "endPort"),
    ],
)
def test_ports_refused(port: NetworkPolicyPort, field: str) -> None:
    with pytest.raises(ManifestError) as caught:
        checked(egress=(NetworkPolicyEgressRule(ports=(port,)),))
    assert caught.value.field == f"spec.egress[0].ports[0].{field}"


def test_a_range_may_be_one_port_and_sctp_may_be_named() -> None:
    checked(egress=(NetworkPolicyEgressRule(ports=(NetworkPolicyPort("SCTP", 90, 90),)),))
