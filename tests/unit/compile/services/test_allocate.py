"""What services are given that they leave open."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import msgspec
import pytest

from tests.unit.compile.objects import world_of
from tests.unit.compile.services.shop import HTTP, Passes, service, town
from tulle.compile.services import Allocated, addresses_of, with_addresses
from tulle.model.kubernetes import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectMeta,
    Service,
    ServiceStatus,
)
from tulle.model.world import Node, Settings, World

SMALL = Node(service_cidrs=(IPv4Network("10.9.0.0/28"), IPv6Network("fd00:9::/124")))
LARGE = Node(service_cidrs=(IPv4Network("10.9.0.0/16"), IPv6Network("fd00:9::/112")))
BOTH = f"ipFamilyPolicy: PreferDualStack, {HTTP}"
FIRST_FREE = {ip_address(f"10.9.0.{n}") for n in range(10, 15)}


def given(world: World) -> tuple[dict[str, Service], list[str]]:
    filled, allocated = with_addresses(world)
    found = {name: item for (_, name), item in filled.services.items()}
    return found, [f"{item.ref}: {item.reason}" for item in allocated.refusals]


def addressed(text: str, node: Node = LARGE) -> tuple[dict[str, list[str]], list[str]]:
    found, refused = given(world_of(text=text, node=node))
    return {name: [str(ip) for ip in addresses_of(item)] for name, item in found.items()}, refused


# --- cluster IPs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "versions"),
    [
        (HTTP, [4]),
        (BOTH, [4, 6]),
        (f"ipFamilies: [IPv6], {HTTP}", [6]),
        (f"ipFamilies: [IPv6, IPv4], {HTTP}", [6, 4]),
        (f"ipFamilyPolicy: SingleStack, {HTTP}", [4]),
        (f"ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6], {HTTP}", [6, 4]),
        (f"clusterIP: None, {HTTP}", []),
    ],
)
def test_a_service_gets_the_families_that_it_asks_for(spec: str, versions: list[int]) -> None:
    found, refused = addressed(service("a", spec))
    assert [ip_address(text).version for text in found["a"]] == versions
    assert all(any(ip_address(text) in net for net in LARGE.service_cidrs) for text in found["a"])
    assert not refused


def test_what_somebody_wrote_stays_and_the_other_family_is_filled_in() -> None:
    found, _ = addressed(service("a", f"clusterIP: 10.9.0.3, {BOTH}"))
    assert found["a"][0] == "10.9.0.3"
    assert ip_address(found["a"][1]) in LARGE.service_cidrs[1]
    assert addressed(service("a", f"clusterIP: 10.9.0.3, {HTTP}"))[0] == {"a": ["10.9.0.3"]}


def test_every_node_comes_to_the_same_address_whenever_it_starts() -> None:
    texts = [service(name, BOTH) for name in ("a", "b", "c")]
    together = addressed("".join(texts))
    assert addressed("".join(reversed(texts))) == together
    alone = {name: addressed(text)[0][name] for name, text in zip("abc", texts, strict=True)}
    assert alone == together[0]  # where none collides, who else there is does not matter


def test_addresses_below_the_tenth_and_the_last_are_for_people() -> None:
    text = "".join(service(name, f"ipFamilies: [IPv4], {HTTP}") for name in "abcdef")
    found, refused = addressed(text, SMALL)
    taken = [ip_address(item) for items in found.values() for item in items]
    assert set(taken) == FIRST_FREE and len(taken) == len(FIRST_FREE)
    assert refused == ["Service shop/f: service range 10.9.0.0/28 is used up"]
    assert found["f"] == []


def test_where_two_collide_the_first_by_name_has_the_place() -> None:
    """In a range of five each name points somewhere; with five services all of it is taken."""
    one = {name: addressed(service(name), SMALL)[0][name][0] for name in "abcdefghij"}
    first, second = next((x, y) for x in one for y in one if x < y and one[x] == one[y])
    found, refused = addressed(service(second) + service(first), SMALL)
    assert not refused
    assert found[first] == [one[first]]
    assert found[second] != found[first]
    assert addressed(service(second), SMALL)[0][second] == [one[second]]  # alone again


def test_an_address_that_somebody_wrote_is_given_to_nobody_else() -> None:
    place = addressed(service("a"))[0]["a"][0]
    for spec in (
        f"clusterIP: {place}, {HTTP}",
        f"externalIPs: [{place}], clusterIP: 10.9.0.3, {HTTP}",
    ):
        found, _ = addressed(service("a") + service("z", spec))
        assert found["a"] != [place]


@pytest.mark.parametrize("spec", ["ipFamilies: [IPv6]", "ipFamilyPolicy: RequireDualStack"])
def test_a_family_that_the_node_has_not_is_refused(spec: str) -> None:
    node = Node(service_cidrs=(ip_network("10.9.0.0/28"),))
    _, refused = addressed(service("a", f"{spec}, {HTTP}"), node)
    assert refused == ["Service shop/a: the node has no IPv6 service range"]


def test_of_two_ranges_of_one_family_the_first_counts() -> None:
    node = Node(service_cidrs=(ip_network("10.9.0.0/28"), ip_network("10.7.0.0/28")))
    found, _ = addressed(service("a"), node)
    assert ip_address(found["a"][0]) in FIRST_FREE


def test_ten_thousand_services_differ_in_their_addresses() -> None:
    spec = world_of(text=service("s", BOTH)).services["shop", "s"].spec
    names = [f"s{n}" for n in range(10_000)]
    many = {("shop", name): Service(ObjectMeta(name, "shop"), spec) for name in names}
    world, allocated = with_addresses(replace(world_of(node=LARGE), services=many))
    found = [ip for item in world.services.values() for ip in addresses_of(item)]
    assert len(found) == len(set(found)) == 20_000
    assert not allocated.refusals


def test_an_import_has_no_address_of_a_service_or_gateway() -> None:
    place = addressed(service("a"))[0]["a"][0]  # as a Gateway without a pool has it: given by name
    name = "clusterset/web"
    for spec, by in (
        (HTTP, "a"),
        (f"clusterIP: {place}, {HTTP}", "a"),
        (f"externalIPs: [{place}], clusterIP: 10.9.0.3, {HTTP}", ""),  # everybody may write those
    ):
        world = world_of(text=service("a", spec) + service("web", f"clusterIP: {place}, {HTTP}"))
        stands = world.services["shop", "web"]
        stands = msgspec.structs.replace(stands, metadata=ObjectMeta(name, "shop"))
        services = {("shop", "a"): world.services["shop", "a"], ("shop", name): stands}
        found, refused = given(replace(world, services=services, node=LARGE))
        ips = {key: [str(ip) for ip in addresses_of(item)] for key, item in found.items()}
        assert (ips[name] == [place]) == (not by) and len(ips[name]) == 1
        assert by == "" or ips["a"] == [place]
        text = f"Service shop/{name}: spec.ips: {place} belongs to Service shop/a: it gets another"
        assert refused == ([text] if by else [])


# --- what is remembered --------------------------------------------------------------------------


def test_a_service_that_comes_out_the_same_is_the_same_object() -> None:
    world = world_of(text=service("a") + service("b"), node=LARGE)
    first, allocated = with_addresses(world)
    again, still = with_addresses(replace(world), allocated)
    assert again.services is first.services and still is allocated
    more = {**world.services, ("shop", "c"): world.services["shop", "a"]}
    later, _ = with_addresses(replace(world, services=more), allocated)
    assert later.services["shop", "a"] is first.services["shop", "a"]
    assert world.services["shop", "a"].spec.cluster_ip == ""  # the world is as it was


def test_what_was_remembered_changes_nothing() -> None:
    before: Allocated | None = None
    for names in ("c", "ac", "abc", "bc", "b"):
        world = world_of(text="".join(service(name, BOTH) for name in names), node=SMALL)
        fresh, _ = with_addresses(world)
        warm, before = with_addresses(world, before)
        assert warm.services == fresh.services
    moved = replace(world, node=LARGE)
    assert with_addresses(moved, before)[0].services == with_addresses(moved)[0].services


# --- node ports ----------------------------------------------------------------------------------

NODE_PORT = "type: NodePort"
DNS = "ports: [{name: a, port: 53, protocol: UDP}, {name: b, port: 53}]"


def node_ports(
    text: str, ports: tuple[int, int] = (30000, 32767)
) -> tuple[dict[str, list[int | None]], list[str]]:
    found, refused = given(replace(world_of(text=text), settings=Settings(node_ports=ports)))
    return {
        name: [port.node_port for port in item.spec.ports] for name, item in found.items()
    }, refused


def test_node_ports_are_given_from_the_range_and_the_same_everywhere() -> None:
    texts = [service(name, f"{NODE_PORT}, {HTTP}") for name in "ab"]
    found, _ = node_ports("".join(texts))
    assert found == node_ports("".join(reversed(texts)))[0]
    assert all(port and 30000 <= port <= 32767 for ports in found.values() for port in ports)
    assert node_ports(service("a"))[0] == {"a": [None]}


def test_one_number_serves_both_protocols_of_a_port() -> None:
    first, second = node_ports(service("dns", f"{NODE_PORT}, {DNS}"))[0]["dns"]
    assert first == second is not None


@pytest.mark.parametrize(
    ("spec", "has"),
    [
        ("type: LoadBalancer", True),
        ("type: LoadBalancer, allocateLoadBalancerNodePorts: false", False),
    ],
)
def test_load_balancers_have_node_ports_unless_they_say_no(spec: str, has: bool) -> None:
    ports = node_ports(service("a", f"{spec}, {HTTP}"))[0]["a"]
    assert [port is not None for port in ports] == [has]


def test_a_number_that_somebody_wrote_is_his() -> None:
    wanted = node_ports(service("a", f"{NODE_PORT}, {HTTP}"))[0]["a"][0]
    written = service("z", f"{NODE_PORT}, ports: [{{port: 80, nodePort: {wanted}}}]")
    found, refused = node_ports(service("a", f"{NODE_PORT}, {HTTP}") + written)
    assert found["z"] == [wanted] and found["a"] != [wanted]
    assert not refused


def test_numbers_outside_of_the_range_and_beyond_its_end_are_refused() -> None:
    text = service("z", f"{NODE_PORT}, ports: [{{port: 80, nodePort: 80}}]")
    assert node_ports(text) == (
        {"z": [None]},
        ["Service shop/z: spec.ports[0].nodePort: 80 is not in 30000-32767: it has none"],
    )
    many = "".join(service(name, f"{NODE_PORT}, {HTTP}") for name in "abc")
    found, refused = node_ports(many, (30000, 30001))
    assert {*found["a"], *found["b"]} == {30000, 30001} and found["c"] == [None]
    assert refused == [
        "Service shop/c: spec.ports[0].nodePort: 30000-30001 are used up: it has none"
    ]


# --- load balancers ------------------------------------------------------------------------------

LB = f"type: LoadBalancer, {HTTP}"


def pool(name: str, blocks: str, more: str = "") -> str:
    return (
        f"---\n{{kind: CiliumLoadBalancerIPPool, metadata: {{name: {name}}},"
        f" spec: {{blocks: [{blocks}]{', ' if more else ''}{more}}}}}\n"
    )


def balanced(text: str) -> tuple[dict[str, list[str]], list[str]]:
    found, refused = given(town(text=text))
    return {
        name: [entry.ip for entry in item.status.load_balancer.ingress]
        for name, item in found.items()
    }, refused


PENDING = "Service shop/a: no load balancer address: {}; the rest is in force"


def test_an_address_of_a_pool_that_selects_the_service_is_shown_in_its_status() -> None:
    pools = pool("gold", "{cidr: 203.0.113.0/30}", "serviceSelector: {matchLabels: {tier: gold}}")
    pools += pool(
        "plain",
        "{start: 198.51.100.7, stop: 198.51.100.8}",
        "serviceSelector: {matchLabels: {io.kubernetes.service.name: b}}",
    )
    text = pools + service("a", LB, labels="{tier: gold}") + service("b", LB)
    found, refused = balanced(text)
    assert not refused
    assert ip_address(found["a"][0]) in ip_network("203.0.113.0/30")
    assert found["b"][0] in ("198.51.100.7", "198.51.100.8")
    assert balanced(service("b", LB) + pools + service("a", LB, labels="{tier: gold}")) == (
        found,
        [],
    )


def test_both_families_have_an_address() -> None:
    text = pool("p", "{cidr: 203.0.113.0/30}, {cidr: 'fd00:1b::/64'}")
    found, _ = balanced(text + service("a", f"ipFamilyPolicy: PreferDualStack, {LB}"))
    assert [ip_address(item).version for item in found["a"]] == [4, 6]


@pytest.mark.parametrize(
    ("more", "count"), [("", 4), ("allowFirstLastIPs: 'Yes'", 4), ("allowFirstLastIPs: 'No'", 2)]
)
def test_the_outermost_addresses_of_a_cidr(more: str, count: int) -> None:
    text = pool("p", "{cidr: 203.0.113.0/30}", more)
    found, refused = balanced(text + "".join(service(name, LB) for name in "abcde"))
    assert len({item for items in found.values() for item in items}) == count
    assert len(refused) == 5 - count
    assert (
        "Service shop/e: no load balancer address: the IPv4 pools that select it are used up"
        in (refused[-1])
    )


@pytest.mark.parametrize(
    "pools",
    [
        "",
        pool("p", "{cidr: 203.0.113.0/30}", "disabled: true"),
        pool("p", "{cidr: 203.0.113.0/30}", "serviceSelector: {matchLabels: {tier: gold}}"),
        pool("p", "{cidr: 'fd00:1b::/64'}"),
    ],
)
def test_without_a_pool_it_has_no_address_and_is_otherwise_in_force(pools: str) -> None:
    found, refused = balanced(pools + service("a", LB))
    assert found == {"a": []}
    reason = "no CiliumLoadBalancerIPPool with IPv4 addresses selects it"
    assert refused == [PENDING.format(reason)]
    assert list(Passes().run(town(text=pools + service("a", LB))).in_force())


POOL = pool("p", "{cidr: 203.0.113.0/30}")
ASKED = f"loadBalancerIP: 203.0.113.2, {LB}"
ANNOTATED = "{lbipam.cilium.io/ips: '203.0.113.2, 203.0.113.3'}"


def test_an_address_may_be_asked_for() -> None:
    assert balanced(POOL + service("a", ASKED)) == ({"a": ["203.0.113.2"]}, [])
    both = ["203.0.113.2", "203.0.113.3"]
    assert balanced(POOL + service("a", LB, annotations=ANNOTATED)) == ({"a": both}, [])


def test_an_address_that_was_asked_for_is_the_first_askers() -> None:
    found, refused = balanced(POOL + service("a", ASKED) + service("b", ASKED) + service("c", LB))
    assert found["a"] == ["203.0.113.2"] and found["b"] == [] and found["c"] != found["a"]
    reason = "203.0.113.2 belongs to Service shop/a"
    assert refused == [PENDING.replace("/a", "/b").format(reason)]


def test_an_address_of_no_pool_is_not_given() -> None:
    found, refused = balanced(pool("p", "{cidr: 198.51.100.0/24}") + service("a", ASKED))
    assert found == {"a": []}
    reason = "203.0.113.2 is in no CiliumLoadBalancerIPPool that selects it"
    assert refused == [PENDING.format(reason)]


def test_a_status_that_another_load_balancer_wrote_stands() -> None:
    world = town(text=POOL + service("a", LB))
    status = ServiceStatus(LoadBalancerStatus((LoadBalancerIngress("198.51.100.1"),)))
    old = world.services["shop", "a"]
    world = replace(world, services={("shop", "a"): Service(old.metadata, old.spec, status=status)})
    found, refused = given(world)
    assert found["a"].status == status
    assert not refused


def test_an_external_address_of_a_family_without_cluster_ip_is_left_out_by_name() -> None:
    _, refused = addressed(service("a", f"externalIPs: [192.0.2.9, 'fd00::9'], {HTTP}"))
    assert refused == [
        "Service shop/a: spec.externalIPs[1]: left out, the service has no IPv6 cluster IP"
    ]
