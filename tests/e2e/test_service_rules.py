"""What Services say beyond their address, held against real traffic between two nodes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.field import OUTSIDE, PORT, Field, pod, service
from tests.e2e.mesh import Json, wait_for
from tests.e2e.probes import Question

ASKED = 16  # times: that one of two is never met by chance has odds of 1 in 65,536
BOTH = {"tier": "web"}  # label of a server on each node
EXTERNAL_IP = "198.51.100.9"
BALANCED = "192.0.2.200"


FROM_PORTS = """
import socket, sys
for port in range(40000, 40016):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(2); s.bind(("", port)); s.connect((sys.argv[1], int(sys.argv[2])))
        s.send(b"?"); print(s.recv(100).decode().split()[0])
"""


@pytest.fixture(scope="module")
def field(clusters: Clusters) -> Iterator[Field]:
    with clusters("rules", ("a", "b")) as cluster:
        made = Field(cluster)
        made.route_outside(f"{EXTERNAL_IP}/32", "a", 4)
        cluster.apply(
            pod("near", cluster["a"].name, **BOTH), pod("away", cluster["b"].name, **BOTH)
        )
        cluster.apply(both("all"))
        wait_for(lambda: backends(made, "all") == {"near", "away"}, timeout_s=20)
        yield made


def both(
    name: str, node_port: int | None = None, annotations: Json | None = None, **spec: Any
) -> Json:
    """A service of both servers."""
    made = service(name, "", node_port, selector=BOTH, **spec)
    made["metadata"]["annotations"] = annotations or {}
    return made


def backends(field: Field, name: str, node: str = "a") -> set[str]:
    return {
        item["workload"].partition("/")[2]
        for found in field.cluster[node].get("services")
        if found["name"] == name
        for item in found["backends"]
    }


def answers(
    field: Field, source: str, host: str, port: int = PORT, wanted: str = "answered"
) -> Counter[str]:
    """Who answers, or `silent`, how often."""
    found: Counter[str] = Counter()
    for _ in range(ASKED):
        [answer] = field.probes.insist({Question(source, "TCP", host, port): wanted}).values()
        found[answer.said or answer.outcome] += 1
    return found


def names(found: Counter[str]) -> set[str]:
    return {text.partition(" ")[0] for text in found}


def test_every_node_gives_the_same_addresses_and_ports(field: Field) -> None:
    field.cluster.apply(both("given", type="LoadBalancer"))
    seen = [
        {
            item["name"]: (item["cluster_ips"], item["external_ips"], item["ports"])
            for item in node.get("services")
        }
        for node in field.cluster.nodes.values()
    ]
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"near", "away"}),
        ({"internalTrafficPolicy": "Local"}, {"near"}),
        ({"trafficDistribution": "PreferSameNode"}, {"near"}),
        ({"trafficDistribution": "PreferClose"}, {"near", "away"}),  # no node has a zone
    ],
    ids=["plain", "internal Local", "same node", "no zones"],
)
def test_who_answers_a_client_of_node_a(field: Field, spec: Json, expected: set[str]) -> None:
    field.cluster.apply(both("chosen", **spec))
    address = field.address_of("chosen", "cluster_ips", 4)
    assert names(answers(field, "client", address)) == expected
    assert names(answers(field, "host", address)) == expected


def test_external_policy_local_keeps_to_the_node_that_was_asked(field: Field) -> None:
    field.cluster.apply(
        both("kept", node_port=30010, type="NodePort", externalTrafficPolicy="Local")
    )
    for node, server in (("a", "near"), ("b", "away")):
        found = answers(field, "outside", field.nodes[node][4], 30010)
        assert found == {f"{server} {OUTSIDE[4]}": ASKED}
    assert names(answers(field, "client", field.nodes["b"][4], 30010)) == {"near", "away"}


def test_an_external_address_is_served_to_both_sides(field: Field) -> None:
    field.cluster.apply(both("external", externalIPs=[EXTERNAL_IP]))
    for source in ("client", "host", "outside"):
        assert names(answers(field, source, EXTERNAL_IP)) == {"near", "away"}


@pytest.mark.parametrize(
    ("ranges", "wanted", "who"),
    [
        ([f"{OUTSIDE[4]}/32"], "answered", {"near", "away"}),
        (["10.99.0.0/16"], "silent", {"silent"}),
    ],
    ids=["inside of the ranges", "outside of the ranges"],
)
def test_source_ranges_are_about_the_outside(
    field: Field, ranges: list[str], wanted: str, who: set[str]
) -> None:
    asked = {"lbipam.cilium.io/ips": BALANCED}
    made = both("ranged", annotations=asked, type="LoadBalancer", loadBalancerSourceRanges=ranges)
    field.cluster.apply(made)
    assert field.address_of("ranged", "external_ips", 4) == BALANCED
    assert names(answers(field, "outside", BALANCED, wanted=wanted)) == who
    assert names(answers(field, "client", BALANCED)) == {"near", "away"}
    field.cluster.delete(made)


def test_a_weight_is_known_on_every_node(field: Field) -> None:
    drained = pod("away", field.cluster["b"].name, **BOTH)
    drained["metadata"]["annotations"] = {"tulle.io/weight": "0"}
    field.cluster.apply(drained)
    wait_for(lambda: backends(field, "all") == {"near"}, timeout_s=20)
    try:
        address = field.address_of("all", "cluster_ips", 4)
        assert names(answers(field, "client", address)) == {"near"}
    finally:
        field.cluster.apply(pod("away", field.cluster["b"].name, **BOTH))
        wait_for(lambda: backends(field, "all") == {"near", "away"}, timeout_s=20)


def test_a_maglev_table_sends_a_client_to_one_backend_whichever_node_it_comes_by(
    field: Field,
) -> None:
    asked = {"lbipam.cilium.io/ips": BALANCED, "tulle.io/maglev": "true"}
    field.cluster.apply(both("steady", annotations=asked, type="LoadBalancer"))
    said = []
    for node in ("a", "b", "a"):
        field.route_outside(f"{BALANCED}/32", node, 4)
        said.append(field.cluster.outside(sys.executable, "-c", FROM_PORTS, BALANCED, str(PORT)))
    field.cluster.outside("ip", "route", "del", f"{BALANCED}/32")
    assert said[0] == said[1] == said[2]
    assert set(said[0].split()) == {"near", "away"}


def test_a_host_port_that_is_taken_is_refused_where_it_is(field: Field) -> None:
    rival = pod("rival", field.cluster["a"].name, host_port=8801)
    field.cluster.apply(rival)
    try:
        wait_for(lambda: bool(_refused(field, "a")), timeout_s=20)
        assert "belongs to Pod shop/here: it has no host ports" in _refused(field, "a")[0]
        assert not _refused(field, "b")
        found = answers(field, "outside", field.nodes["a"][4], 8801)
        assert names(found) == {"here"}
    finally:
        field.cluster.delete(rival)


def _refused(field: Field, node: str) -> list[str]:
    refused = field.cluster[node].status()["refused"]
    return [item["reason"] for item in refused if item["object"] == "Pod shop/rival"]
