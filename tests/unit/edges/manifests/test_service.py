from typing import Any

import pytest

from tulle.edges.manifests.service import validate_service
from tulle.errors import ManifestError
from tulle.model.kubernetes import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)

HTTP = ServicePort(80, "http")
DUAL = ("10.96.0.1", "fd00::1")


def checked(**spec: Any) -> ServiceSpec:
    spec = {"ports": (HTTP,), **spec}
    return validate_service(Service(ObjectMeta("web", "shop"), ServiceSpec(**spec))).spec


@pytest.mark.parametrize(
    ("given", "one", "all_"),
    [
        ({}, "", ()),
        ({"cluster_ip": "10.96.0.1"}, "10.96.0.1", ("10.96.0.1",)),
        ({"cluster_ips": DUAL}, "10.96.0.1", DUAL),
        ({"cluster_ip": "10.96.0.1", "cluster_ips": DUAL}, "10.96.0.1", DUAL),
        ({"cluster_ip": "FD00::0:1"}, "fd00::1", ("fd00::1",)),
        ({"cluster_ip": "None"}, "None", ()),
        ({"cluster_ip": "None", "cluster_ips": ("None",), "ports": ()}, "None", ()),
    ],
)
def test_cluster_addresses_agree(given: dict[str, Any], one: str, all_: tuple[str, ...]) -> None:
    spec = checked(**given)
    assert (spec.cluster_ip, spec.cluster_ips) == (one, all_)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"type": "ExternalName"}, "spec.type"),
        ({"type": "NodePort", "cluster_ip": "None"}, "spec.clusterIP"),
        ({"ports": ()}, "spec.ports"),
        ({"ports": (HTTP, ServicePort(81))}, "spec.ports[1].name"),
        ({"ports": (HTTP, ServicePort(81, "http"))}, "spec.ports[1].name"),
        ({"ports": (HTTP, ServicePort(80, "again"))}, "spec.ports[1].port"),
        ({"ports": (ServicePort(80, protocol="SCTP"),)}, "spec.ports[0].protocol"),
        ({"ports": (ServicePort(80, target_port="8080"),)}, "spec.ports[0].targetPort"),
        ({"ports": (ServicePort(80, node_port=30080),)}, "spec.ports[0].nodePort"),
        ({"cluster_ip": "web"}, "spec.clusterIP"),
        ({"cluster_ip": "127.0.0.1"}, "spec.clusterIP"),
        ({"cluster_ip": "10.96.0.2", "cluster_ips": DUAL}, "spec.clusterIP"),
        ({"cluster_ips": ("10.96.0.1", "10.96.0.2")}, "spec.clusterIPs"),
        ({"cluster_ips": ("10.96.0.1", "x")}, "spec.clusterIPs[1]"),
        ({"cluster_ips": ("10.96.0.1", "None")}, "spec.clusterIPs[0]"),
        ({"cluster_ip": "10.96.0.1", "ip_families": ("IPv6",)}, "spec.ipFamilies"),
        ({"cluster_ips": DUAL, "ip_families": ("IPv4",)}, "spec.ipFamilies"),
        ({"ip_families": ("IPv4", "IPv4")}, "spec.ipFamilies"),
        ({"cluster_ips": DUAL, "ip_family_policy": "SingleStack"}, "spec.ipFamilyPolicy"),
        ({"health_check_node_port": 32000}, "spec.healthCheckNodePort"),
        ({"load_balancer_class": "cloud"}, "spec.loadBalancerClass"),
        (
            {
                "type": "NodePort",
                "ports": (
                    ServicePort(1, "a", node_port=30001),
                    ServicePort(2, "b", node_port=30001),
                ),
            },
            "spec.ports[1].nodePort",
        ),
        ({"selector": {"app": "not ok"}}, "spec.selector.app"),
    ],
)
def test_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ManifestError) as caught:
        checked(**given)
    assert caught.value.field == field


def test_one_port_may_serve_two_protocols() -> None:
    assert checked(ports=(ServicePort(53, "dns", "UDP"), ServicePort(53, "dns-tcp", "TCP")))


def test_one_node_port_may_serve_two_protocols() -> None:
    ports = (
        ServicePort(53, "dns", "UDP", node_port=30053),
        ServicePort(53, "dns-tcp", "TCP", node_port=30053),
    )
    assert checked(type="NodePort", ports=ports).ports == ports


def test_empty_fields_that_mean_nothing_are_allowed() -> None:
    assert checked(external_ips=(), load_balancer_ip="", health_check_node_port=0)


def test_a_status_speaks_of_another_cluster() -> None:
    status = ServiceStatus(LoadBalancerStatus((LoadBalancerIngress("203.0.113.1"),)))
    spec = ServiceSpec(type="LoadBalancer", ports=(HTTP,))
    found = validate_service(Service(ObjectMeta("web", "shop"), spec, status=status))
    assert found.status == ServiceStatus()
