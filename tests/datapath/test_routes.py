"""Tulle's routes and rules among others' in a namespace: listed, put back and taken out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tulle.edges import netlink, netns
from tulle.edges.netlink import Route

OWN = {4: ip_address("10.250.0.1"), 6: ip_address("fd99::1")}
PROXYS = {4: ip_address("10.251.0.9"), 6: ip_address("fd98::9")}
OTHERS = (
    "10.1.0.0/16 proto static",
    "10.2.0.0/16 proto 116 table 200",
    "fd01::/64 proto static",
)


@pytest.fixture
def place() -> Iterator[Path]:
    path = Path(f"/run/tulle-routes-{os.getpid()}/host")
    netns.create(path)
    netns.run_in(path, partial(netlink.set_up_loopback, list(OWN.values())))
    yield path
    netns.delete_all(path.parent)


def ip(place: Path, *words: str) -> str:
    line = ["nsenter", f"--net={place}", "ip", *words]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout


def test_routes_are_told_from_others(place: Path) -> None:
    lo = 1
    ours = {
        Route(ip_network("10.8.0.0/24")),
        Route(ip_network("10.9.0.0/24"), lo, src=OWN[4]),
        Route(ip_network("10.10.0.0/24"), lo, OWN[4]),
        Route(ip_network("0.0.0.0/0"), lo),
        Route(ip_network("fd08::/64")),
        Route(ip_network("fd09::/64"), lo, src=OWN[6]),
        *(Route(ip_network(f"fd0a:{number:x}::/64")) for number in range(1, 500)),
    }
    assert netns.run_in(place, netlink.read_routes) == set()
    for text in OTHERS:
        ip(place, "-6" if ":" in text else "-4", "route", "add", *text.split(), "dev", "lo")
    netns.run_in(place, partial(netlink.put_routes, ours))
    assert netns.run_in(place, netlink.read_routes) == ours
    netns.run_in(place, netlink.dismantle)
    assert netns.run_in(place, netlink.read_routes) == set()
    assert "10.1.0.0/16" in ip(place, "route") and "fd01::/64" in ip(place, "-6", "route")
    assert "10.2.0.0/16" in ip(place, "route", "show", "table", "200")


def test_ways_to_the_proxy_are_these_and_no_others(place: Path) -> None:
    def led() -> set[str]:
        table = ("route", "show", "table", "29814")
        lines = (ip(place, "-4", *table) + ip(place, "-6", *table)).splitlines()
        return {line.split()[1] for line in lines}

    both = {PROXYS[version]: OWN[version] for version in (4, 6)}
    netns.run_in(place, partial(netlink.steer, both))
    assert led() == {str(item) for item in PROXYS.values()}
    netns.run_in(place, partial(netlink.steer, {PROXYS[6]: OWN[6]}))
    assert led() == {str(PROXYS[6])}
    for _ in range(2):
        netns.run_in(place, netlink.unsteer)
        assert led() == set()
    rules = ip(place, "-4", "rule") + ip(place, "-6", "rule")
    assert "29813" not in rules and "29814" not in rules
    assert ip(place, "route", "show", "table", "all", "type", "local", "default") == ""
