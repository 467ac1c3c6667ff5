"""Who lives where, by what a server says of Nodes and Pods in whatever order."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.agent.kube.said import said
from tulle.agent.kube.census import Census
from tulle.agent.published import world_node
from tulle.model.kubernetes import ContainerPort, ObjectRef
from tulle.model.world import Workload

KEY = ("shop", "web")


def node(name: str, number: int = 1, **metadata: Any) -> tuple[str, bytes]:
    addresses = [{"type": "InternalIP", "address": f"192.168.96.{number}"}]
    spec = {"podCIDRs": [f"10.244.{number}.0/24"]}
    status = {"addresses": addresses}
    return name, said(name, "", spec=spec, status=status, metadata=metadata)


def pod(
    name: str = "web", home: str = "b", ip: str = "10.244.2.5", created: str = "1", **rest: Any
) -> tuple[tuple[str, str], bytes]:
    ports = [{"name": "http", "containerPort": 8080, "protocol": "TCP", "later": 1}]
    spec = {"nodeName": home, "serviceAccountName": "shop", "containers": [{"ports": ports}]}
    status = {
        "phase": "Running",
        "podIPs": [{"ip": ip}] if ip else [],
        "conditions": [{"type": "Ready", "status": "True"}],
        **rest.pop("status", {}),
    }
    metadata = {"creationTimestamp": created, **rest.pop("metadata", {})}
    raw = said(name, metadata=metadata, spec={**spec, **rest}, status=status)
    return ("shop", name), raw


def a_census(*pods: tuple[tuple[str, str], bytes]) -> Census:
    census = Census("a")
    list_all(census, [node("a", 1), node("b", 2), node("c", 3)], pods)
    return census


def list_all(
    census: Census,
    nodes: Iterable[tuple[str, bytes]],
    pods: Collection[tuple[tuple[str, str], bytes]],
) -> None:
    """As a server's lists tell: there are no others."""
    told = dict(nodes)
    for name, raw in told.items():
        census.put_node(name, raw)
    census.keep_nodes(told.keys())
    for key, raw in pods:
        census.put_pod(key, raw)
    census.keep_pods({key for key, _ in pods})


def workloads(census: Census, home: str = "b") -> dict[tuple[str, str], Workload]:
    return dict(census.others().nodes[home].workloads)


def test_a_pod_elsewhere_is_a_workload_with_all_that_policies_ask_for() -> None:
    assert workloads(a_census(pod()))[KEY] == Workload(
        "shop",
        "web",
        {"app": "web"},
        (ip_address("10.244.2.5"),),
        0,
        (ContainerPort(8080, "http"),),
        service_account="shop",
        node="b",
    )


def test_a_node_is_known_by_its_own_packets_and_its_proxys() -> None:
    others = a_census().others()
    assert others.nodes.keys() == {"b", "c"}
    found = world_node(others.nodes["b"].node)
    assert found.addresses == (ip_address("192.168.96.2"), ip_address("10.244.2.1"))
    assert found.ingress == (ip_address("10.244.2.254"),)


def test_who_has_no_address_of_his_own_is_nobody() -> None:
    nobody = [
        pod("a", ip=""),
        pod("b", home=""),
        pod("c", hostNetwork=True, ip="192.168.96.2"),
        pod("d", status={"phase": "Succeeded"}),
        pod("e", status={"phase": "Failed"}),
    ]
    others = a_census(*nobody).others()
    assert not any(state.workloads for state in others.nodes.values()) and not others.refusals


@pytest.mark.parametrize(
    "port",
    [{"containerPort": -1}, {"containerPort": 65536}, {"containerPort": 80, "hostPort": -1}],
)
def test_a_port_that_is_none_is_refused_with_its_pod(port: dict[str, Any]) -> None:
    """No API server that is sound has one, but another cluster's need not be."""
    others = a_census(pod(containers=[{"ports": [{"name": "http", **port}]}])).others()
    (refusal,) = others.refusals
    assert refusal.ref == ObjectRef("Pod", *KEY) and "ports[" in refusal.reason
    assert not any(state.workloads for state in others.nodes.values())
    good = {"containerPort": 65535, "hostPort": 0}
    assert workloads(a_census(pod(containers=[{"ports": [good]}])))


