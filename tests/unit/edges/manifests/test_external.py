from typing import Any

import pytest

from tulle.edges.manifests.external import validate_external
from tulle.errors import ManifestError
from tulle.model.kubernetes import ServicePort, ServiceSpec

POOL = "lbipam.cilium.io/ips"
RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"


def checked(annotations: dict[str, str] | None = None, **spec: Any) -> ServiceSpec:
    spec = {"type": "LoadBalancer", "ports": (ServicePort(80),), **spec}
    return validate_external(ServiceSpec(**spec), annotations or {})


def test_addresses_and_ranges_are_canonical() -> None:
    found = checked(
        external_ips=("FD00::0:1", "192.0.2.1"),
        load_balancer_ip="FD00::0:2",
        load_balancer_source_ranges=(" 10.0.0.1/8", "fd00::1/64"),
    )
    assert found.external_ips == ("fd00::1", "192.0.2.1")
    assert found.load_balancer_ip == "fd00::2"
    assert found.load_balancer_source_ranges == ("10.0.0.0/8", "fd00::/64")


def test_source_ranges_may_stand_in_their_older_annotation() -> None:
    ranges = {RANGES: "10.0.0.0/8, 192.0.2.0/24"}
    assert checked(ranges).load_balancer_source_ranges == ("10.0.0.0/8", "192.0.2.0/24")
    field = checked(ranges, load_balancer_source_ranges=("fd00::/8",))
    assert field.load_balancer_source_ranges == ("fd00::/8",)


@pytest.mark.parametrize(
    ("annotations", "spec", "field"),
    [
        ({}, {"external_ips": ("web",)}, "spec.externalIPs[0]"),
        ({}, {"external_ips": ("127.0.0.1",)}, "spec.externalIPs[0]"),
        ({}, {"external_ips": ("192.0.2.1", "192.0.2.1")}, "spec.externalIPs[1]"),
        ({}, {"load_balancer_ip": "web"}, "spec.loadBalancerIP"),
        (
            {},
            {"load_balancer_source_ranges": ("10.0.0.0/8", "10.0.0.1")},
            "spec.loadBalancerSourceRanges[1]",
        ),
        ({RANGES: "10.0.0.1"}, {}, f'metadata.annotations["{RANGES}"]'),
        ({POOL: "192.0.2.1,web"}, {}, f'metadata.annotations["{POOL}"]'),
        (
            {"lbipam.cilium.io/sharing-key": "a"},
            {},
            'metadata.annotations["lbipam.cilium.io/sharing-key"]',
        ),
    ],
)
def test_refused(annotations: dict[str, str], spec: dict[str, Any], field: str) -> None:
    with pytest.raises(ManifestError) as caught:
        checked(annotations, **spec)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("annotations", "spec", "field"),
    [
        ({}, {"load_balancer_ip": "192.0.2.1"}, "spec.loadBalancerIP"),
        (
            {},
            {"load_balancer_source_ranges": ("10.0.0.0/8",)},
            "spec.loadBalancerSourceRanges",
        ),
        (
            {},
            {"allocate_load_balancer_node_ports": False},
            "spec.allocateLoadBalancerNodePorts",
        ),
        ({POOL: "192.0.2.1"}, {}, f'metadata.annotations["{POOL}"]'),
        ({RANGES: "10.0.0.0/8"}, {}, f'metadata.annotations["{RANGES}"]'),
    ],
)
def test_what_only_a_load_balancer_has(
    annotations: dict[str, str], spec: dict[str, Any], field: str
) -> None:
    with pytest.raises(ManifestError, match="needs type LoadBalancer") as caught:
        checked(annotations, type="NodePort", **spec)
    assert caught.value.field == field
    checked(annotations, **spec)


def test_a_local_policy_is_about_traffic_from_outside() -> None:
    with pytest.raises(ManifestError) as caught:
        checked(type="ClusterIP", external_traffic_policy="Local")
    assert caught.value.field == "spec.externalTrafficPolicy"
    checked(type="NodePort", external_traffic_policy="Local")
    checked(type="ClusterIP", external_traffic_policy="Local", external_ips=("192.0.2.1",))
