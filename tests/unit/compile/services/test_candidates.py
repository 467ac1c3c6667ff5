"""Which endpoints a service has, and which of them are used: rules of Kubernetes and its KEPs."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from tests.unit.compile.services.shop import (
    HERE,
    ZONE,
    at,
    built,
    frontend,
    listing,
    pod,
    selecting,
    service,
    town,
)
from tulle.compile.services import Kind
from tulle.model.kubernetes import ContainerPort
from tulle.model.world import Settings, Workload, World

DUAL = pod("db-2", "10.0.0.2", "fd00::2", ports=(ContainerPort(9000, "pg"),))
BOTH = "ipFamilyPolicy: PreferDualStack"


def inside(world: World, family: int = 4) -> list[str]:
    return at(frontend(built(world), Kind.CLUSTER_IP, family).internal)


def outside(world: World) -> list[str]:
    return at(frontend(built(world), Kind.NODE_PORT).external)


# --- what selectors find -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "ports", "expected"),
    [
        ({}, "{port: 80}", ["10.0.0.2:80"]),
        ({}, "{port: 80, targetPort: 8080}", ["10.0.0.2:8080"]),
        ({}, "{port: 80, targetPort: pg}", ["10.0.0.2:9000"]),
        ({}, "{port: 80, targetPort: http}", []),
        ({}, "{port: 80, targetPort: pg, protocol: UDP}", []),
        ({"labels": {"app": "web"}}, "{port: 80}", []),
        ({"labels": {"app": "db", "tier": "x"}}, "{port: 80}", ["10.0.0.2:80"]),
        ({"namespace": "other"}, "{port: 80}", []),
        ({"ready": False}, "{port: 80}", []),
        ({"weight": 0}, "{port: 80}", []),
        ({"weight": -1}, "{port: 80}", []),
    ],
)
def test_a_selector_finds_workloads_that_take_connections(
    change: dict[str, Any], ports: str, expected: list[str]
) -> None:
    text = selecting(ports=f"ports: [{ports}]")
    assert inside(town(replace(DUAL, **change), text=text)) == expected


def test_workloads_of_every_node_are_found() -> None:
    pods = pod("db-2"), pod("db-3", node="near"), pod("db-4", node="far")
    found = frontend(built(town(*pods, text=selecting())), Kind.CLUSTER_IP).internal
    assert [(item.address, item.node) for item in found] == [
        ("10.0.0.2", "here"),
        ("10.0.0.3", "near"),
        ("10.0.0.4", "far"),
    ]
    assert {item.workload for item in found} == {"shop/db-2", "shop/db-3", "shop/db-4"}


def test_each_family_leads_to_addresses_of_its_own() -> None:
    world = town(DUAL, pod("db-3"), text=selecting(more=BOTH))
    assert inside(world, 4) == ["10.0.0.2:80", "10.0.0.3:80"]
    assert inside(world, 6) == ["fd00::2:80"]


def test_a_named_port_may_be_another_number_at_each_workload() -> None:
    other = pod("db-3", ports=(ContainerPort(9001, "pg"),))
    text = selecting(ports="ports: [{port: 80, targetPort: pg}]")
    assert inside(town(DUAL, other, text=text)) == ["10.0.0.2:9000", "10.0.0.3:9001"]


# --- what slices list ----------------------------------------------------------------------------


def test_a_service_without_selector_reads_its_slices() -> None:
    text = service("db") + listing("192.0.2.11", "192.0.2.12", port="port: 5432")
    assert inside(town(text=text)) == ["192.0.2.11:5432", "192.0.2.12:5432"]


def test_slices_stand_for_a_selector_too_where_there_are_some() -> None:
    text = selecting() + listing("192.0.2.11")
    assert inside(town(DUAL, text=text)) == ["192.0.2.11:80"]


def test_where_only_slices_count_nothing_is_selected() -> None:
    settings = Settings(endpoints="listed")
    assert inside(replace(town(DUAL, text=selecting()), settings=settings)) == []
    listed = town(DUAL, text=selecting() + listing("192.0.2.11"))
    assert inside(replace(listed, settings=settings)) == ["192.0.2.11:80"]


def test_a_listed_workload_that_is_selected_brings_its_weight_and_name() -> None:
    weighted = replace(DUAL, weight=7)
    text = selecting() + listing("10.0.0.2", "10.0.0.3")
    first, second = frontend(built(town(weighted, text=text)), Kind.CLUSTER_IP).internal
    assert (first.weight, first.workload) == (7, "shop/db-2")
    assert (second.weight, second.workload) == (1, "")
    drained = replace(DUAL, weight=0)
    assert inside(town(drained, text=text)) == ["10.0.0.3:80"]


ABROAD = listing("192.0.2.12", name="b").replace(
    "service-name: db", "service-name: db, multicluster.kubernetes.io/source-cluster: west"
)
GONE = "addresses: ['192.0.2.11'], conditions: {ready: false, serving: true, terminating: true}"


@pytest.mark.parametrize(
    ("own", "affinity", "served"),
    [
        (["192.0.2.11"], "", ["11"]),
        (["192.0.2.11"], "local", ["11"]),
        (["192.0.2.11"], "remote", ["12"]),
        (["192.0.2.11"], "none", ["11", "12"]),
        (["addresses: ['192.0.2.11'], conditions: {ready: false}"], "", ["12"]),
        ([GONE], "", ["12"]),
        ([], "", ["12"]),
    ],
)
def test_other_clusters_serve_while_nobody_here_is_ready(
    own: list[str], affinity: str, served: list[str]
) -> None:
    annotations = f"{{service.cilium.io/affinity: '{affinity}'}}" if affinity else "{}"
    text = service("db", annotations=annotations) + ABROAD
    found = inside(town(text=text + (listing(*own) if own else "")))
    assert found == [f"192.0.2.{number}:80" for number in served]


@pytest.mark.parametrize(
    "text",
    [
        listing("192.0.2.11", of="web"),
        listing("192.0.2.11", port="port: 80, name: other"),
        listing("192.0.2.11", port="port: 80, protocol: UDP"),
        listing("192.0.2.11").replace("{name: a", "{namespace: other, name: a"),
        listing("fd00::1"),
    ],
    ids=["service", "port-name", "protocol", "namespace", "family"],
)
def test_slices_of_others_are_not_read(text: str) -> None:
    assert inside(town(text=service("db") + text)) == []


def test_an_address_on_two_ports_is_two_endpoints_and_order_does_not_matter() -> None:
    parts = [
        listing("192.0.2.11", name="a", port="port: 81"),
        listing("192.0.2.11", name="b", port="port: 80"),
        listing("192.0.2.11", name="c", port="port: 80"),  # the same once more
    ]
    for text in ("".join(parts), "".join(reversed(parts))):
        world = town(text=service("db") + text)
        assert inside(world) == ["192.0.2.11:80", "192.0.2.11:81"]


def test_of_two_that_list_one_endpoint_the_ready_one_is_believed() -> None:
    away = "addresses: [192.0.2.11], conditions: {ready: false}"
    for names in ("ab", "ba"):
        text = listing(away, name=names[0]) + listing("192.0.2.11", name=names[1])
        assert inside(town(text=service("db") + text)) == ["192.0.2.11:80"]


# --- ready, serving, terminating (KEP-1669) ------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "publish", "counts"),
    [
        ("{}", False, True),  # unknown counts as ready
        ("{ready: true}", False, True),
        ("{ready: false}", False, False),
        ("{ready: false, serving: false, terminating: true}", False, False),
        ("{ready: false, serving: true}", False, False),  # not on its way out: not ready
        ("{ready: false}", True, True),
        ("{ready: false, serving: true, terminating: true}", False, True),  # there is no other
        ("{ready: false, terminating: true}", False, True),  # unknown counts as serving
    ],
)
def test_listed_endpoints_that_are_not_ready(conditions: str, publish: bool, counts: bool) -> None:
    text = service("db", f"publishNotReadyAddresses: {str(publish).lower()}, ports: [{{port: 80}}]")
    text += listing(f"addresses: [192.0.2.11], conditions: {conditions}")
    assert bool(inside(town(text=text))) is counts


LEAVING = pod("db-2", terminating=True)
GONE = pod("db-3", terminating=True, ready=False)
READY = pod("db-4", node="far")
AWAY = pod("db-5", ready=False)


@pytest.mark.parametrize(
    ("pods", "more", "expected"),
    [
        ((LEAVING, GONE, AWAY, READY), "", ["10.0.0.4:80"]),
        ((LEAVING, GONE, AWAY), "", ["10.0.0.2:80"]),
        ((GONE, AWAY), "", []),
        ((LEAVING, GONE, AWAY, READY), "publishNotReadyAddresses: true", 4),
    ],
    ids=["somebody is ready", "nobody is", "nor serves", "publish"],
)
def test_who_is_terminating_serves_only_while_nobody_is_ready(
    pods: tuple[Workload, ...], more: str, expected: Any
) -> None:
    found = inside(town(*pods, text=selecting(more=more)))
    assert found == expected or len(found) == expected


def test_a_local_policy_falls_back_to_what_terminates_here() -> None:
    text = selecting(more="type: NodePort, externalTrafficPolicy: Local")
    world = town(LEAVING, GONE, READY, text=text)
    assert outside(world) == ["10.0.0.2:80"]  # though another node has a ready one


# --- traffic policies ----------------------------------------------------------------------------

SPREAD = pod("db-2"), pod("db-3", node="near"), pod("db-4", node="far")
ALL = ["10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"]


def test_internal_policy_local_means_this_node_only() -> None:
    text = selecting(more="internalTrafficPolicy: Local, type: NodePort")
    parts = built(town(*SPREAD, text=text))
    assert at(frontend(parts, Kind.CLUSTER_IP).internal) == ["10.0.0.2:80"]
    assert at(frontend(parts, Kind.NODE_PORT).internal) == ALL  # it is about the cluster IP
    assert inside(town(*SPREAD[1:], text=text)) == []  # and never falls back to other nodes


def test_external_policy_local_means_this_node_only_for_who_comes_from_outside() -> None:
    text = selecting(more="externalTrafficPolicy: Local, type: NodePort")
    parts = built(town(*SPREAD, text=text))
    found = frontend(parts, Kind.NODE_PORT)
    assert at(found.external) == ["10.0.0.2:80"]
    assert at(found.internal) == ALL  # from inside every backend is as good
    assert at(frontend(parts, Kind.CLUSTER_IP).internal) == ALL


def test_a_cluster_ip_is_not_served_to_the_outside() -> None:
    found = frontend(built(town(*SPREAD, text=selecting())), Kind.CLUSTER_IP)
    assert (found.external, found.local) == ((), ())


@pytest.mark.parametrize("policy", ["Cluster", "Local"])
@pytest.mark.parametrize("dsr", [False, True])
def test_what_another_node_sends_on_goes_to_this_nodes_backends(policy: str, dsr: bool) -> None:
    text = selecting(more=f"externalTrafficPolicy: {policy}, type: NodePort")
    found = frontend(built(town(*SPREAD, text=text, dsr=dsr)), Kind.NODE_PORT)
    assert at(found.local) == (["10.0.0.2:80"] if dsr else [])


def test_a_listed_endpoint_is_local_by_its_node_or_by_a_workloads_address() -> None:
    spec = "type: NodePort, externalTrafficPolicy: Local, ports: [{port: 80}]"
    text = service("db", spec) + listing(
        "addresses: [192.0.2.11], nodeName: here",
        "addresses: [192.0.2.12], nodeName: far",
        "192.0.2.13",
        "10.0.0.9",
    )
    world = town(pod("other-9", app="other"), text=text)
    assert outside(world) == ["10.0.0.9:80", "192.0.2.11:80"]


# --- topology (KEP-2433, KEP-4444, KEP-3015) -----------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "pods", "expected"),
    [
        ("", SPREAD, ALL),
        ("PreferClose", SPREAD, ALL[:2]),
        ("PreferSameZone", SPREAD, ALL[:2]),
        ("PreferSameNode", SPREAD, ALL[:1]),
        ("PreferSameNode", SPREAD[1:], ["10.0.0.3:80"]),  # else the zone
        ("PreferSameNode", SPREAD[2:], ["10.0.0.4:80"]),  # else anywhere
        ("PreferClose", SPREAD[2:], ["10.0.0.4:80"]),
        ("PreferClose", (replace(SPREAD[0], ready=False), SPREAD[2]), ["10.0.0.4:80"]),
        ("PreferClose", (replace(SPREAD[0], terminating=True), SPREAD[2]), ["10.0.0.4:80"]),
    ],
)
def test_traffic_distribution(
    distribution: str, pods: tuple[Workload, ...], expected: list[str]
) -> None:
    more = f'trafficDistribution: "{distribution}", type: NodePort'
    world = town(*pods, text=selecting(more=more))
    assert inside(world) == outside(world) == expected


def test_without_a_zone_of_its_own_a_node_prefers_nobody() -> None:
    world = town(*SPREAD, text=selecting(more="trafficDistribution: PreferClose"))
    assert inside(replace(world, node=replace(HERE, labels={}))) == ALL


def test_a_node_without_a_zone_is_a_hint_that_is_missing() -> None:
    world = town(*SPREAD, text=selecting(more="trafficDistribution: PreferClose"))
    nodes = {**world.nodes, "far": replace(world.nodes["far"], labels={})}
    assert inside(replace(world, nodes=nodes)) == ALL


def hinted(address: str, hints: str) -> str:
    return f"addresses: [{address}], hints: {{{hints}}}"


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        (("forZones: [{name: a}]", "forZones: [{name: b}]"), ["192.0.2.11:80"]),
        (("forZones: [{name: b}, {name: a}]", "forZones: [{name: a}]"), 2),
        (("forZones: [{name: a}]", ""), 2),  # one that has no hint: they do not count
        (("forZones: [{name: b}]", "forZones: [{name: c}]"), 2),  # none is for this zone
        (("forNodes: [{name: here}]", "forNodes: [{name: far}]"), ["192.0.2.11:80"]),
        (
            (
                "forZones: [{name: b}], forNodes: [{name: here}]",
                "forZones: [{name: a}], forNodes: [{name: far}]",
            ),
            ["192.0.2.11:80"],
        ),
    ],
)
def test_hints_of_slices_count_whatever_the_service_says(
    hints: tuple[str, str], expected: Any
) -> None:
    listed = (hinted(f"192.0.2.{11 + index}", text) for index, text in enumerate(hints))
    found = inside(town(text=service("db") + listing(*listed)))
    assert found == expected or len(found) == expected


def test_slices_without_hints_are_hinted_by_their_zones() -> None:
    text = service("db", "trafficDistribution: PreferClose, ports: [{port: 80}]") + listing(
        "addresses: [192.0.2.11], zone: a", "addresses: [192.0.2.12], zone: b"
    )
    assert inside(town(text=text)) == ["192.0.2.11:80"]


def test_local_policies_look_past_topology() -> None:
    more = "trafficDistribution: PreferSameZone, internalTrafficPolicy: Local"
    node = replace(HERE, labels={ZONE: "b"})
    assert inside(town(*SPREAD, text=selecting(more=more), node=node)) == ["10.0.0.2:80"]


# --- headless ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "pods", "expected"),
    [
        ("", (DUAL, pod("db-3")), ["10.0.0.2", "10.0.0.3", "fd00::2"]),
        ("ipFamilies: [IPv6]", (DUAL, pod("db-3")), ["fd00::2"]),
        (
            "",
            (DUAL, pod("db-3", ready=False), pod("db-4", terminating=True)),
            ["10.0.0.2", "fd00::2"],
        ),
        ("publishNotReadyAddresses: true", (pod("db-3", ready=False),), ["10.0.0.3"]),
        ("", (pod("db-3", weight=0),), ["10.0.0.3"]),
    ],
)
def test_a_headless_service_is_the_name_of_its_ready_endpoints(
    more: str, pods: tuple[Workload, ...], expected: list[str]
) -> None:
    for ports in ("ports: []", "ports: [{port: 80, targetPort: nobody-has-it}]"):
        text = selecting(more=f"clusterIP: None{', ' if more else ''}{more}", ports=ports)
        parts = built(town(*pods, text=text))
        assert parts.addresses["shop", "db"] == tuple(map(ip_address, expected))
        assert not list(parts.in_force())


def test_a_headless_service_is_also_the_name_of_what_its_slices_list() -> None:
    away = "addresses: [192.0.2.12], conditions: {ready: false}"
    text = service("db", "clusterIP: None") + listing("192.0.2.11", away)
    assert built(town(text=text)).addresses["shop", "db"] == (ip_address("192.0.2.11"),)
