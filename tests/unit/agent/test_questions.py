"""Counters of questions, by workload."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from tests.unit.compile.objects import workload, world_of
from tulle.abi import Hearer
from tulle.agent.questions import questions


def test_who_has_asked_has_a_row() -> None:
    world = world_of(workload("web-1", app="web"), workload("db-2", app="db"))
    rows = {1: Hearer(asked=9, answered=7, denied=2, untold=1), 4711: Hearer(asked=1)}
    heard = SimpleNamespace(hearers=lambda: rows)
    agent = SimpleNamespace(datapath=SimpleNamespace(heard=heard))
    [row] = questions(cast(Any, agent), cast(Any, SimpleNamespace(world=world)))
    assert row == {
        **{"namespace": "shop", "name": "web-1", "asked": 9, "answered": 7},
        **{"denied": 2, "not_told": 1},
    }
