"""Peers have one number as long as no policy tells them apart."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from tests.unit.compile.objects import workload, world_of
from tulle.compile import Ids, compile_world
from tulle.compile.identities import WORLD, Distinctions, Peer, labels_of, port_table, vni_of
from tulle.compile.policies import PolicyIndex
from tulle.compile.translate import policies_of
from tulle.model.kubernetes import ContainerPort, Namespace, ObjectMeta
from tulle.model.world import Node, World

WEB = workload("web-1", app="web", tier="front")
API = workload("api-2", app="api", tier="front")


def policy(rule: str, name: str = "p") -> str:
    return f"""
---
kind: NetworkPolicy
metadata: {{name: {name}}}
spec: {{podSelector: {{matchLabels: {{chosen: "yes"}}}}, {rule}}}
"""


def ingress(peer: str) -> str:
    return policy(f"ingress: [{{from: [{peer}]}}]")


def seen(world: World) -> Distinctions:
    return PolicyIndex(policies_of(world).policies).distinctions


def names(world: World) -> dict[str, str]:
    """Each workload address's identity, by name."""
    looks = seen(world)
    return {
        str(address): looks.workload(looks.chosen(labels_of(world, item)), item.ports, address).name
        for item in world.workloads.values()
        for address in item.addresses
    }


def test_without_policies_a_namespace_is_one_identity() -> None:
    other = workload("web-3", namespace="other", app="web")
    assert names(world_of(WEB, API, other)) == {
        "10.0.0.1": "k8s:io.kubernetes.pod.namespace=shop",
        "10.0.0.2": "k8s:io.kubernetes.pod.namespace=shop",
        "10.0.0.3": "k8s:io.kubernetes.pod.namespace=other",
    }


@pytest.mark.parametrize(
    ("peer", "apart"),
    [
        ("{podSelector: {matchLabels: {app: web}}}", True),
        ("{podSelector: {matchExpressions: [{key: app, operator: Exists}]}}", True),
        ("{podSelector: {matchLabels: {tier: front}}}", False),
        ("{podSelector: {}}", False),
        ("{namespaceSelector: {matchLabels: {team: red}}}", False),
        ("{ipBlock: {cidr: 10.0.0.1/32}}", True),
        ("{ipBlock: {cidr: 10.0.0.0/24}}", False),
        ("{ipBlock: {cidr: 10.0.0.0/24, except: [10.0.0.2/32]}}", True),
    ],
)
def test_two_workloads_differ_only_in_what_a_peer_names(peer: str, apart: bool) -> None:
    assert len(set(names(world_of(WEB, API, text=ingress(peer))).values())) == 1 + apart


def test_whom_a_policy_selects_makes_no_identity() -> None:
    text = policy("ingress: []").replace("chosen", "app")
    assert len(set(names(world_of(WEB, API, text=text)).values())) == 1


@pytest.mark.parametrize(
    ("rule", "apart"),
    [
        ("egress: [{ports: [{port: pg}]}]", True),
        ("egress: [{ports: [{port: 9000}]}]", False),
        ("egress: [{ports: [{port: other}]}]", False),
        ("ingress: [{ports: [{port: pg}]}]", False),  # there it is the selected one's own port
    ],
)
def test_named_ports_tell_destinations_apart(rule: str, apart: bool) -> None:
    other = replace(API, ports=(ContainerPort(9000, "pg"),))
    assert len(set(names(world_of(WEB, other, text=policy(rule))).values())) == 1 + apart


def test_labels_of_a_namespace_are_part_of_an_identity_that_looks_at_them() -> None:
    text = ingress("{namespaceSelector: {matchLabels: {team: red}}}")
    red = Namespace(ObjectMeta("shop", labels={"team": "red", "env": "prod"}))
    world = replace(world_of(WEB, text=text), namespaces={"shop": red})
    assert names(world)["10.0.0.1"] == (
        "k8s:io.cilium.k8s.namespace.labels.team=red;k8s:io.kubernetes.pod.namespace=shop"
    )


def test_the_families_of_a_workload_may_differ() -> None:
    dual = workload("web-1", "10.0.0.1", "fd00::1")
    found = names(world_of(dual, text=ingress("{ipBlock: {cidr: 'fd00::/64'}}")))
    assert found["fd00::1"] == found["10.0.0.1"] + ";cidr:fd00::/64"


def test_the_number_follows_the_policies_and_not_the_pods() -> None:
    pods = [workload(f"w-{n}", app=("web", "api")[n % 2], pod=str(n)) for n in range(1, 100)]
    text = ingress("{podSelector: {matchLabels: {app: web}}}")
    compiled = compile_world(world_of(*pods, text=text), Ids())
    assert len([number for number in compiled.identities if number >= 256]) == 2


def test_what_is_outside_is_known_by_its_blocks() -> None:
    looks = seen(world_of(text=ingress("{ipBlock: {cidr: '::/0'}}")))
    assert looks.network(ip_network("0.0.0.0/0"), managed=False) == Peer(WORLD)
    assert looks.network(ip_network("2001:db8::/64"), managed=False).name == "cidr:::/0"


def test_a_pod_range_is_its_own_kind_of_peer() -> None:
    text = ingress("{ipBlock: {cidr: 10.0.0.0/8}}")
    found = seen(world_of(text=text)).network(ip_network("10.244.1.0/24"), managed=True)
    assert found.name == "reserved:unmanaged;cidr:10.0.0.0/8"
    assert seen(world_of()).network(ip_network("10.244.1.0/24"), managed=True).reserved


def test_nodes_differ_in_the_labels_that_policies_name() -> None:
    text = """
kind: CiliumClusterwideNetworkPolicy
metadata: {name: n}
spec: {endpointSelector: {}, ingress: [{fromNodes: [{matchLabels: {disk: ssd}}]}]}
"""
    node = Node("b", (ip_address("192.0.2.2"),), labels={"disk": "ssd", "zone": "x"})
    found = seen(world_of(text=text)).node(node.labels, node.addresses[0])
    assert found.name == "reserved:remote-node;node:disk=ssd"
    assert found.reserved is None
    assert seen(world_of()).node(node.labels, node.addresses[0]).name == "reserved:remote-node"


def test_a_vni_is_of_all_labels_whatever_policies_look_at() -> None:
    of_web, of_api = (vni_of(labels_of(World(), item)) for item in (WEB, API))
    assert of_web != of_api
    assert of_web == vni_of(dict(reversed(labels_of(World(), WEB).items())))
    assert all(16 <= number < 1 << 24 for number in (of_web, of_api))


def test_the_first_of_two_ports_with_one_name_counts() -> None:
    ports = (
        ContainerPort(1, "a"),
        ContainerPort(2, "a"),
        ContainerPort(3, "a", "UDP"),
        ContainerPort(4),
    )
    assert port_table(ports) == (("a", "TCP", 1), ("a", "UDP", 3))