@pytest.mark.parametrize("weight", ["-1", "65536", "9" * 5000, "٣"])
def test_a_weight_that_is_none_takes_no_other_pod_along(weight: str) -> None:
    odd = pod(metadata={"annotations": {"tulle.io/weight": weight}})
    others = a_census(odd, pod("other", ip="10.244.2.6")).others()
    (refusal,) = others.refusals
    assert refusal.ref == ObjectRef("Pod", *KEY) and "whole number from 0 to" in refusal.reason
    assert others.nodes["b"].workloads.keys() == {("shop", "other")}


def test_an_address_that_is_not_its_nodes_is_refused_by_name() -> None:
    others = a_census(pod(ip="10.244.3.9"), pod("other")).others()
    (refusal,) = others.refusals
    assert refusal.ref == ObjectRef("Pod", *KEY) and "podCIDRs" in refusal.reason
    assert others.nodes["b"].workloads.keys() == {("shop", "other")}


def test_of_two_with_one_address_the_one_that_stays_has_it_and_then_the_younger() -> None:
    going = {"deletionTimestamp": "2026-05-01T10:00:00Z"}
    census = a_census(pod("old", created="1"), pod("new", created="2"))
    assert workloads(census).keys() == {("shop", "new")}
    census.put_pod(*pod("new", created="2", metadata=going))
    assert workloads(census).keys() == {("shop", "old")}
    census.drop_pod(("shop", "old"))
    assert workloads(census).keys() == {("shop", "new")}


def test_what_does_not_change_is_the_same_object() -> None:
    census = a_census(pod(), pod("far", home="c", ip="10.244.3.5"))
    before = census.others()
    assert census.others() is before
    probe = {"conditions": [{"type": "Ready", "status": "True"}, {"type": "X", "status": "Y"}]}
    assert not census.put_pod(*pod(status=probe))
    assert not census.put_node(*node("b", 2, resourceVersion="99"))
    assert census.put_pod(*pod("more", ip="10.244.2.6"))
    now = census.others()
    assert now.nodes["c"] is before.nodes["c"]
    assert now.nodes["b"].workloads[KEY] is before.nodes["b"].workloads[KEY]


def test_a_bad_node_is_as_it_was_and_is_told() -> None:
    census = a_census(pod())
    before = workloads(census)
    assert census.put_node("b", said("b", "", spec={"podCIDRs": ["nonsense"]}))
    (refusal,) = census.others().refusals
    assert refusal.ref == ObjectRef("Node", "", "b") and "holds" in refusal.reason
    assert workloads(census) == before
    assert census.put_node(*node("b", 2)) and not census.others().refusals


def test_pods_of_a_node_that_goes_and_comes_again_are_there_again() -> None:
    census = a_census(pod())
    assert census.drop_node("b") and "b" not in census.others().nodes
    assert not census.drop_node("b")
    census.put_node(*node("b", 2))
    assert workloads(census).keys() == {KEY}


def test_a_pod_that_cannot_be_read_is_cut_off_and_told_until_it_can() -> None:
    census = a_census(pod())
    assert census.put_pod(KEY, json.dumps({"metadata": {"name": 7}}).encode())
    others = census.others()
    assert not others.nodes["b"].workloads and others.refusals[0].ref == ObjectRef("Pod", *KEY)
    assert census.put_pod(*pod()) and not census.others().refusals


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["put", "drop", "node", "no-node"]),
        st.sampled_from(["p", "q"]),
        st.sampled_from(["b", "c"]),
        st.integers(2, 3),
    ),
    max_size=25,
)


@settings(deadline=None)
@given(EVENTS)
def test_after_lists_it_is_as_if_nothing_had_come_before(
    events: list[tuple[str, str, str, int]],
) -> None:
    census = Census("a")
    for event, name, home, number in events:
        match event:
            case "put":
                census.put_pod(*pod(name, home, f"10.244.{number}.7"))
            case "drop":
                census.drop_pod(("shop", name))
            case "node":
                census.put_node(*node(home, number))
            case "no-node":
                census.drop_node(home)
        census.others()
    fresh = Census("a")
    for each in (census, fresh):
        list_all(each, [node("b", 2)], [pod("p"), pod("z", "c", "10.244.3.7")])
    assert census.others() == fresh.others()
