from typing import Any

import msgspec
import pytest

from tests.hostile.policies import TIERED
from tulle.edges.manifests.cluster_policy import validate_cluster_policy
from tulle.errors import ManifestError
from tulle.model.cluster_policy import ClusterNetworkPolicy


def check(**spec: Any) -> None:
    document = {**TIERED, "spec": {**TIERED["spec"], **spec}}
    validate_cluster_policy(msgspec.convert(document, ClusterNetworkPolicy))


def refused(**spec: Any) -> str:
    with pytest.raises(ManifestError) as caught:
        check(**spec)
    return str(caught.value)


def test_all_that_is_honoured() -> None:
    check()
    check(ingress=[], egress=[])


def test_exactly_one_of_several_fields() -> None:
    assert refused(subject={}) == "spec.subject: needs exactly one of namespaces, pods"
    rule = {"action": "Deny", "to": [{"nodes": {}, "networks": ["10.0.0.0/8"]}]}
    assert refused(egress=[rule]).startswith("spec.egress[0].to[0]: needs exactly one of")
    rule = {"action": "Deny", "to": [{"nodes": {}}], "protocols": [{}]}
    assert refused(egress=[rule]).startswith("spec.egress[0].protocols[0]: needs exactly one of")


def test_domain_names_are_refused_with_a_reason() -> None:
    said = refused(egress=[{"action": "Accept", "to": [{"domainNames": ["a.example"]}]}])
    assert said == (
        "spec.egress[0].to[0].domainNames: is not supported yet: it needs names learnt from DNS"
    )


@pytest.mark.parametrize("peer", [{"nodes": {}}, {"networks": ["10.0.0.0/8"]}])
def test_only_pods_have_named_ports(peer: dict[str, Any]) -> None:
    named = [{"destinationNamedPort": "http"}]
    said = refused(
        egress=[{"action": "Accept", "to": [{"namespaces": {}}, peer], "protocols": named}]
    )
    assert "to[1] has no named ports" in said
    check(egress=[{"action": "Accept", "to": [{"namespaces": {}}], "protocols": named}])


def test_networks_have_no_host_bits() -> None:
    check(egress=[{"action": "Pass", "to": [{"networks": ["FD00:0::/8", "0.0.0.0/0"]}]}])
    said = refused(egress=[{"action": "Pass", "to": [{"networks": ["10.1.0.0/8"]}]}])
    assert 'networks[0]: "10.1.0.0/8" must be written as 10.0.0.0/8' in said


def test_a_range_has_two_ends() -> None:
    ports = [{"tcp": {"destinationPort": {"range": {"start": 80, "end": 80}}}}]
    said = refused(egress=[{"action": "Pass", "to": [{"nodes": {}}], "protocols": ports}])
    assert said.endswith("destinationPort.range.end: 80 is not above the start 80")
