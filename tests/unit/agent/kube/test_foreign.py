"""What another cluster says, under names that nothing of this one can have."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import msgspec
import pytest

from tests.unit.agent.kube.test_census import a_census, pod
from tulle.agent.kube.backing import slices_of
from tulle.agent.kube.foreign import Abroad, disjoint, shared_by_both
from tulle.agent.mesh import mesh
from tulle.agent.nodes import Others
from tulle.compile import Ids, compile_world
from tulle.compile.identities import labels_of, vni_of
from tulle.edges.manifests.directory import Snapshot
from tulle.model.kubernetes import (
    Endpoint,
    EndpointSlice,
    Namespace,
    ObjectMeta,
    Service,
    ServiceSpec,
)
from tulle.model.world import Node, Settings, Workload, World

GLOBAL = {"tulle.io/global": "true"}
CILIUM = {"service.cilium.io/global": "true"}
PRIVATE = {**CILIUM, "service.cilium.io/shared": "false"}


def a_service(name: str = "web", address: str = "10.96.0.9", **annotations: str) -> Service:
    meta = ObjectMeta(name, "shop", annotations=annotations)
    return Service(meta, ServiceSpec(cluster_ip=address, cluster_ips=(address,)))


def a_slice(name: str = "web-1", of: str = "web", node: str = "b") -> EndpointSlice:
    meta = ObjectMeta(name, "shop", {"kubernetes.io/service-name": of})
    return EndpointSlice(meta, "IPv4", (Endpoint(("10.244.2.5",), node_name=node),))


def said(annotations: dict[str, str], *slices: EndpointSlice) -> Snapshot:
    of_service = {("shop", "web"): a_service(**annotations)}
    of_slice = {("shop", item.metadata.name): item for item in slices}
    return Snapshot({"Service": of_service, "EndpointSlice": of_slice}, ())


def test_nodes_and_workloads_bear_their_clusters_name() -> None:
    found = Abroad("west").others(a_census(pod()).others())
    assert found.nodes.keys() == {"west/b", "west/c"}
    state = found.nodes["west/b"]
    assert state.node.metadata.name == "west/b"
    ((key, workload),) = state.workloads.items()
    assert key == workload.key == ("shop", "west/web")
    assert (workload.node, workload.cluster) == ("west/b", "west")


def test_what_stays_is_the_same_object() -> None:
    census, abroad = a_census(pod()), Abroad("west")
    before = abroad.others(census.others())
    assert abroad.others(census.others()) is before
    census.put_pod(*pod("more", ip="10.244.2.6"))
    after = abroad.others(census.others())
    assert after.nodes["west/c"] is before.nodes["west/c"]
    key = ("shop", "west/web")
    assert after.nodes["west/b"].workloads[key] is before.nodes["west/b"].workloads[key]
    assert len(after.nodes["west/b"].workloads) == 2


@pytest.mark.parametrize(
    ("ours", "theirs", "shared"),
    [
        (GLOBAL, GLOBAL, True),
        (GLOBAL, CILIUM, True),
        (PRIVATE, GLOBAL, True),
        (GLOBAL, PRIVATE, False),
        (GLOBAL, {}, False),
        ({}, GLOBAL, False),
        (GLOBAL, {"tulle.io/global": "false"}, False),
    ],
)
def test_a_service_is_shared_by_both_sides(
    ours: dict[str, str], theirs: dict[str, str], shared: bool
) -> None:
    own = {("shop", "web"): a_service(**ours)}
    snapshot = said(theirs, a_slice(), a_slice("x-1", "x"))
    found = Abroad("west").slices(shared_by_both(own, snapshot), snapshot)
    assert bool(found) == shared
    if shared:
        ((key, item),) = found.items()
        assert key == ("shop", "west/web-1") == (item.metadata.namespace, item.metadata.name)
        assert item.metadata.labels["multicluster.kubernetes.io/source-cluster"] == "west"
        assert item.endpoints[0].node_name == "west/b", "one of ours may be called b"


def test_slices_that_stay_are_the_same_objects() -> None:
    abroad, one, own = Abroad("west"), a_slice(), {("shop", "web")}
    before = abroad.slices(own, said(GLOBAL, one))
    after = abroad.slices(own, said(GLOBAL, one, a_slice("web-2")))
    assert after["shop", "west/web-1"] is before["shop", "west/web-1"] and len(after) == 2


def test_what_runs_on_hosts_beside_the_other_cluster_is_not_known_here() -> None:
    """Nor would whoever writes slices here take it for slices of its own."""
    service = a_service(**GLOBAL)
    runs = Workload("shop", "h", {"app": "web"}, (ip_address("10.9.0.2"),), 0, node="h")
    spec = msgspec.structs.replace(service.spec, selector={"app": "web"})
    selecting = msgspec.structs.replace(service, spec=spec)
    (hosted,) = slices_of({("shop", "web"): selecting}, [runs], {}).values()
    assert not Abroad("west").slices({("shop", "web")}, said(GLOBAL, hosted))


def test_a_range_with_a_service_of_ours_is_refused() -> None:
    found = Abroad("west").others(a_census(pod()).others())
    kept = disjoint(found, {("shop", "web"): a_service(address="10.244.2.77")})
    assert kept.nodes.keys() == {"west/c"}
    (refusal,) = kept.refusals
    assert "10.244.2.0/24 has the address of Service shop/web" in refusal.reason
    assert disjoint(found, {("shop", "web"): a_service()}) is found


OWN = Node("z", (ip_address("192.168.96.9"),), pod_cidrs=(ip_network("10.244.9.0/24"),))


@pytest.mark.parametrize("cidr", ["10.244.9.0/25", "192.168.96.0/24", "10.96.0.0/24"])
def test_ranges_that_are_ours_are_not_another_clusters(cidr: str) -> None:
    """Whatever its nodes are called, ours come first."""
    others = Abroad("a").others(a_census(pod()).others())
    state = others.nodes["a/b"]
    spec = msgspec.structs.replace(state.node.spec, pod_cidr=cidr, pod_cidrs=(cidr,))
    node = msgspec.structs.replace(state.node, spec=spec)
    bent = Others({**others.nodes, "a/b": replace(state, node=node)})
    seen = mesh(OWN, {}, bent, {})
    assert seen.nodes.keys() == {"a/c"} and seen.node == OWN
    assert "overlaps" in seen.refusals[0].reason
    assert seen.nodes["a/c"].cluster == "a"


def test_a_number_is_one_clusters_alone_and_the_same_on_both_sides() -> None:
    """The same pod, the same labels, the same namespace: and never the same identity."""
    spaces = {"shop": Namespace(ObjectMeta("shop", labels={"team": "x"}))}
    theirs = Abroad("west").others(a_census(pod()).others())
    seen = mesh(OWN, {}, theirs, {})
    here = World(
        nodes=seen.nodes,
        remote=seen.remote,
        foreign={"west": spaces},
        settings=Settings(cluster_name="east"),
    )
    west = mesh(OWN, {}, a_census(pod()).others(), {})
    there = World(
        nodes=west.nodes,
        remote=west.remote,
        namespaces=spaces,
        settings=Settings(cluster_name="west"),
    )
    (foreign,) = here.remote["west/b"].values()
    (native,) = there.remote["b"].values()
    assert vni_of(labels_of(here, foreign)) == vni_of(labels_of(there, native))
    east = World(namespaces=spaces, settings=Settings(cluster_name="east"))
    assert vni_of(labels_of(here, foreign)) != vni_of(labels_of(east, native))
    names = set(compile_world(here, Ids()).identities.values())
    assert "k8s:io.cilium.k8s.policy.cluster=west;k8s:io.kubernetes.pod.namespace=shop" in names
    assert "k8s:io.kubernetes.pod.namespace=shop" not in names


def test_a_label_does_not_make_a_pod_another_clusters() -> None:
    key = "io.cilium.k8s.policy.cluster"
    claims = {"app": "web", key: "east"}
    theirs = Abroad("west").others(a_census(pod(metadata={"labels": claims})).others())
    (foreign,) = theirs.nodes["west/b"].workloads.values()
    assert labels_of(World(settings=Settings(cluster_name="east")), foreign)[key] == "west"
