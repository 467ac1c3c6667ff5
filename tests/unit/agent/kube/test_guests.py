"""Hosts beside a cluster: nodes like others, after all of the cluster's own."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import msgspec
import pytest

from tulle.agent.kube.guests import Guests
from tulle.agent.mesh import mesh
from tulle.agent.nodes import Others, joined
from tulle.agent.published import NodeState, node_object
from tulle.compile.claims import Claims, claims_of
from tulle.edges.manifests.directory import Snapshot
from tulle.model.hosts import (
    MeshNode,
    MeshNodeSpec,
    MeshWorkload,
    MeshWorkloadSpec,
    WorkloadPort,
)
from tulle.model.kinds import KubernetesObject
from tulle.model.kubernetes import NodeObject, ObjectMeta, Service, ServiceSpec
from tulle.model.world import Node, Workload, World


def host(name: str = "db", number: int = 9) -> MeshNode:
    spec = MeshNodeSpec((f"192.0.2.{number}",), (f"10.244.{number}.0/24",))
    return MeshNode(ObjectMeta(name, labels={"topology.kubernetes.io/zone": "z"}), spec)


def runs(name: str = "pg", node: str = "db", ip: str = "10.244.9.2") -> MeshWorkload:
    ports = (WorkloadPort(5432, "sql"),)
    spec = MeshWorkloadSpec(node, (ip,), "keeper", ports)
    return MeshWorkload(ObjectMeta(name, "shop", {"app": name}), spec)


def snapshot(*objects: KubernetesObject) -> Snapshot:
    kinds: dict[str, dict[object, KubernetesObject]] = {}
    for obj in objects:
        meta = obj.metadata
        key = (meta.namespace, meta.name) if meta.namespace else meta.name
        kinds.setdefault(obj.kind, {})[key] = obj
    return Snapshot(kinds, ())  # type: ignore[arg-type]


def others(name: str, number: int, *workloads: str) -> Others:
    cidr = ip_network(f"10.244.{number}.0/24")
    node = Node(name, (ip_address(f"192.0.2.{number}"),), pod_cidrs=(cidr,))
    living = {
        ("shop", key): Workload("shop", key, {}, (cidr[place],), 0, node=name)
        for place, key in enumerate(workloads, 2)
    }
    return Others({name: NodeState(node_object(node, ""), living, {})})


def test_a_host_is_a_node_with_workloads() -> None:
    found = Guests("a").of(snapshot(host(), runs()))
    seen = mesh(Node("a"), {}, joined(Others(), found), {})
    assert seen.nodes["db"].zone == "z"
    assert seen.nodes["db"].ingress, "its proxy is known as others' are"
    workload = seen.remote["db"]["shop", "pg"]
    assert (workload.labels, workload.service_account) == ({"app": "pg"}, "keeper")
    assert workload.ports[0].name == "sql" and workload.node == "db"


def test_what_stays_is_the_same_object() -> None:
    guests, pg = Guests("a"), runs()
    before = guests.of(snapshot(host(), runs("x", "e", "10.244.8.2"), host("e", 8), pg))
    after = guests.of(snapshot(host(), host("e", 8), pg))
    assert after.nodes["db"] == before.nodes["db"]
    assert after.nodes["db"].workloads is before.nodes["db"].workloads
    assert not after.nodes["e"].workloads
    same = snapshot(host(), pg)
    assert guests.of(same) is guests.of(replace(same, refusals=()))


def test_it_speaks_for_its_own_ranges_only() -> None:
    found = Guests("a").of(snapshot(host(), runs(ip="10.244.1.2"), runs("lost", "nowhere")))
    assert not found.nodes["db"].workloads
    reasons = {str(item.ref): item.reason for item in found.refusals}
    assert "is not in the podCIDRs of MeshNode db" in reasons["MeshWorkload shop/pg"]
    assert "there is no MeshNode 'nowhere'" in reasons["MeshWorkload shop/lost"]


@pytest.mark.parametrize("name", ["0", "z"])
def test_nothing_is_taken_from_the_clusters_own(name: str) -> None:
    """Whatever a host is called: neither a range, nor a workload's name, nor a node's."""
    own = others("b", 2, "pg")
    thief = Guests("a").of(snapshot(host(name, 2), runs(node=name, ip="10.244.2.2")))
    assert mesh(Node("a"), {}, joined(own, thief), {}).nodes.keys() == {"b"}
    twin = joined(own, Guests("a").of(snapshot(host(name, 9), runs(node=name))))
    seen = mesh(Node("a"), {}, twin, {})
    assert (list(seen.remote["b"]), list(seen.remote[name])) == ([("shop", "pg")], [])
    spec = MeshNodeSpec(("192.0.2.2", "10.244.2.5", "192.0.2.9"), ("10.244.9.0/24",))
    liar = msgspec.structs.replace(host(name), spec=spec)
    seen = mesh(Node("a"), {}, joined(own, Guests("a").of(snapshot(liar))), {})
    claims = claims_of(World(node=seen.node, nodes=seen.nodes), Claims())
    assert claims.of["b"].addresses == (ip_address("192.0.2.2"),) and claims.of["b"].ranges
    assert ip_address("192.0.2.9") in claims.of[name].addresses and len(claims.refusals) == 2
    named = joined(own, Guests("a").of(snapshot(host("b", 9), runs(node="b"))))
    assert named.nodes["b"] is own.nodes["b"] and not named.guests
    assert "another node of the mesh has the name" in named.refusals[0].reason


def test_an_address_is_theirs_who_told_of_it_first() -> None:
    pg, thief = runs(), runs("evil")
    pg, thief = (
        msgspec.structs.replace(
            item, metadata=msgspec.structs.replace(item.metadata, creation_timestamp=since)
        )
        for item, since in ((pg, "2026-01-01T00:00:00Z"), (thief, "2026-01-02T00:00:00Z"))
    )
    found = Guests("a").of(snapshot(host(), thief, pg))
    assert found.nodes["db"].workloads.keys() == {("shop", "pg")}
    (refusal,) = found.refusals
    assert str(refusal.ref) == "MeshWorkload shop/evil" and "is that of shop/pg" in refusal.reason


def with_ranges(*ranges: str) -> MeshNode:
    return msgspec.structs.replace(host("bad"), spec=MeshNodeSpec(("192.0.2.8",), ranges))


@pytest.mark.parametrize("cidr", ["10.9.0.0/32", "fd00::/128", "0.0.0.0/1", "127.0.0.0/8", "::/1"])
def test_a_host_with_a_range_that_is_none_takes_no_other_along(cidr: str) -> None:
    found = Guests("a").of(snapshot(with_ranges(cidr), host(), runs(), runs("x", "bad", "::2")))
    assert found.nodes.keys() == {"db"} and found.nodes["db"].workloads
    assert {str(item.ref) for item in found.refusals} == {"MeshNode bad"}


@pytest.mark.parametrize("cidr", ["10.0.2.0/24", "10.0.2.1/31", "10.244.2.0/24", "10.96.0.0/16"])
def test_a_hosts_range_has_no_address_of_a_node_or_a_service(cidr: str) -> None:
    own = Node("a", (ip_address("10.0.2.1"),), service_cidrs=(ip_network("10.96.0.0/16"),))
    ranges = str(ip_network(cidr, strict=False))
    told = joined(others("b", 2), Guests("a").of(snapshot(with_ranges(ranges), host())))
    seen = mesh(own, {}, told, {})
    assert seen.nodes.keys() == {"b", "db"}
    assert [str(item.ref) for item in seen.refusals] == ["Node bad"]


def test_the_host_sees_that_too() -> None:
    mine = snapshot(host("0", 9), runs(node="0"))
    told = joined(others("b", 2, "pg"), Guests("0").of(mine))
    living = {("shop", "pg"): Workload("shop", "pg", {}, (ip_address("10.244.9.2"),), 7)}
    assert told.guests == {"0"} and told.nodes.keys() == {"b"}
    assert not mesh(Node("0"), living, told, {}).workloads
    node = NodeObject(ObjectMeta("0"))
    assert not Guests("0").of(snapshot(host("0", 9), node)).guests, "a Node is no guest"


@pytest.mark.parametrize("cidr", ["8.8.8.0/24", "8.0.0.0/6", "2001:db8::/64"])
def test_only_private_ranges_are_a_hosts(cidr: str) -> None:
    node = msgspec.structs.replace(host(), spec=MeshNodeSpec(("192.0.2.9",), (cidr,)))
    found = Guests("a").of(snapshot(node, host("e", 8)))
    assert set(found.nodes) == {"e"}
    (refusal,) = found.refusals
    assert "podCIDRs[0]: is no private range" in refusal.reason


def test_a_range_with_a_services_address_is_no_hosts() -> None:
    service = Service(ObjectMeta("web", "shop"), ServiceSpec(cluster_ip="10.244.9.77"))
    guests = Guests("a")
    assert set(guests.of(snapshot(host())).nodes) == {"db"}
    found = guests.of(snapshot(host(), service))
    assert not found.nodes
    (refusal,) = found.refusals
    assert refusal.ref.kind == "MeshNode" and "Service shop/web" in refusal.reason
