"""What `tulle get proxies` is told."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from tests.unit.agent.passes import pass_of
from tulle.agent.proxies import memory_bytes, proxies
from tulle.model.world import World

STATUS = {
    "envoys": [
        {"number": 3, "pid": os.getpid(), "state": "serving"},
        {"number": 4, "pid": 0, "state": "starting"},
    ],
    "restarts": 1,
    "resources": {"cluster": 2, "listener": 1},
    "refused": {"listener x": "no such address"},
}


def test_every_envoy_with_what_it_has() -> None:
    agent: Any = SimpleNamespace(proxy=SimpleNamespace(status=lambda: STATUS))
    first, second = proxies(agent, pass_of(World()))
    assert (first["generation"], first["state"], first["fronts"]) == (3, "serving", 0)
    assert first["memory_bytes"] > 1 << 20
    assert second["memory_bytes"] == 0
    assert first["resources"] == second["resources"] == {"cluster": 2, "listener": 1}
    assert first["refused"] == {"listener x": "no such address"}


def test_what_has_ended_holds_nothing() -> None:
    assert memory_bytes(1 << 30) == 0
