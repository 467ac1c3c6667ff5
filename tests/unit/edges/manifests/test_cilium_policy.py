from typing import Any

import msgspec
import pytest

from tests.hostile.policies import CILIUM, CLUSTERWIDE
from tulle.edges.manifests.cilium_policy import validate_cilium_policy
from tulle.errors import ManifestError
from tulle.model.cilium import CiliumClusterwideNetworkPolicy, CiliumNetworkPolicy


def check(**spec: Any) -> None:
    spec.setdefault("endpointSelector", {})
    document = {"metadata": {"name": "p", "namespace": "shop"}, "spec": spec}
    validate_cilium_policy(msgspec.convert(document, CiliumNetworkPolicy))


def check_port(**port: Any) -> None:
    check(ingress=[{"toPorts": [{"ports": [port]}]}])


def refused(**spec: Any) -> str:
    with pytest.raises(ManifestError) as caught:
        check(**spec)
    return str(caught.value)


def test_all_that_is_honoured() -> None:
    validate_cilium_policy(msgspec.convert(CILIUM, CiliumNetworkPolicy))
    validate_cilium_policy(msgspec.convert(CLUSTERWIDE, CiliumClusterwideNetworkPolicy))
    check()
    check(ingress=[], egressDeny=[{}])


@pytest.mark.parametrize("part", ["terminatingTLS", "originatingTLS", "listener"])
def test_a_proxys_work_is_refused(part: str) -> None:
    said = refused(egress=[{"toPorts": [{"ports": [{"port": "80"}], part: {"name": "a"}}]}])
    assert said.startswith(f"spec.egress[0].toPorts[0].{part}: ")
    assert "proxy" in said


def test_what_needs_more_than_addresses_is_refused() -> None:
    assert "cloud" in refused(egress=[{"toGroups": [{"aws": {}}]}])
    assert "cloud" in refused(ingressDeny=[{"fromGroups": [{"aws": {}}]}])
    assert "keys" in refused(ingress=[{"authentication": {"mode": "required"}}])
    assert "not supported" in refused(log={"value": "a"})


def test_names_are_names_and_stand_where_they_can_be_learnt() -> None:
    def said(name: str, **more: object) -> str:
        return refused(egress=[{"toFQDNs": [{"matchName": name, **more}]}])

    assert "not both" in said("a.example", matchPattern="*")
    assert "is no DNS name" in said("a..example")
    assert "is no DNS name" in said("*.example")
    assert "longer than 253" in said(".".join(["abcdefghi"] * 26))
    wild = [{"toFQDNs": [{"matchPattern": f"{'a' * 60}.bcd*.example"}]}]
    assert "more than 62 characters" in refused(egress=wild)
    rules = [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{}]}}]
    both = [{"toFQDNs": [{"matchName": "a.example"}], "toPorts": rules}]
    assert "beside toFQDNs" in refused(egress=both)


def test_kinds_of_peers_do_not_mix() -> None:
    said = refused(ingress=[{"fromEndpoints": [{}], "fromEntities": ["world"]}])
    assert said == (
        "spec.ingress[0].fromEntities: cannot stand beside fromEndpoints: give it a rule of its own"
    )
    check(ingress=[{"fromEndpoints": [], "fromEntities": ["world"]}])
    check(ingress=[{"fromEndpoints": [{}], "fromRequires": [{}]}])


def test_nodes_are_for_clusterwide_policies() -> None:
    assert "in no namespace" in refused(endpointSelector=None, nodeSelector={})
    both = {"metadata": {"name": "p"}, "spec": {"endpointSelector": {}, "nodeSelector": {}}}
    with pytest.raises(ManifestError, match="and not both"):
        validate_cilium_policy(msgspec.convert(both, CiliumClusterwideNetworkPolicy))


def test_a_spec_of_several_is_named() -> None:
    document = {"metadata": {"name": "p"}, "specs": [{"endpointSelector": {}}, {}]}
    with pytest.raises(ManifestError) as caught:
        validate_cilium_policy(msgspec.convert(document, CiliumNetworkPolicy))
    assert caught.value.field == "specs[1]"


@pytest.mark.parametrize(
    "port",
    [
        {"port": "80"},
        {"port": "0"},
        {"port": "0", "protocol": "ANY"},
        {"protocol": "SCTP"},
        {"port": "http", "protocol": "UDP"},
        {"port": "1", "endPort": 65535},
        {"port": "80", "endPort": 80},
    ],
)
def test_ports(port: dict[str, Any]) -> None:
    check_port(**port)


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ({}, "port: is required"),
        ({"port": "65536"}, "port: must be at most 65535"),
        ({"port": "080"}, 'port: "080" is no port number'),
        ({"port": "-1"}, 'port: "-1" is no port number'),
        ({"port": "HTTP"}, "RFC 6335"),
        ({"port": "8", "protocol": "ICMP"}, "protocol: ICMP has no ports: use icmps"),
        ({"port": "http", "endPort": 90}, "endPort: needs a numeric port beside it"),
        ({"port": "0", "endPort": 90}, "endPort: needs a numeric port beside it"),
        ({"port": "80", "endPort": 79}, "endPort: must be from the port 80 to 65535"),
    ],
)
def test_ports_refused(port: dict[str, Any], said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        check_port(**port)


@pytest.mark.parametrize(
    "field",
    [{"type": 0}, {"type": "255"}, {"type": "Echo"}, {"type": "PacketTooBig", "family": "IPv6"}],
)
def test_icmp_types(field: dict[str, Any]) -> None:
    check(ingress=[{"icmps": [{"fields": [field]}]}])


@pytest.mark.parametrize("field", [{"type": "PacketTooBig"}, {"type": "Echo", "family": "IPv6"}])
def test_icmp_names_belong_to_a_family(field: dict[str, Any]) -> None:
    assert "is no type of" in refused(ingress=[{"icmps": [{"fields": [field]}]}])
