"""What `tulle get proxies` is told."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from tests.unit.agent.passes import pass_of
from tulle.agent.proxies import memory_bytes, proxies
from tulle.model.world import World

OWN = {"refused": {}, "requests_told_one_in": 1, "memory_limit_bytes": 256 << 20, "cgroup": "/own"}
STATUS = {
    "envoys": [
        {"scope": "namespace/shop", "number": 1, "pid": 0, "state": "starting"},
        {"scope": "node", "number": 3, "pid": os.getpid(), "state": "serving"},
        {"scope": "node", "number": 4, "pid": 0, "state": "starting"},
    ],
    "scopes": {
        "namespace/shop": {**OWN, "resources": {"listener": 7}},
        "node": {
            "resources": {"cluster": 2, "listener": 1},
            "refused": {"listener x": "no such address"},
            "memory_limit_bytes": None,
            "requests_told_one_in": 64,
            "cgroup": "/node",
        },
    },
}


def test_every_envoy_with_what_its_scope_has() -> None:
    agent: Any = SimpleNamespace(proxy=SimpleNamespace(status=lambda: STATUS))
    own, first, second = proxies(agent, pass_of(World()))
    assert (first["generation"], first["state"], first["fronts"]) == (3, "serving", 0)
    assert first["memory_bytes"] > 1 << 20
    assert second["memory_bytes"] == 0
    assert first["resources"] == second["resources"] == {"cluster": 2, "listener": 1}
    assert first["refused"] == {"listener x": "no such address"}
    assert (own["scope"], own["resources"], own["refused"]) == (
        "namespace/shop",
        {"listener": 7},
        {},
    )
    assert (own["requests_told_one_in"], first["requests_told_one_in"]) == (1, 64)
    assert (own["memory_limit_bytes"], first["memory_limit_bytes"]) == (256 << 20, None)


def test_what_has_ended_holds_nothing() -> None:
    assert memory_bytes(1 << 30) == 0
