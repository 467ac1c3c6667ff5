"""What servers of several versions say, and what becomes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.agent.kube.said import said, service, slice_v1beta1
from tulle.agent.kube.decode import checked, decode
from tulle.edges.manifests.parse import parse
from tulle.errors import ManifestError
from tulle.model.contents import Secret
from tulle.model.gateway import Gateway
from tulle.model.kubernetes import (
    EndpointSlice,
    LoadBalancerIngress,
    LoadBalancerStatus,
    Namespace,
    NetworkPolicy,
    NodeObject,
    Service,
    ServiceStatus,
)

V1 = "v1"


def a_service(**kept: Any) -> Service:
    obj = decode("Service", service(**kept), V1)
    assert isinstance(obj, Service)
    return obj


def test_metadata_is_what_is_acted_on() -> None:
    obj = decode("Namespace", said("shop", "", spec={"finalizers": ["kubernetes"]}), V1)
    assert isinstance(obj, Namespace)
    assert obj.metadata.labels == {"app": "shop"} and obj.metadata.annotations == {}
    assert obj.metadata.uid and obj.metadata.generation == 2
    assert obj.metadata.managed_fields is None and obj.metadata.resource_version == ""


def test_it_is_the_object_that_a_file_gives() -> None:
    text = """
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
         "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"},
          "generation": 2, "creationTimestamp": "2026-05-01T10:00:00Z",
          "uid": "4f2c8a44-0d7e-4f0b-9d4d-1d1f6b3a2a10"},
         "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"],
          "ingress": [{"ports": [{"port": 80, "protocol": "TCP"}]}]}}"""
    (from_file,) = parse(text.encode(), "x.json").objects
    spec = json.loads(text)["spec"]
    from_server = decode("NetworkPolicy", said("web", spec=spec, status={}), "networking.k8s.io/v1")
    assert from_server == from_file.obj


def test_unknown_fields_of_a_service_are_cut_and_its_families_are_those_it_has() -> None:
    obj = a_service(futureField={"a": 1}, ipFamilyPolicy="PreferDualStack", ipFamilies=["IPv6"])
    assert obj.spec.ip_families == ("IPv4",) and obj.spec.ip_family_policy == "SingleStack"
    both = a_service(clusterIPs=["10.96.12.7", "fd00::7"])
    assert both.spec.ip_families == ("IPv4", "IPv6")
    assert both.spec.ip_family_policy == "RequireDualStack"


def test_a_service_of_1_20_has_no_families() -> None:
    obj = a_service(ipFamilies=..., ipFamilyPolicy=..., internalTrafficPolicy=..., clusterIPs=...)
    assert obj.spec.cluster_ips == ("10.96.12.7",) and obj.spec.ip_families == ("IPv4",)


def test_a_headless_service_stays_so() -> None:
    obj = a_service(clusterIP="None", clusterIPs=["None"])
    assert obj.spec.cluster_ip == "None" and obj.spec.ip_families == ("IPv4",)


def test_what_balances_it_holds() -> None:
    ports = [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]
    local = {"externalTrafficPolicy": "Local", "healthCheckNodePort": 31111, "ports": ports}
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7", "ipMode": "VIP"}]}, "conditions": []}
    obj = a_service(type="LoadBalancer", status=status, **local)
    assert obj.status == ServiceStatus(LoadBalancerStatus((LoadBalancerIngress("192.0.2.7"),)))
    assert checked(obj) == obj


@pytest.mark.parametrize(
    ("of", "ingress", "kind"),
    [
        ("tulle.io/lb", [], "LoadBalancer"),
        ("example.com/lb", [], "NodePort"),
        ("example.com/lb", [{"ip": "192.0.2.7"}], "LoadBalancer"),
    ],
)
def test_a_load_balancer_of_others_is_theirs_to_give(
    of: str, ingress: list[Any], kind: str
) -> None:
    obj = a_service(
        type="LoadBalancer",
        loadBalancerClass=of,
        loadBalancerSourceRanges=["10.0.0.0/8"],
        status={"loadBalancer": {"ingress": ingress}},
    )
    assert obj.spec.type == kind
    assert bool(obj.status.load_balancer.ingress) == bool(ingress)


def test_an_external_name_is_passed_over() -> None:
    raw = service(type="ExternalName", externalName="example.com", clusterIP=..., clusterIPs=...)
    assert decode("Service", raw, V1) is None


def test_a_slice_of_1_20_says_where_its_endpoints_are() -> None:
    obj = decode("EndpointSlice", slice_v1beta1(), "discovery.k8s.io/v1beta1")
    assert isinstance(obj, EndpointSlice)
    (endpoint,) = obj.endpoints
    assert (endpoint.node_name, endpoint.zone) == ("node-1", "west")
    assert obj.api_version == "discovery.k8s.io/v1"
    assert obj.ports[0].port == 8080


def test_of_a_slice_only_what_can_be_connected_to() -> None:
    ports = [{"name": "a", "port": 1, "protocol": "SCTP"}, {"name": "b", "port": None}]
    obj = decode("EndpointSlice", slice_v1beta1(ports=ports), "discovery.k8s.io/v1beta1")
    assert isinstance(obj, EndpointSlice) and obj.ports == ()
    assert decode("EndpointSlice", slice_v1beta1(addressType="FQDN"), V1) is None
    assert decode("EndpointSlice", said("x", addressType="IPv4", endpoints=None), V1) is None


def test_a_policy_with_a_field_that_nobody_knows_is_refused_by_name() -> None:
    spec = {"podSelector": {}, "ingress": [{"from": [{"podGroup": {"name": "x"}}]}]}
    with pytest.raises(ManifestError, match=r"spec\.ingress\[0\]\.from\[0\]\.podGroup"):
        decode("NetworkPolicy", said("web", spec=spec), "networking.k8s.io/v1")


def test_one_that_is_nested_too_deeply_is_refused_and_no_more() -> None:
    deep = b'{"a": [' * 2500 + b"]}" * 2500
    with pytest.raises(ManifestError, match="is nested too deeply"):
        decode("NetworkPolicy", b'{"metadata": {}, "spec": %b}' % deep, "networking.k8s.io/v1")


def test_one_that_we_fail_at_is_refused_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(obj: object) -> None:
        raise ZeroDivisionError(obj)

    monkeypatch.setattr("tulle.agent.kube.decode.validate", fail)
    with pytest.raises(ManifestError) as caught:
        decode("Secret", said("key", type="Opaque", data={"a": "aGk="}), V1)
    assert str(caught.value) == "internal error (ZeroDivisionError)"


def test_nulls_are_absent() -> None:
    spec = {"podSelector": {"matchLabels": None}, "ingress": None, "policyTypes": ["Ingress"]}
    obj = decode("NetworkPolicy", said("web", spec=spec), "networking.k8s.io/v1")
    assert isinstance(obj, NetworkPolicy) and obj.spec.ingress == ()


def test_of_a_gateways_status_its_addresses_stay() -> None:
    spec = {
        "gatewayClassName": "tulle",
        "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
    }
    status = {"addresses": [{"type": "IPAddress", "value": "192.0.2.7"}], "conditions": [1]}
    version = "gateway.networking.k8s.io/v1"
    obj = decode("Gateway", said("web", spec=spec, status=status), version)
    assert isinstance(obj, Gateway)
    assert obj.status == {"addresses": status["addresses"]}
    bare = decode("Gateway", said("web", spec=spec, status={"conditions": [1]}), version)
    assert isinstance(bare, Gateway) and bare.status is None


def test_a_node_says_little_of_what_it_says() -> None:
    spec = {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"], "externalID": "i-1"}
    addresses = [{"type": "InternalIP", "address": "192.168.96.11"}]
    raw = said("node-1", "", spec=spec, status={"addresses": addresses, "images": [1]})
    obj = decode("Node", raw, V1)
    assert isinstance(obj, NodeObject)
    assert obj.spec.pod_cidrs == ("10.244.1.0/24",) and len(obj.status.addresses) == 1


def test_what_a_secret_holds_stands_in_no_error() -> None:
    obj = decode("Secret", said("key", type="Opaque", data={"a": "aGk="}), V1)
    assert isinstance(obj, Secret) and obj.data == {"a": "aGk="}
    with pytest.raises(ManifestError) as caught:
        decode("Secret", said("key", data={"a": "not-base-64"}), V1)
    assert "not-base-64" not in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b'{"metadata": null}'])
def test_nonsense_is_refused(raw: bytes) -> None:
    with pytest.raises(ManifestError):
        decode("Service", raw, V1)
