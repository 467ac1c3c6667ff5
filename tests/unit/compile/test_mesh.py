"""What an image says of a mesh of several nodes, and who is refused."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from tests.unit.compile.evaluate import evaluate, verdict_of
from tests.unit.compile.objects import endpoint, ipcache, workload, world_of
from tulle import abi
from tulle.abi import (
    BandwidthKey,
    Direction,
    EndpointFlag,
    Identity,
    IpcacheEntry,
    IpcacheFlag,
    IpcacheKey,
    Vni,
)
from tulle.compile import Compiled, Ids, compile_world
from tulle.compile.capacity import LIMITS
from tulle.compile.explain import explain
from tulle.compile.parts import flat, packed, unpacked
from tulle.model.bandwidth import Bandwidth, Limit
from tulle.model.verdict import Flow
from tulle.model.world import Key, Node, Settings, Workload, World

HERE = Node("a", (ip_address("192.0.2.1"),), pod_cidrs=(ip_network("10.0.0.0/24"),))
THERE = Node(
    "b",
    (ip_address("192.0.2.2"), ip_address("10.0.1.254")),
    pod_cidrs=(ip_network("10.0.1.0/24"),),
    underlay=ip_address("192.0.2.2"),
)
WEB = workload("web-1", app="web")
AWAY = replace(workload("db-2", "10.0.1.2", app="db"), ifindex=0, node="b")


def mesh(*away: Workload, text: str = "", there: Node = THERE) -> World:
    remote: dict[Key, Workload] = {item.key: item for item in away or (AWAY,)}
    world = world_of(WEB, text=text, node=HERE)
    return replace(world, nodes={there.name: there}, remote={there.name: remote})


def compiled(world: World, **limits: int) -> Compiled:
    return compile_world(world, Ids(), {**LIMITS, **limits})


def refusals(world: World, **limits: int) -> list[str]:
    return [f"{item.ref}: {item.reason}" for item in compiled(world, **limits).refusals]


def nodes_of(result: Compiled) -> dict[str, str]:
    """Prefix of the ipcache → whose pod range it is."""
    found = {}
    for key, value in flat(result.image)["ipcache"].items():
        length, address = IpcacheKey.unpack(key)
        node = IpcacheEntry.unpack(value).node
        found[f"{unpacked(address)}/{length - 96}"] = str(unpacked(node)) if any(node) else ""
    return found


# --- endpoints -----------------------------------------------------------------------------------


def test_a_limit_is_the_interface_s_and_bursts_as_long_as_suits_its_rate() -> None:
    limits = Bandwidth(Limit(8000, 800), Limit(10**6))
    maps = flat(compile_world(world_of(replace(workload("web-7"), bandwidth=limits)), Ids()).image)
    rows = {
        BandwidthKey.unpack(key): abi.Bandwidth.unpack(row)
        for key, row in maps["bandwidth"].items()
    }
    assert rows == {
        (7, Direction.INGRESS): (8000, 100_000_000),
        (7, Direction.EGRESS): (10**6, 250_000_000),
    }


def test_every_address_of_the_mesh_is_an_endpoint() -> None:
    maps = flat(compiled(mesh()).image)
    flags = {
        str(unpacked(key)): endpoint(maps, str(unpacked(key))).flags for key in maps["endpoints"]
    }
    assert flags == {
        "10.0.0.1": EndpointFlag.WORKLOAD,
        "192.0.2.1": EndpointFlag.HOST,
        "10.0.1.2": EndpointFlag.REMOTE,
        "192.0.2.2": EndpointFlag.NODE,
        "10.0.1.254": EndpointFlag.NODE,
    }


def test_an_endpoint_elsewhere_is_reached_at_its_node() -> None:
    maps = flat(compiled(mesh()).image)
    for address in ("10.0.1.2", "192.0.2.2"):
        assert endpoint(maps, address).node == packed(ip_address("192.0.2.2"))
    assert endpoint(maps, "10.0.0.1").node == endpoint(maps, "192.0.2.1").node == bytes(16)


def test_a_node_without_an_underlay_is_reached_nowhere() -> None:
    maps = flat(compiled(mesh(there=replace(THERE, underlay=None))).image)
    assert endpoint(maps, "10.0.1.2").node == bytes(16)


def test_both_ends_of_the_overlay_know_a_workload_by_the_same_number() -> None:
    policy = """
