"""Who an address is."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.unit.compile.explain.town import ELSEWHERE, WORKLOADS, town
from tulle.compile.explain.ends import End, Kind, end_at, inside
from tulle.model.kubernetes import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectMeta,
    Service,
    ServiceSpec,
    ServiceStatus,
)


def at(address: str) -> End:
    return end_at(town(), ip_address(address))


@pytest.mark.parametrize("family", [0, 1])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("internet", Kind.WORLD),
        ("node", Kind.HOST),
        ("east", Kind.NODE),
        ("lost", Kind.UNMANAGED),
        ("service", Kind.SERVICE),
    ],
)
def test_what_an_address_is(name: str, kind: Kind, family: int) -> None:
    assert at(ELSEWHERE[name][family]).kind is kind


def test_workloads_here_and_elsewhere() -> None:
    here, there = at("10.0.0.12"), at("fd00:1::1")
    assert here.kind is there.kind is Kind.WORKLOAD
    assert (here.is_local, there.is_local) == (True, False)
    assert here.workload is WORKLOADS[4]
    assert there.node is not None
    assert there.node.name == "east"
    assert here.labels == {
        "app": "vault",
        "io.kubernetes.pod.namespace": "bank",
        "io.cilium.k8s.policy.serviceaccount": "guard",
        "io.cilium.k8s.policy.cluster": "default",
        "io.cilium.k8s.namespace.labels.team": "blue",
        "io.cilium.k8s.namespace.labels.secure": "yes",
        "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name": "bank",
    }


def test_every_address_of_a_service_is_its_own() -> None:
    service = Service(
        ObjectMeta("gate", "shop"),
        ServiceSpec(cluster_ip="10.96.0.11", external_ips=("198.51.100.1",)),
        status=ServiceStatus(LoadBalancerStatus((LoadBalancerIngress("198.51.100.2"),))),
    )
    world = town(service)
    for address in ("10.96.0.11", "198.51.100.1", "198.51.100.2"):
        assert end_at(world, ip_address(address)).kind is Kind.SERVICE


def test_a_node_that_lends_its_address_to_a_service_stays_a_node() -> None:
    lent = Service(ObjectMeta("gate", "shop"), ServiceSpec(external_ips=("10.0.0.254",)))
    assert end_at(town(lent), ip_address("10.0.0.254")).kind is Kind.HOST


def test_this_nodes_own_pod_range_is_no_bodys() -> None:
    world = town()
    narrowed = replace(world, node=replace(world.node, pod_cidrs=world.nodes["east"].pod_cidrs))
    assert end_at(replace(narrowed, nodes={}), ip_address("10.0.1.99")).kind is Kind.WORLD


@pytest.mark.parametrize(
    ("address", "cidr", "excluded", "answer"),
    [
        ("10.0.0.1", "10.0.0.0/24", (), True),
        ("10.0.0.1", "10.0.0.9/24", (), True),
        ("10.0.0.1", "10.0.0.1", (), True),
        ("10.0.0.1", "10.0.0.0/24", ("10.0.0.0/30",), False),
        ("10.0.0.1", "10.0.0.0/24", ("10.0.0.4/30",), True),
        ("10.0.0.1", "::/0", (), False),
        ("fd00::1", "0.0.0.0/0", (), False),
        ("fd00::1", "fd00::/64", ("10.0.0.0/8",), True),
    ],
)
def test_inside(address: str, cidr: str, excluded: tuple[str, ...], answer: bool) -> None:
    assert inside(ip_address(address), cidr, excluded) is answer
