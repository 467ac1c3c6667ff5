"""Maps that fill up are told early, with who fills them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from tulle import abi
from tulle.agent.pressure import HEARD, RECYCLED, Fill, Pressure
from tulle.compile.parts import packed
from tulle.model.world import Workload, World

LIMIT = 100
CLIENT, OUTSIDE = ip_address("10.244.0.5"), ip_address("192.0.2.9")
TCP = 6


class FakeMap:
    max_entries = LIMIT

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, bytes]] = []
        self.walks = 0

    def fill(self, count: int, opener: Any = CLIENT, idle_s: int = 0) -> None:
        entry = abi.CtEntry(last_seen_ns=time.monotonic_ns() - idle_s * 1_000_000_000, judgement=1)
        ends = packed(opener), packed(ip_address("10.244.0.9"))
        for _ in range(count):
            self.rows.append((abi.CtKey(ends, (len(self.rows), 80), TCP).pack(), entry.pack()))

    def chunks(self) -> Iterator[tuple[bytes, bytes]]:
        self.walks += 1
        yield b"".join(key for key, _ in self.rows), b"".join(value for _, value in self.rows)


class FakeGauge:
    def __init__(self, maps: dict[str, FakeMap]) -> None:
        self.maps = maps

    def entries(self) -> dict[str, int]:
        return {name: len(item.rows) for name, item in self.maps.items()}


class Node:
    def __init__(self) -> None:
        self.maps = {name: FakeMap() for name in (*RECYCLED, *HEARD)}
        client = Workload("shop", "client", {}, (CLIENT,), ifindex=0)
        world = World(remote={"b": {("shop", "client"): client}})
        gauge: Any = FakeGauge(self.maps)
        maps: Any = self.maps
        self.pressure = Pressure(gauge, maps, lambda: world)

    @property
    def conntrack(self) -> FakeMap:
        return self.maps["conntrack"]


def test_a_map_with_room_is_not_walked() -> None:
    node = Node()
    node.conntrack.fill(79)
    fill = node.pressure.fills()[0]
    assert (fill.name, fill.entries, fill.limit, fill.in_use) == ("conntrack", 79, LIMIT, None)
    assert not fill.warning
    assert not node.conntrack.walks


def test_who_fills_it_is_told_with_the_map_and_its_limit() -> None:
    node = Node()
    node.conntrack.fill(70)
    node.conntrack.fill(15, OUTSIDE)
    assert node.pressure.fills()[0].warning == (
        "map conntrack is 85% full (85 of 100) with what has not expired: when there is no room, "
        "what was idle longest is forgotten; most was opened by shop/client: 70, 192.0.2.9: 15"
    )


def test_what_has_expired_makes_room() -> None:
    node = Node()
    node.conntrack.fill(60, idle_s=61)
    node.conntrack.fill(40)
    fill = node.pressure.fills()[0]
    assert (fill.entries, fill.in_use, fill.warning) == (100, 40, "")


def test_it_is_walked_once_in_a_while() -> None:
    node = Node()
    node.conntrack.fill(90)
    for _ in range(3):
        node.pressure.fills()
    assert node.conntrack.walks == 1


def test_the_log_hears_of_it_once(caplog: pytest.LogCaptureFixture) -> None:
    node = Node()
    node.conntrack.fill(90)
    with caplog.at_level(logging.WARNING):
        node.pressure.warn()
        node.pressure.warn()
        assert len(caplog.records) == 1
        node.conntrack.rows.clear()
        node.pressure.warn()
        node.conntrack.fill(95)
        node.pressure.warn()
    assert len(caplog.records) == 2


def test_a_map_that_recycles_nothing_counts_as_it_is() -> None:
    assert Fill("policy", 80, 100).warning == "map policy is 80% full (80 of 100)"
    assert not Fill("policy", 79, 100).warning
    assert not Fill("sock_nat", 100, 100, recycled=True).warning


def test_names_that_find_no_room_are_told() -> None:
    """Nothing makes room among them but the workload that has them."""
    node = Node()
    node.maps["dns_names"].rows = [(b"", b"")] * 80
    (warning,) = (fill.warning for fill in node.pressure.fills() if fill.warning)
    assert warning == "map dns_names is 80% full (80 of 100)"