kind: NetworkPolicy
metadata: {name: p}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: db}}}]}]}
"""
    there = replace(world_of(AWAY, node=THERE), nodes={"a": HERE})  # knows no policy
    own = endpoint(flat(compiled(there).image), "10.0.1.2")
    seen = endpoint(flat(compiled(mesh(text=policy)).image), "10.0.1.2")
    assert own.vni == seen.vni >= Vni.FIRST
    assert endpoint(flat(compiled(mesh()).image), "192.0.2.1").vni == Vni.HOST


# --- what is no endpoint -------------------------------------------------------------------------


def test_other_nodes_pod_ranges_are_unmanaged() -> None:
    result = compiled(mesh())
    assert ipcache(flat(result.image)) == {"10.0.1.0/24": Identity.UNMANAGED}
    assert nodes_of(result) == {"10.0.1.0/24": "192.0.2.2"}


def test_a_block_inside_of_a_pod_range_still_leads_to_its_node() -> None:
    policy = """
kind: NetworkPolicy
metadata: {name: p}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.1.128/25}}]}]}
"""
    result = compiled(mesh(text=policy))
    assert nodes_of(result) == {"10.0.1.0/24": "192.0.2.2", "10.0.1.128/25": "192.0.2.2"}
    inside = ipcache(flat(result.image))["10.0.1.128/25"]
    assert result.identities[inside] == "reserved:unmanaged;cidr:10.0.1.128/25"


def test_no_masquerade_holds_for_prefixes_inside_of_the_range() -> None:
    policy = """
kind: NetworkPolicy
metadata: {name: p}
spec: {podSelector: {}, egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}
"""
    settings = Settings(no_masquerade=(ip_network("203.0.0.0/16"),))
    result = compiled(replace(mesh(text=policy), settings=settings))
    flags = {
        unpacked(IpcacheKey.unpack(key).addr): IpcacheEntry.unpack(value).flags
        for key, value in flat(result.image)["ipcache"].items()
    }
    assert flags == {
        ip_address("10.0.1.0"): 0,
        ip_address("203.0.0.0"): IpcacheFlag.NO_MASQUERADE,
        ip_address("203.0.113.0"): IpcacheFlag.NO_MASQUERADE,
    }


def test_a_service_s_own_address_is_not_the_block_s_that_names_it() -> None:
    text = """
