"""Which endpoints a service has, and which addresses."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest

from tests.unit.compile.objects import workload, world_of
from tulle.compile.services import Frontend, addresses_of, backends_of, frontends, with_addresses
from tulle.model.kubernetes import ContainerPort
from tulle.model.world import Node, World

DUAL = workload("db-2", "10.0.0.2", "fd00::2", app="db", ports=(ContainerPort(9000, "pg"),))


def service(name: str, spec: str) -> str:
    return f"---\n{{kind: Service, metadata: {{name: {name}}}, spec: {{{spec}}}}}\n"


def slices(name: str, *endpoints: str, port: int = 80, of: str = "db", more: str = "") -> str:
    listed = ", ".join(f"{{addresses: [{item}]}}" for item in endpoints)
    return f"""
---
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {of}}}}}
addressType: IPv4
endpoints: [{listed}]
ports: [{{port: {port}{more}}}]
"""


def backends(world: World, version: int = 4, name: str = "db") -> list[str]:
    """Of the service's first port."""
    found = world.services["shop", name]
    return [
        f"{item.address}:{item.port}"
        for item in backends_of(world, found, found.spec.ports[0], version)
    ]


SELECTED = "selector: {app: db}, ports: [{port: 80"


@pytest.mark.parametrize(
    ("change", "spec", "expected"),
    [
        ({}, f"{SELECTED}}}]", ["10.0.0.2:80"]),
        ({}, f"{SELECTED}, targetPort: 8080}}]", ["10.0.0.2:8080"]),
        ({}, f"{SELECTED}, targetPort: pg}}]", ["10.0.0.2:9000"]),
        ({}, f"{SELECTED}, targetPort: http}}]", []),
        ({}, f"{SELECTED}, targetPort: pg, protocol: UDP}}]", []),
        ({"labels": {"app": "web"}}, f"{SELECTED}}}]", []),
        ({"labels": {"app": "db", "tier": "x"}}, f"{SELECTED}}}]", ["10.0.0.2:80"]),
        ({"namespace": "other"}, f"{SELECTED}}}]", []),
        ({"ready": False}, f"{SELECTED}}}]", []),
        (
            {"ready": False},
            f"publishNotReadyAddresses: true, {SELECTED}}}]",
            ["10.0.0.2:80"],
        ),
        ({"weight": 0}, f"{SELECTED}}}]", []),
        ({"weight": -1}, f"{SELECTED}}}]", []),
    ],
)
def test_a_selector_finds_workloads_that_take_connections(
    change: dict[str, object], spec: str, expected: list[str]
) -> None:
    world = world_of(replace(DUAL, **change), text=service("db", spec))
    assert backends(world) == expected


def test_each_family_leads_to_addresses_of_its_own() -> None:
    only_v4 = workload("db-3", app="db")
    world = world_of(DUAL, only_v4, text=service("db", f"{SELECTED}}}]"))
    assert backends(world, 4) == ["10.0.0.2:80", "10.0.0.3:80"]
    assert backends(world, 6) == ["fd00::2:80"]


def test_a_named_port_may_be_another_number_at_each_workload() -> None:
    other = workload("db-3", app="db", ports=(ContainerPort(9001, "pg"),))
    world = world_of(DUAL, other, text=service("db", f"{SELECTED}, targetPort: pg}}]"))
    assert backends(world) == ["10.0.0.2:9000", "10.0.0.3:9001"]


def test_a_service_without_selector_reads_its_slices() -> None:
    text = service("db", "ports: [{port: 1}]") + slices("a", "192.0.2.1", "192.0.2.2", port=5432)
    assert backends(world_of(text=text)) == ["192.0.2.1:5432", "192.0.2.2:5432"]


@pytest.mark.parametrize(
    "text",
    [
        slices("a", "192.0.2.1", of="web"),
        slices("a", "192.0.2.1", more=", name: other"),
        slices("a", "192.0.2.1", more=", protocol: UDP"),
        slices("a", "192.0.2.1").replace("{name: a", "{namespace: other, name: a"),
        slices("a", '"fd00::1"').replace("IPv4", "IPv6"),
    ],
    ids=["service", "port-name", "protocol", "namespace", "family"],
)
def test_slices_of_others_are_not_read(text: str) -> None:
    assert backends(world_of(text=service("db", "ports: [{port: 1}]") + text)) == []


