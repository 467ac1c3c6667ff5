"""Who asks DNS for more than his share is named, and what has ended is forgotten."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import pytest

from tulle import abi
from tulle.agent.hearing import Hearing
from tulle.model.world import Workload, World


class FakeHeard:
    def __init__(self) -> None:
        self.rows: dict[int, abi.Hearer] = {}
        self.forgot: set[int] = set()

    def hearers(self) -> dict[int, abi.Hearer]:
        return dict(self.rows)

    def forget(self, gone: set[int]) -> None:
        self.forgot |= gone


def test_what_an_earlier_agent_has_told_of_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(5, "veth")])
    heard: Any = FakeHeard()
    heard.rows = {5: abi.Hearer(forgotten=3)}
    hearing = Hearing(heard, None, lambda: None)
    hearing.look()
    assert hearing.problems == []
    heard.rows = {5: abi.Hearer(forgotten=4)}
    hearing.look()
    assert "4 addresses" in hearing.problems[0]


def test_the_greedy_are_named_once_and_by_their_latest_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(5, "veth"), (6, "veth6")])
    heard: Any = FakeHeard()
    crawler = Workload("shop", "crawler", {}, (ip_address("10.0.0.5"),), ifindex=5)
    hearing = Hearing(heard, None, lambda: World(workloads={crawler.key: crawler}))
    hearing.look()
    assert hearing.problems == []
    heard.rows = {5: abi.Hearer(forgotten=3), 6: abi.Hearer(refused=1), 9: abi.Hearer()}
    hearing.look()
    heard.rows[5] = abi.Hearer(forgotten=8, displaced=2)
    hearing.look()
    first, second, third = sorted(hearing.problems, key=lambda text: "crawler" in text)
    assert "interface 6" in first and "no room" in first
    assert second.startswith("shop/crawler asks DNS for very much: 8 addresses")
    assert third.startswith("shop/crawler asks DNS for very much: 2 names")
    assert heard.forgot == {9}