kind: Service
metadata: {name: s}
spec: {clusterIP: 203.0.113.9, ports: [{port: 80}]}
---
kind: NetworkPolicy
metadata: {name: p}
spec: {podSelector: {}, egress: [{to: [{ipBlock: {cidr: 203.0.113.9/32}}]}]}
"""
    found = ipcache(flat(compiled(mesh(text=text)).image))
    assert found["203.0.113.9/32"] == Identity.SERVICE


# --- who is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (
            "10.0.2.1",
            "address 10.0.2.1 is outside of the pod ranges of node b: no policy knows who it is",
        ),
        (
            "10.0.0.1",
            "address 10.0.0.1 is outside of the pod ranges of node b: no policy knows who it is",
        ),
        ("10.0.1.254", "address 10.0.1.254 belongs to node b: no policy knows who it is"),
        ("10.0.1.2", "address 10.0.1.2 belongs to Pod shop/db-2: no policy knows who it is"),
    ],
)
def test_an_address_that_a_pod_elsewhere_may_not_have(address: str, reason: str) -> None:
    other = replace(workload("other-9", address), ifindex=0, node="b")
    assert refusals(mesh(AWAY, other)) == [f"Pod shop/other-9: {reason}"]


def test_of_two_workloads_here_the_later_one_is_cut_off() -> None:
    twin = workload("aaa-7", "10.0.0.1")
    world = replace(mesh(), workloads={item.key: item for item in (twin, WEB)})
    assert refusals(world) == [
        "Pod shop/aaa-7: address 10.0.0.1 belongs to Pod shop/web-1: it is cut off"
    ]
    assert endpoint(flat(compiled(world).image), "10.0.0.1").ifindex == WEB.ifindex


def test_pods_of_an_unknown_node_are_cut_off() -> None:
    world = replace(mesh(), nodes={})
    assert refusals(world) == [
        "Pod shop/db-2: address 10.0.1.2 is outside of the pod ranges of node b: "
        "no policy knows who it is"
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pod_cidrs": (ip_network("10.0.0.128/25"),)}, "pod range 10.0.0.128/25 overlaps one of"),
        ({"addresses": (ip_address("192.0.2.1"),)}, "address 192.0.2.1 belongs to"),
        ({"addresses": (ip_address("10.0.0.9"),)}, "address 10.0.0.9 belongs to"),
    ],
)
def test_a_node_may_not_have_what_is_this_node_s(change: dict[str, object], reason: str) -> None:
    there = replace(THERE, **change)  # type: ignore[arg-type]
    assert f"Node b: {reason} this node" in refusals(mesh(there=there))


def test_of_two_other_nodes_the_first_in_order_has_what_both_claim() -> None:
    third = replace(THERE, name="c", addresses=(ip_address("192.0.2.3"),))
    world = replace(mesh(), nodes={"b": THERE, "c": third})
    assert refusals(world) == ["Node c: pod range 10.0.1.0/24 overlaps one of node b"]
    assert nodes_of(compiled(world)) == {"10.0.1.0/24": "192.0.2.2"}


def test_when_endpoints_are_full_those_of_this_node_go_before_others() -> None:
    more = [replace(workload(f"w-{n}", f"10.0.1.{n}"), ifindex=0, node="b") for n in (3, 4, 5)]
    world = mesh(AWAY, *more)
    assert refusals(world, endpoints=6) == [
        f"Pod shop/w-{n}: map endpoints is full (limit 6): no policy knows who it is"
        for n in (4, 5)
    ]
    result = compiled(world, endpoints=6)
    assert len(flat(result.image)["endpoints"]) == 6
    again = compile_world(world, result.ids, result.limits, before=result)
    assert all(again.image[name] is part for name, part in result.image.items())


PROXY_HERE, PROXY_THERE = "10.0.0.250", "10.0.1.250"


def with_proxies(text: str = "") -> World:
    here = replace(HERE, ingress=(ip_address(PROXY_HERE),))
    there = replace(THERE, ingress=(ip_address(PROXY_THERE), ip_address("198.51.100.1")))
    return replace(mesh(text=text, there=there), node=here)


def test_proxies_are_endpoints_of_their_own() -> None:
    maps = flat(compiled(with_proxies()).image)
    here, there = endpoint(maps, PROXY_HERE), endpoint(maps, PROXY_THERE)
    assert here.identity == there.identity == Identity.INGRESS
    assert here.flags == EndpointFlag.HOST | EndpointFlag.INGRESS
    assert there.flags == EndpointFlag.REMOTE | EndpointFlag.INGRESS
    assert here.vni == there.vni == Vni.HOST
    assert unpacked(there.node) == THERE.underlay
    assert packed(ip_address("198.51.100.1")) not in maps["endpoints"]  # in no range of its node's


def test_no_workload_may_have_a_proxys_address() -> None:
    taken = replace(AWAY, addresses=(ip_address(PROXY_THERE),))
    world = with_proxies()
    world = replace(world, remote={"b": {taken.key: taken}})
    assert refusals(world) == [
        f"Pod shop/db-2: address {PROXY_THERE} belongs to node b: no policy knows who it is"
    ]


@pytest.mark.parametrize("source", [PROXY_HERE, PROXY_THERE])
@pytest.mark.parametrize(
    ("peers", "allowed"),
    [
        ("fromEntities: [ingress]", True),
        ("fromEntities: [cluster]", True),
        ("fromEntities: [host, remote-node, world, unmanaged]", False),
        ("fromEndpoints: [{}]", False),
        ("fromEndpoints: [{matchLabels: {'reserved:ingress': ''}}]", True),
    ],
)
def test_policies_know_proxies_as_ingress(source: str, peers: str, allowed: bool) -> None:
    text = f"""
kind: CiliumNetworkPolicy
metadata: {{name: p}}
spec:
  endpointSelector: {{}}
  ingress: [{{{peers}}}]
"""
    world = with_proxies(text)
    flow = Flow(ip_address(source), WEB.addresses[0], "TCP", 80)
    verdict = explain(world, flow)
    assert verdict.allowed is allowed
    result = compiled(world)
    assert verdict_of(result, evaluate(flat(result.image), flow)) == verdict
