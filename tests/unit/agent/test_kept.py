"""Services keep the addresses that version 0.1 gave them."""

from __future__ import annotations

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from tulle.agent.kept import KeptAddresses
from tulle.model.kubernetes import ObjectMeta, Service, ServiceSpec
from tulle.model.world import Key

RANGES = (ip_network("10.96.0.0/16"), ip_network("fd00:96::/112"))
MEMORY = {
    "taken": {"table": {"x": 1}},
    "next": {"table": 2},
    "addresses": {
        "shop/web/4": "10.96.0.10",
        "shop/web/6": "fd00:96::a",
        "shop/gone/4": "10.96.0.11",
        "shop/moved/4": "10.97.0.1",
    },
}


def service(name: str, **spec: Any) -> tuple[Key, Service]:
    return ("shop", name), Service(metadata=ObjectMeta(name, "shop"), spec=ServiceSpec(**spec))


def kept(directory: Path, memory: object = MEMORY) -> KeptAddresses:
    (directory / "ids.json").write_text(json.dumps(memory))
    return KeptAddresses(directory / "addresses.json", directory / "ids.json", RANGES)


def given(services: Any, name: str) -> tuple[str, ...]:
    return services["shop", name].spec.cluster_ips


def test_a_service_keeps_its_addresses_in_its_own_order(tmp_path: Path) -> None:
    services = dict([service("web"), service("new")])
    answer = kept(tmp_path).give(services)
    assert given(answer, "web") == ("10.96.0.10", "fd00:96::a")
    assert given(answer, "new") == ()
    assert answer["shop", "new"] is services["shop", "new"]
    services = dict([service("web", ip_families=("IPv6", "IPv4"))])
    assert given(kept(tmp_path).give(services), "web") == ("fd00:96::a", "10.96.0.10")


def test_they_outlive_the_memory_of_the_earlier_version(tmp_path: Path) -> None:
    services = dict([service("web")])
    kept(tmp_path)
    assert given(kept(tmp_path, {"taken": {}, "next": {}}).give(services), "web")


def test_one_that_was_away_is_a_new_one(tmp_path: Path) -> None:
    keeper = kept(tmp_path)
    assert given(keeper.give(dict([service("web")])), "web")
    keeper.give({})
    assert given(keeper.give(dict([service("web")])), "web") == ()
    assert given(kept(tmp_path).give(dict([service("web")])), "web") == ()


def test_what_users_wrote_since_is_theirs(tmp_path: Path) -> None:
    services = dict([service("web"), service("other", cluster_ip="10.96.0.10")])
    answer = kept(tmp_path).give(services)
    assert given(answer, "web") == ("fd00:96::a",)
    services = dict([service("web", cluster_ip="10.96.7.7", cluster_ips=("10.96.7.7",))])
    assert kept(tmp_path).give(services)["shop", "web"] is services["shop", "web"]


def test_an_address_outside_of_the_ranges_is_not_kept(tmp_path: Path) -> None:
    assert given(kept(tmp_path).give(dict([service("moved")])), "moved") == ()


def test_what_is_the_same_is_the_same_object(tmp_path: Path) -> None:
    keeper, services = kept(tmp_path), dict([service("web")])
    first = keeper.give(services)
    assert keeper.give(services) is first
    again = keeper.give({**services, **dict([service("new")])})
    assert again["shop", "web"] is first["shop", "web"]


def test_without_an_earlier_version_nothing_happens(tmp_path: Path) -> None:
    services = dict([service("web")])
    keeper = KeptAddresses(tmp_path / "addresses.json", tmp_path / "ids.json", RANGES)
    assert keeper.give(services) is services
    assert not (tmp_path / "addresses.json").exists()
