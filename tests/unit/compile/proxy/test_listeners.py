"""What a listener is bound to, and how it stands towards the kernel."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from tests.proxy.mesh import front, host, image, rule, services, to, web
from tests.unit.compile.proxy.decode import Json, decoded
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import AppProtocol, Front, Server, Stream

BOTH = ip_address("10.96.0.9"), ip_address("fd00:7a11:0:96::9")
PARTS = services({"a": 8001})
EDGE = front(web(host(("/", rule(to("a"))))), port=80)
INNER = replace(EDGE, name="service/shop/a/80", mesh=True)


def listener(made: Front, name: str = "") -> Json:
    return decoded(image(PARTS, made), "listener", name or made.name)


def bound(found: Json) -> list[Any]:
    more = [item["address"] for item in found.get("additional_addresses", [])]
    return [item["socket_address"]["address"] for item in [found["address"], *more]]


def test_transparent_and_marked_at_all_addresses() -> None:
    found = listener(replace(EDGE, addresses=BOTH))
    assert bound(found) == ["10.96.0.9", "fd00:7a11:0:96::9"]
    assert found["transparent"] is True
    assert found["enable_reuse_port"] is True
    options = {
        (int(o["level"]), int(o["name"])): int(o["int_value"]) for o in found["socket_options"]
    }
    assert options[1, 36] == 0x74700000
    assert options[1, 9] == 1


def filters(found: Json) -> list[str]:
    return [item["name"].rpartition(".")[2] for item in found.get("listener_filters", [])]


def test_in_the_mesh_the_clients_address_goes_on() -> None:
    assert filters(listener(EDGE)) == []
    assert filters(listener(INNER)) == ["original_src"]


def test_a_mesh_front_of_two_families_has_a_chain_and_a_table_for_each() -> None:
    """As a backend must have an address of the client's family."""
    both = replace(INNER, addresses=BOTH)
    found = listener(both)
    assert [chain["name"] for chain in found["filter_chains"]] == ["http/ipv4", "http/ipv6"]
    matchers = found["filter_chain_matcher"]["matcher_list"]["matchers"]
    ranges = [
        item["predicate"]["single_predicate"]["custom_match"]["typed_config"]["cidr_ranges"]
        for item in matchers
    ]
    assert [item[0]["address_prefix"] for item in ranges] == ["0.0.0.0", "::"]  # noqa: S104
    made = image(PARTS, both)
    assert sorted(made["route"]) == ["service/shop/a/80/ipv4", "service/shop/a/80/ipv6"]
    assert sorted(made["cluster"]) == ["shop/a/80/ipv4", "shop/a/80/ipv6"]


def test_a_gateways_front_of_two_families_has_one() -> None:
    made = image(PARTS, replace(EDGE, addresses=BOTH))
    assert sorted(made["route"]) == [EDGE.name]
    assert sorted(made["cluster"]) == ["shop/a/80"]


def test_routes_are_no_part_of_it() -> None:
    other = replace(EDGE, servers=(web(host(("/x", rule(to("b"))), name="b.example")),))
    assert image(PARTS, other)["listener"] == image(PARTS, EDGE)["listener"]


def test_datagrams_of_two_families_have_a_listener_each() -> None:
    to_ = replace(to("a"), protocol=AppProtocol.UDP)
    route = ObjectRef("UDPRoute", "shop", "dns")
    server = Server("udp", protocol="UDP", streams=(Stream((to_,), route),))
    edge = replace(EDGE, protocol="UDP", servers=(server,), addresses=BOTH)
    assert bound(listener(edge)) == ["10.96.0.9", "fd00:7a11:0:96::9"]
    inner = replace(edge, name="service/shop/a/80", mesh=True)
    assert bound(listener(inner)) == ["10.96.0.9"]
    assert bound(listener(inner, "service/shop/a/80/ipv6")) == ["fd00:7a11:0:96::9"]