@pytest.mark.parametrize(
    ("conditions", "publish", "counts"),
    [
        ("{}", False, True),  # unknown counts as ready
        ("{ready: true}", False, True),
        ("{ready: false}", False, False),
        ("{ready: false, serving: true, terminating: true}", False, False),
        ("{ready: false}", True, True),
    ],
)
def test_listed_endpoints_that_are_not_ready(conditions: str, publish: bool, counts: bool) -> None:
    spec = f"publishNotReadyAddresses: {publish}, ports: [{{port: 1}}]"
    text = slices("a", "192.0.2.1").replace("]}]\n", f"], conditions: {conditions}}}]\n")
    assert "conditions" in text
    assert bool(backends(world_of(text=service("db", spec) + text))) is counts


def test_an_address_on_two_ports_is_two_endpoints_and_order_does_not_matter() -> None:
    parts = [
        slices("a", "192.0.2.1", port=81),
        slices("b", "192.0.2.1", port=80),
        slices("c", "192.0.2.1", port=80),  # the same once more
    ]
    for text in ("".join(parts), "".join(reversed(parts))):
        world = world_of(text=service("db", "ports: [{port: 1}]") + text)
        assert backends(world) == ["192.0.2.1:80", "192.0.2.1:81"]


# --- frontends -----------------------------------------------------------------------------------


def names(found: list[Frontend]) -> list[str]:
    return [item.name for item in found]


def test_every_address_has_every_port() -> None:
    spec = (
        'clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, "fd00::1"], '
        "ports: [{name: a, port: 53, protocol: UDP}, {name: b, port: 53}]"
    )
    found, refused = frontends(world_of(text=service("dns", spec)))
    assert not refused
    assert names(found) == [
        "shop/dns:53/UDP@10.96.0.1",
        "shop/dns:53/TCP@10.96.0.1",
        "shop/dns:53/UDP@fd00::1",
        "shop/dns:53/TCP@fd00::1",
    ]


@pytest.mark.parametrize("spec", ["clusterIP: None, ports: [{port: 80}]", "ports: [{port: 80}]"])
def test_a_service_without_address_has_no_frontend(spec: str) -> None:
    assert frontends(world_of(text=service("s", spec))) == ([], [])


def test_of_two_services_with_one_address_the_first_by_name_has_it() -> None:
    spec = "clusterIP: 10.96.0.1, ports: [{port: %d}]"
    texts = [service("b", spec % 1), service("a", spec % 2)]
    for text in ("".join(texts), "".join(reversed(texts))):
        found, refused = frontends(world_of(text=text))
        assert names(found) == ["shop/a:2/TCP@10.96.0.1"]
        assert [(str(item.ref), item.reason) for item in refused] == [
            ("Service shop/b", "spec.clusterIP: 10.96.0.1 belongs to Service shop/a")
        ]


# --- addresses -----------------------------------------------------------------------------------

SMALL = Node(service_cidrs=(IPv4Network("10.9.0.0/28"), IPv6Network("fd00:9::/124")))
PLAIN = "ports: [{port: 80}]"
BOTH = f"ipFamilyPolicy: PreferDualStack, {PLAIN}"


def addressed(
    text: str, before: dict[str, str] | None = None, node: Node = SMALL
) -> tuple[dict[str, list[str]], dict[str, str], list[str]]:
    world, given, refused = with_addresses(world_of(text=text, node=node), before or {})
    found = {
        name: [str(item) for item in addresses_of(service)]
        for (_, name), service in world.services.items()
    }
    return found, given, [f"{item.ref}: {item.reason}" for item in refused]


