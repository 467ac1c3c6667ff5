"""Peers have one number as long as no policy tells them apart."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from tests.unit.compile.objects import workload, world_of
from tulle.compile import Ids, compile_world
from tulle.compile.identities import Block, Distinctions, port_table
from tulle.model.kubernetes import ContainerPort, IPBlock, Namespace, ObjectMeta
from tulle.model.world import World

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


def names(world: World) -> dict[str, str]:
    """Each workload address's identity, by name."""
    seen = Distinctions(world.policies.values())
    return {
        str(address): seen.workload(world, item, address).name
        for item in world.workloads.values()
        for address in item.addresses
    }


def networks(*blocks: str) -> set[str]:
    rules = ", ".join(f"{{ipBlock: {block}}}" for block in blocks)
    found = Distinctions(world_of(text=ingress(rules)).policies.values()).networks()
    return {str(network) for network in found}


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
        "k8s:io.kubernetes.pod.namespace=shop;k8s:io.cilium.k8s.namespace.labels.team=red"
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


# --- blocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "inside"),
    [
        ("192.0.2.0/24", True),
        ("192.0.2.7/32", True),
        ("192.0.2.128/25", False),
        ("192.0.2.200/32", False),
        ("192.0.0.0/16", False),
        ("::/0", False),
        ("::ffff:192.0.2.7/128", False),
    ],
)
def test_a_block_contains_what_lies_in_it_and_in_no_exception(network: str, inside: bool) -> None:
    block = Block.of(IPBlock("192.0.2.0/24", ("192.0.2.128/25",)))
    assert block.contains(ip_network(network)) is inside


def test_blocks_are_the_same_however_they_are_written() -> None:
    one = Block.of(IPBlock("192.0.2.9/24", ("192.0.2.128/25", "192.0.2.0/30")))
    two = Block.of(IPBlock("192.0.2.0/24", ("192.0.2.1/30", "192.0.2.128/25")))
    assert one == two and str(one) == "192.0.2.0/24 except 192.0.2.0/30,192.0.2.128/25"


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ((), set()),
        (
            ("{cidr: 192.0.2.0/24, except: [192.0.2.128/25]}",),
            {"192.0.2.0/24", "192.0.2.128/25"},
        ),
        (("{cidr: 0.0.0.0/0}", "{cidr: 0.0.0.0/0}"), {"0.0.0.0/0"}),
        # an IPv6 block around the mapped addresses must not reach into IPv4
        (("{cidr: '::/0'}",), {"::/0", "0.0.0.0/0"}),
        (("{cidr: '::ffff:0:0/96'}",), {"0.0.0.0/0"}),
        (("{cidr: '::ffff:10.0.0.0/104'}",), set()),
    ],
)
def test_prefixes_are_those_where_membership_changes(
    blocks: tuple[str, ...], expected: set[str]
) -> None:
    assert networks(*blocks) == expected


def test_an_ipv6_block_around_everything_leaves_ipv4_in_no_block() -> None:
    seen = Distinctions(world_of(text=ingress("{ipBlock: {cidr: '::/0'}}")).policies.values())
    assert seen.network(ip_network("0.0.0.0/0")).blocks == ()
    assert seen.network(ip_network(ip_address("2001:db8::1"))).name == "cidr:::/0"


def test_the_first_of_two_ports_with_one_name_counts() -> None:
    ports = (
        ContainerPort(1, "a"),
        ContainerPort(2, "a"),
        ContainerPort(3, "a", "UDP"),
        ContainerPort(4),
    )
    assert port_table(replace(WEB, ports=ports)) == (("a", "TCP", 1), ("a", "UDP", 3))
