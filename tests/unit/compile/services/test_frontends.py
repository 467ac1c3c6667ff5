"""Which addresses and ports a service answers on, and how."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.compile.services.shop import (
    HTTP,
    at,
    built,
    frontend,
    pod,
    reasons,
    selecting,
    service,
    town,
)
from tulle.compile.services import Kind, ServiceParts
from tulle.model.kubernetes import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    Service,
    ServiceStatus,
)
from tulle.model.world import World

BOTH = "clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, 'fd00::1']"
POOL = """
---
kind: CiliumLoadBalancerIPPool
metadata: {name: p}
spec: {blocks: [{start: 203.0.113.7}]}
"""


REST = "; the rest of it is in force"


def shown(parts: ServiceParts) -> list[tuple[str, str]]:
    return [(item.kind.value, str(item.face)) for item in parts.in_force()]


def test_every_address_has_every_port() -> None:
    ports = "ports: [{name: a, port: 53, protocol: UDP}, {name: b, port: 53}]"
    assert shown(built(town(text=service("dns", f"{BOTH}, {ports}")))) == [
        ("ClusterIP", "10.96.0.1:53/UDP"),
        ("ClusterIP", "10.96.0.1:53/TCP"),
        ("ClusterIP", "[fd00::1]:53/UDP"),
        ("ClusterIP", "[fd00::1]:53/TCP"),
    ]


def test_a_load_balancer_answers_on_everything_that_it_has() -> None:
    spec = "type: LoadBalancer, externalIPs: [192.0.2.9], ports: [{port: 80, nodePort: 30080}]"
    text = POOL + service("web", f"clusterIP: 10.96.0.1, {spec}")
    assert shown(built(town(text=text))) == [
        ("ClusterIP", "10.96.0.1:80/TCP"),
        ("ExternalIP", "192.0.2.9:80/TCP"),
        ("LoadBalancer", "203.0.113.7:80/TCP"),
        ("NodePort", "nodePort 30080/TCP"),
    ]


@pytest.mark.parametrize("spec", [f"clusterIP: None, {HTTP}", "clusterIP: None, ports: []"])
def test_a_headless_service_has_none(spec: str) -> None:
    assert shown(built(town(text=service("s", spec)))) == []


def test_external_addresses_do_not_depend_on_the_type() -> None:
    text = service("web", f"clusterIP: 10.96.0.1, externalIPs: [192.0.2.9], {HTTP}")
    assert ("ExternalIP", "192.0.2.9:80/TCP") in shown(built(town(text=text)))


def with_status(world: World, *ingress: LoadBalancerIngress) -> World:
    old = world.services["shop", "web"]
    status = ServiceStatus(LoadBalancerStatus(ingress))
    new = Service(old.metadata, old.spec, status=status)
    return replace(world, services={("shop", "web"): new})


def test_what_a_load_balancer_itself_takes_is_left_to_it() -> None:
    world = town(text=service("web", f"type: LoadBalancer, {HTTP}"))
    itself = LoadBalancerIngress("203.0.113.8", "Proxy")
    parts = built(with_status(world, LoadBalancerIngress("203.0.113.7"), itself))
    kinds = [item for item in shown(parts) if item[0] == "LoadBalancer"]
    assert kinds == [("LoadBalancer", "203.0.113.7:80/TCP")]


def test_affinity_has_its_timeout() -> None:
    sticky = "sessionAffinity: ClientIP"
    config = "sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}"
    for more, expected in (("", 0), (sticky, 10800), (f"{sticky}, {config}", 60)):
        found = frontend(built(town(text=selecting(more=more))), Kind.CLUSTER_IP)
        assert found.affinity_s == expected


def test_source_ranges_are_for_the_load_balancers_address_only() -> None:
    spec = "type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8, 'fd00::/8']"
    parts = built(town(text=POOL + selecting(more=spec)))
    ranges = frontend(parts, Kind.LOAD_BALANCER).source_ranges
    assert [str(item) for item in ranges or ()] == ["10.0.0.0/8"]
    assert frontend(parts, Kind.CLUSTER_IP).source_ranges is None
    assert frontend(parts, Kind.NODE_PORT).source_ranges is None


def test_source_ranges_of_the_other_family_let_nobody_in() -> None:
    spec = "type: LoadBalancer, loadBalancerSourceRanges: ['fd00::/8']"
    parts = built(town(text=POOL + selecting(more=spec)))
    assert frontend(parts, Kind.LOAD_BALANCER).source_ranges == ()


def test_frontends_of_one_port_and_family_are_one_group() -> None:
    more = "type: NodePort, externalIPs: [192.0.2.9], ipFamilyPolicy: PreferDualStack"
    found = list(built(town(text=selecting(more=more))).in_force())
    assert len({item.group for item in found if item.face.family == 4}) == 1
    assert len({item.group for item in found}) == 2
    local = list(
        built(town(text=selecting(more=f"{more}, internalTrafficPolicy: Local"))).in_force()
    )
    assert len({item.group for item in local if item.face.family == 4}) == 2


# --- who has what --------------------------------------------------------------------------------


def test_of_two_services_with_one_cluster_ip_the_first_by_name_has_it() -> None:
    spec = "clusterIP: 10.96.0.1, ports: [{port: %d}]"
    texts = [service("b", spec % 1), service("a", spec % 2)]
    for text in ("".join(texts), "".join(reversed(texts))):
        parts = built(town(text=text))
        assert shown(parts) == [("ClusterIP", "10.96.0.1:2/TCP")]
        assert reasons(parts) == [
            "Service shop/b: spec.clusterIP: 10.96.0.1 belongs to Service shop/a"
        ]
        assert ("shop", "b") not in parts.addresses


def test_nobody_takes_a_cluster_ip_by_calling_it_external() -> None:
    dns = service("dns", "clusterIP: 10.96.0.10, ports: [{port: 53}]")
    for port in (53, 54):
        thief = f"clusterIP: 10.96.0.77, externalIPs: [10.96.0.10], ports: [{{port: {port}}}]"
        parts = built(town(text=dns + service("a", thief)))
        own = ("ClusterIP", f"10.96.0.77:{port}/TCP")
        assert sorted(shown(parts)) == [("ClusterIP", "10.96.0.10:53/TCP"), own]
        assert reasons(parts) == [
            f"Service shop/a: spec.externalIPs: 10.96.0.10 belongs to Service shop/dns{REST}"
        ]


def test_who_cannot_have_both_of_his_cluster_ips_keeps_none_from_others() -> None:
    spec = "clusterIPs: [%s], ports: [{port: 80}]"
    first, second = "10.96.0.1", "'fd00:7a11:0:96::1'"
    texts = [
        service("a", spec % first),
        service("b", spec % f"{first}, {second}"),
        service("c", spec % second),
    ]
    parts = built(town(text="".join(texts)))
    assert reasons(parts) == ["Service shop/b: spec.clusterIP: 10.96.0.1 belongs to Service shop/a"]


def test_one_external_address_may_be_two_services_on_different_ports() -> None:
    spec = "externalIPs: [192.0.2.9], ports: [{port: %d}]"
    texts = [service("a", spec % 80), service("b", spec % 81), service("c", spec % 81)]
    parts = built(town(text="".join(texts)))
    assert [item[1] for item in shown(parts) if item[0] == "ExternalIP"] == [
        "192.0.2.9:80/TCP",
        "192.0.2.9:81/TCP",
    ]
    assert reasons(parts) == [
        f"Service shop/c: spec.externalIPs: 192.0.2.9:81/TCP belongs to Service shop/b{REST}"
    ]


def test_node_ports_that_two_wrote_are_the_firsts() -> None:
    spec = "type: NodePort, ports: [{port: 80, nodePort: 30080}]"
    parts = built(town(text=service("b", spec) + service("a", spec)))
    assert reasons(parts) == [
        f"Service shop/b: spec.ports.nodePort: nodePort 30080/TCP belongs to Service shop/a{REST}"
    ]
    in_force = [str(item.service) for item in parts.in_force()]
    assert in_force.count("Service shop/b") == in_force.count("Service shop/a") - 1


def test_node_ports_of_a_family_lead_to_backends_of_that_family() -> None:
    db = pod("db-2", "10.0.0.2", "fd00::2")
    parts = built(town(db, text=selecting(more="type: NodePort, ipFamilyPolicy: PreferDualStack")))
    assert at(frontend(parts, Kind.NODE_PORT, 4).external) == ["10.0.0.2:80"]
    assert at(frontend(parts, Kind.NODE_PORT, 6).external) == ["fd00::2:80"]
