"""Services that the node's proxy takes: their rows, and whom a change of them concerns."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from tests.unit.compile.services.shop import PLENTY, at, pod, selecting, town
from tulle import abi
from tulle.abi import ServiceFlag
from tulle.compile.ids import Allocator, Ids
from tulle.compile.parts import flat, packed
from tulle.compile.services import ServiceParts, service_parts, with_addresses
from tulle.compile.services.proxied import Places, places_of
from tulle.model.routing import Proxied

CLUSTER_IP, EXTERNAL_IP = "10.96.0.1", "192.0.2.80"
MORE = f"clusterIP: {CLUSTER_IP}, type: NodePort, externalIPs: [{EXTERNAL_IP}]"
PORTS = "ports: [{name: a, port: 80, nodePort: 30080}, {name: b, port: 81, nodePort: 30081}]"
WORLD, _ = with_addresses(
    town(pod("db-2"), pod("web-3", app="web"), text=selecting("db", MORE, PORTS) + selecting("web"))
)


def place(service: str, address: str, port: int, protocol: str = "TCP") -> Proxied:
    return ("shop", service), ip_address(address), port, protocol


ALL = frozenset({place("db", CLUSTER_IP, 80)})


def made(proxied: frozenset[Proxied], before: ServiceParts | None = None) -> ServiceParts:
    return service_parts(WORLD, Allocator(Ids()), PLENTY, before, proxied)


def flags(parts: ServiceParts, address: str, port: int) -> int:
    key = abi.ServiceKey(packed(ip_address(address)), port, 6).pack()
    return abi.Service.unpack(flat(parts.parts)["services"][key]).flags


def test_only_what_is_named_is_proxied() -> None:
    parts = made(ALL)
    assert flags(parts, CLUSTER_IP, 80) == ServiceFlag.PROXY
    assert flags(parts, CLUSTER_IP, 81) == 0
    for address, port in ((EXTERNAL_IP, 80), ("0.0.0.0", 30080)):  # noqa: S104
        assert flags(parts, address, port) == ServiceFlag.EXTERNAL


@pytest.mark.parametrize(
    "other",
    [
        place("db", CLUSTER_IP, 80, "UDP"),
        place("db", "10.96.0.2", 80),
        place("web", CLUSTER_IP, 80),
        place("gone", CLUSTER_IP, 80),
    ],
    ids=("protocol", "address", "service", "no service"),
)
def test_what_names_no_frontend_changes_nothing(other: Proxied) -> None:
    assert flat(made(frozenset({other})).parts) == flat(made(frozenset()).parts)


def test_the_proxy_chooses_the_backends() -> None:
    parts = made(frozenset({place("db", CLUSTER_IP, 80), place("db", EXTERNAL_IP, 80)}))
    key = abi.ServiceKey(packed(ip_address(EXTERNAL_IP)), 80, 6).pack()
    row = abi.Service.unpack(flat(parts.parts)["services"][key])
    assert row.flags == ServiceFlag.PROXY | ServiceFlag.EXTERNAL
    assert row.internal == row.external == row.local == abi.Table()
    entry = parts.entries["service", "shop", "db"]
    proxied = [item for item in entry.frontends if item.proxied]
    assert [at(item.internal) for item in proxied] == [["10.0.0.2:80"]] * 2


def test_only_the_service_that_changed_is_made_anew() -> None:
    before = made(frozenset())
    after = made(ALL, before)
    same = {key for key in before.parts if after.parts[key] is before.parts[key]}
    assert before.parts.keys() - same == {("service", "shop", "db")}
    assert made(frozenset(ALL), after).parts is after.parts
    assert flat(made(frozenset(), after).parts) == flat(before.parts)


def test_places_are_kept_by_service() -> None:
    web = place("web", "10.96.0.9", 80)
    first, touched = places_of(ALL, Places())
    assert touched == {("shop", "db")}
    second, touched = places_of(ALL | {web}, first)
    assert touched == {("shop", "web")}
    assert second.of(("shop", "db")) is first.of(("shop", "db"))
    third, touched = places_of(ALL | {web}, second)
    assert third is second
    assert not touched
    last, touched = places_of(frozenset({web}), second)
    assert touched == {("shop", "db")}
    assert not last.of(("shop", "db"))
