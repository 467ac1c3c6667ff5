"""The way of what policy lets through."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
import pytest
import yaml

from tests.unit.compile.explain.town import flow, town
from tulle.abi import Reason
from tulle.compile.explain import exit_address, route
from tulle.model.cilium import CiliumEgressGatewayPolicy
from tulle.model.world import Settings, World


def connected(**settings: Any) -> World:
    """The town with uplinks: west is 192.0.2.30, east 192.0.2.31."""
    world = town()
    west, east = (ip_address(f"192.0.2.{number}") for number in (30, 31))
    return replace(
        world,
        settings=Settings(**settings),
        node=replace(world.node, underlay=west, addresses=(west, *world.node.addresses)),
        nodes={
            "east": replace(
                world.nodes["east"], underlay=east, addresses=(east, ip_address("192.0.2.99"))
            )
        },
    )


def gateway(name: str, spec: str) -> CiliumEgressGatewayPolicy:
    return msgspec.convert(
        {"metadata": {"name": name}, "spec": yaml.safe_load(spec)}, CiliumEgressGatewayPolicy
    )


def leaving(text: str, *policies: CiliumEgressGatewayPolicy) -> str:
    world = replace(connected(), egress_gateways={item.metadata.name: item for item in policies})
    return route(world, flow(text)).words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("shop/web > shop/db", "stays on node west"),
        ("node > shop/db", "stays on node west"),
        ("shop/web > node", "to node west itself"),
        ("shop/web > shop/cache", "by the network's routes to node east"),
        ("node > shop/cache", "by the network's routes to node east"),
        ("shop/web > lost", "in the pod range of node east, where no workload has the address"),
        ("shop/web > service", "to a service's address, which no packet should carry"),
        ("shop/web > internet", "leaves the mesh masqueraded as 192.0.2.30 of node west"),
        ("shop/web > internet 6", "leaves the mesh masqueraded as fd00::fe of node west"),
        ("node > internet", "leaves the mesh with its own address"),
    ],
)
def test_native_routing(text: str, words: str) -> None:
    assert route(connected(), flow(text)).words == words


def test_the_overlay_carries_what_is_from_or_to_workloads() -> None:
    world = connected(routing="vxlan")
    through = "through the overlay to node east"
    assert route(world, flow("shop/web > shop/cache")).words == through
    assert route(world, flow("node > shop/cache")).words == through
    moved = flow("shop/web > shop/cache")
    assert route(world, replace(moved, dst=ip_address("192.0.2.99"))).words == through
    cut_off = replace(world, nodes={"east": replace(world.nodes["east"], underlay=None)})
    assert route(cut_off, moved).words == "by the network's routes to node east"


@pytest.mark.parametrize(
    "settings",
    [{"masquerade": False}, {"no_masquerade": (ip_network("192.0.2.0/24"),)}],
)
def test_what_is_not_masqueraded(settings: dict[str, Any]) -> None:
    found = route(connected(**settings), flow("shop/web > internet"))
    assert found.words == "leaves the mesh with its own address"
    assert found.leaves_as == ip_address("10.0.0.1")


def test_what_a_node_leaves_as() -> None:
    west = connected().node
    ranged = replace(west, pod_cidrs=(ip_network("fd00::/64"),))
    assert exit_address(west, 4) == ip_address("192.0.2.30")
    assert exit_address(west, 6) == ip_address("fd00::fe")
    assert exit_address(ranged, 6) is None
    assert exit_address(replace(west, underlay=None), 4) is None


WEB_BY_EAST = """
selectors: [{podSelector: {matchLabels: {app: web}}, namespaceSelector: {matchLabels: {team: red}}}]
destinationCIDRs: [192.0.2.0/24]
excludedCIDRs: [192.0.2.8/29]
egressGateway: {nodeSelector: {matchLabels: {role: core}}}
"""


def test_an_egress_gateways_pod_selector_may_name_a_namespace() -> None:
    in_shop = "podSelector: {matchLabels: {k8s:io.kubernetes.pod.namespace: shop}}"
    spec = WEB_BY_EAST.replace("podSelector: {matchLabels: {app: web}}", in_shop)
    assert leaving("shop/db > internet", gateway("g", spec)).startswith("leaves by")
    assert not leaving("bank/web > internet", gateway("g", spec)).startswith("leaves by")


def test_an_egress_gateway() -> None:
    policy = gateway("g", WEB_BY_EAST)
    by_east = "leaves by CiliumEgressGatewayPolicy g: as 192.0.2.31 of node east"
    masqueraded = "leaves the mesh masqueraded as 192.0.2.30 of node west"
    assert leaving("shop/web > internet", policy) == by_east
    assert leaving("bank/web > internet", policy) == masqueraded
    assert leaving("shop/db > internet", policy) == masqueraded
    assert leaving("node > internet", policy) == "leaves the mesh with its own address"
    excluded = gateway("g", WEB_BY_EAST.replace("192.0.2.8/29", "192.0.2.0/29"))
    assert leaving("shop/web > internet", excluded) == masqueraded
    later = gateway("h", WEB_BY_EAST.replace("role: core", "role: edge"))
    assert leaving("shop/web > internet", later, policy) == by_east
    assert leaving("shop/web > internet", later, excluded).startswith(
        "leaves by CiliumEgressGatewayPolicy h: as 192.0.2.30"
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("{nodeSelector: {}, egressIP: 192.0.2.99}", "as 192.0.2.99 of node east"),
        ("{nodeSelector: {}, egressIP: 'fd00::fe'}", "as 192.0.2.30 of node west"),
        ("{nodeSelector: {}}", "as 192.0.2.31 of node east"),
        ("{nodeSelector: {}, egressIP: 192.0.2.1}", "has no gateway"),
        ("{nodeSelector: {matchLabels: {role: none}}}", "has no gateway"),
    ],
)
def test_which_node_is_the_gateway(asked: str, words: str) -> None:
    spec = WEB_BY_EAST.replace("{nodeSelector: {matchLabels: {role: core}}}", asked)
    assert words in leaving("shop/web > internet", gateway("g", spec))


def test_without_a_gateway_nothing_leaves() -> None:
    spec = WEB_BY_EAST.replace("role: core", "role: none")
    world = replace(connected(), egress_gateways={"g": gateway("g", spec)})
    found = route(world, flow("shop/web > internet"))
    assert (found.drop, found.leaves_as) == (Reason.NO_GATEWAY, None)
