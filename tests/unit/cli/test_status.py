"""Health at a glance."""

import json
from typing import Any

from .conftest import Cli, FakeAgent

STATUS: dict[str, Any] = {
    "node": "local",
    "version": "0.1.0",
    "abi": "d9c88b95f4984879",
    "pid": 4242,
    "uptime_s": 7260.4,
    "health": "degraded",
    "problems": ["map policy is 95% full (262144 entries)"],
    "rungs": [{"rung": 0, "name": "socket", "in_use": True, "detail": "3 service ports"}],
    "refused": [{"object": "NetworkPolicy shop/x", "reason": "shop.yaml:5:11: spec: no"}],
    "maps": [
        {
            "name": "policy",
            "entries": 249036,
            "limit": 262144,
            "recycled": False,
            "in_use": None,
            "openers": [],
            "warning": True,
        },
        {
            "name": "conntrack",
            "entries": 1000,
            "limit": 1000,
            "recycled": True,
            "in_use": 850,
            "openers": [{"address": "10.244.0.5", "workload": "shop/client", "connections": 800}],
            "warning": True,
        },
    ],
    "counts": {"workloads": 4, "services": 3, "policies": 1, "identities": 5},
    "packets": {"ALLOWED": {"packets": 10, "bytes": 6000}},
    "events_lost": 2,
    "apply": {"count": 3, "last_ms": 4.25, "changes": 12},
}


def test_text(agent: FakeAgent, cli: Cli) -> None:
    agent.answers = {"GET /v1/status": (200, STATUS)}
    assert (
        cli("status").stdout
        == """\
Node local: degraded
  agent 0.1.0, ABI d9c88b95f4984879, pid 4242, up 2 h 1 min
  4 workloads, 3 services, 1 policy, 5 identities
  3 updates, the last changed 12 entries in 4.2 ms
  2 events lost: the ring was full

Problems
  map policy is 95% full (262144 entries)

Refused
  NetworkPolicy shop/x   shop.yaml:5:11: spec: no

Rungs
  0   socket   in use   3 service ports

Verdicts
  REASON    PACKETS   BYTES
  ALLOWED   10        5.9 KiB

Maps
  MAP         ENTRIES   LIMIT    FULL   IN USE
  policy      249036    262144   95%
  conntrack   1000      1000     100%   85%

Most connections
  MAP         ADDRESS      WORKLOAD      OPENED
  conntrack   10.244.0.5   shop/client   800
"""
    )


def test_joined_clusters(agent: FakeAgent, cli: Cli) -> None:
    west = {"server": "https://192.0.2.9:6443", "version": "v1.36.0", "synced": True, "age_s": 0}
    east = {**west, "server": "https://192.0.2.8:6443", "synced": False, "age_s": 125}
    size = {"nodes": 3, "workloads": 40}
    joined = {"east": {**east, **size}, "west": {**west, **size}}
    status = {**STATUS, "kubernetes": {"clusters": {"name": "north", "joined": joined}}}
    agent.answers = {"GET /v1/status": (200, status)}
    lines = cli("status").stdout.splitlines()
    at = lines.index("Joined clusters")
    assert "what it said 2 min 5 s ago holds" in " ".join(lines[at + 2].split())
    assert lines[at + 3].split() == ["west", "https://192.0.2.9:6443", "synced", "3", "40"]


def test_short_circuit(agent: FakeAgent, cli: Cli) -> None:
    counts = {"connections": 3, "ended": {"policy": 1, "blocking": 20}}
    agent.answers = {"GET /v1/status": (200, {**STATUS, "short_circuit": counts})}
    lines = cli("status").stdout.splitlines()
    at = lines.index("Short circuit")
    assert [line.split() for line in lines[at + 1 : at + 5]] == [
        ["connections", "now", "3"],
        ["ended:", "policy", "1"],
        ["ended:", "blocking", "20"],
        [],
    ]


def test_before_the_first_pass(agent: FakeAgent, cli: Cli) -> None:
    empty = {**STATUS, "counts": {}, "apply": {}, "maps": [], "packets": {}, "events_lost": 0}
    agent.answers = {"GET /v1/status": (200, empty)}
    assert "updates" not in cli("status").stdout


def test_json(agent: FakeAgent, cli: Cli) -> None:
    agent.answers = {"GET /v1/status": (200, STATUS)}
    assert json.loads(cli("status", "-o", "json").stdout) == STATUS


def test_probes(agent: FakeAgent, cli: Cli) -> None:
    agent.answers = {"GET /v1/health": (200, {"ready": True, "problem": ""})}
    for what in ("live", "ready"):
        assert cli("status", f"--probe={what}").output == ""
    agent.answers = {"GET /v1/health": (200, {"ready": False, "problem": "no API server"})}
    cli("status", "--probe=live")
    assert cli("status", "--probe=ready", code=1).output == "not ready: no API server\n"