def test_a_service_gets_one_address_a_family_above_those_for_people() -> None:
    found, given, refused = addressed(service("a", BOTH))
    assert found == {"a": ["10.9.0.10", "fd00:9::a"]}
    assert given == {"shop/a/4": "10.9.0.10", "shop/a/6": "fd00:9::a"}
    assert not refused


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (f"ipFamilies: [IPv6], {PLAIN}", ["fd00:9::a"]),
        (f"ipFamilies: [IPv6, IPv4], {PLAIN}", ["fd00:9::a", "10.9.0.10"]),
        (PLAIN, ["10.9.0.10"]),
        (f"ipFamilyPolicy: SingleStack, {PLAIN}", ["10.9.0.10"]),
        (
            f"ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6], {PLAIN}",
            ["fd00:9::a", "10.9.0.10"],
        ),
        (f"clusterIP: 10.9.0.3, {PLAIN}", ["10.9.0.3"]),
        (f"clusterIP: None, {PLAIN}", []),
    ],
)
def test_a_service_may_say_which_addresses_it_wants(spec: str, expected: list[str]) -> None:
    found, _, refused = addressed(service("a", spec))
    assert found == {"a": expected}
    assert not refused


def test_addresses_stay_when_services_come_and_go() -> None:
    _, given, _ = addressed(service("m", BOTH))
    found, given, _ = addressed(service("a", BOTH) + service("m", BOTH), given)
    assert found == {"a": ["10.9.0.11", "fd00:9::b"], "m": ["10.9.0.10", "fd00:9::a"]}
    found, _, _ = addressed(service("a", BOTH) + service("b", BOTH), given)
    assert found["a"] == ["10.9.0.11", "fd00:9::b"]
    assert found["b"][0] == "10.9.0.12"  # not at once that of m, which clients may still use


def test_an_address_that_somebody_wrote_is_given_to_nobody_else() -> None:
    written = service("z", f"clusterIP: 10.9.0.10, {BOTH}")
    found, _, _ = addressed(service("a", BOTH) + written, {"shop/a/4": "10.9.0.10"})
    assert found == {"a": ["10.9.0.11", "fd00:9::a"], "z": ["10.9.0.10"]}


def test_an_address_outside_a_new_range_is_given_up() -> None:
    found, given, _ = addressed(service("a", PLAIN), {"shop/a/4": "10.8.0.10"})
    assert found["a"][0] == given["shop/a/4"] == "10.9.0.10"


def test_a_range_that_is_used_up_refuses_the_service_by_name() -> None:
    text = "".join(service(name, f"ipFamilies: [IPv4], {PLAIN}") for name in "abcdef")
    found, given, refused = addressed(text)  # .10 to .14: the last is no host's
    assert [found[name] for name in "abcdef"] == [[f"10.9.0.{n}"] for n in range(10, 15)] + [[]]
    assert refused == ["Service shop/f: service range 10.9.0.0/28 is used up"]
    assert len(given) == 5


@pytest.mark.parametrize("spec", ["ipFamilies: [IPv6]", "ipFamilyPolicy: RequireDualStack"])
def test_a_family_that_the_node_has_not_is_refused(spec: str) -> None:
    node = Node(service_cidrs=(ip_network("10.9.0.0/28"),))
    _, _, refused = addressed(service("a", f"{spec}, {PLAIN}"), node=node)
    assert refused == ["Service shop/a: the node has no IPv6 service range"]


def test_of_two_ranges_of_one_family_the_first_counts() -> None:
    node = Node(service_cidrs=(ip_network("10.9.0.0/28"), ip_network("10.7.0.0/28")))
    found, given, _ = addressed(service("a", PLAIN), node=node)
    assert found == {"a": ["10.9.0.10"]}
    assert addressed(service("a", PLAIN), given, node)[0] == found


def test_the_world_that_came_in_is_left_as_it_was() -> None:
    world = world_of(text=service("a", PLAIN), node=SMALL)
    with_addresses(world, {})
    assert world.services["shop", "a"].spec.cluster_ip == ""


def test_ten_thousand_services_differ_in_their_addresses() -> None:
    text = service("s0", BOTH)
    only = world_of(text=text).services["shop", "s0"]
    many = {("shop", f"s{n}"): only for n in range(10_000)}
    world, given, refused = with_addresses(replace(world_of(), services=many), {})
    assert len(set(given.values())) == 20_000 and not refused
    assert ip_address(given["shop/s0/4"]) in world.node.service_cidrs[0]
