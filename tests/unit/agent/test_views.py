"""What `tulle get` and `tulle status` are told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.agent.passes import pass_of
from tests.unit.compile.objects import workload, world_of
from tulle.abi import Counter, Reason
from tulle.agent import views
from tulle.agent.pressure import Fill
from tulle.compile.capacity import LIMITS
from tulle.compile.parts import DERIVED
from tulle.model.paths import NodePaths

WEB = workload("web-1", app="web")
DB = workload("db-2", app="db")
HEAVY = workload("db-3", app="db", weight=3)
TEXT = """
kind: Service
metadata: {name: db}
spec:
  clusterIP: 10.96.0.9
  selector: {app: db}
  sessionAffinity: ClientIP
  ports: [{name: pg, port: 5432}]
---
kind: Service
metadata: {name: idle}
spec: {clusterIP: 10.96.0.8, selector: {app: none}, ports: [{port: 80}]}
---
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
"""
NOW = pass_of(world_of(WEB, DB, HEAVY, text=TEXT))
PROXY = {"envoys": [{"scope": "node", "number": 2, "pid": 7, "state": "serving"}]}


@pytest.fixture
def agent() -> Any:
    """As much of an agent as the views look at, with a kernel that counted nothing."""
    return SimpleNamespace(
        paths=NodePaths("lab-1"),
        current=NOW,
        problem="",
        started_s=0.0,
        pods=SimpleNamespace(problems=dict),
        pending={},
        sources=SimpleNamespace(problems=list, status=None),
        network=SimpleNamespace(problems=[], interfaces={2: "host"}),
        sandboxes=SimpleNamespace(problems=[]),
        hearing=SimpleNamespace(problems=[]),
        is_short=False,
        workloads=SimpleNamespace(problems=[]),
        proxy=SimpleNamespace(problems=[], refusals=(), status=lambda: PROXY),
        pressure=SimpleNamespace(fills=lambda: [Fill("conntrack", 1, 262144, recycled=True)]),
        datapath=SimpleNamespace(
            events_lost=lambda: 5,
            rule_counters=dict,
            reason_counters=lambda: {Reason.POLICY_DENIED: Counter(2, 120)},
        ),
    )


def test_a_node_without_trouble_is_ok(agent: Any) -> None:
    status = views.status(agent)
    assert (status["health"], status["problems"], status["refused"]) == ("ok", [], [])
    assert status["counts"] == {
        "workloads": 3,
        "remote_workloads": 0,
        "services": 2,
        "policies": 1,
        "identities": 8,
    }
    assert status["packets"] == {"POLICY_DENIED": {"packets": 2, "bytes": 120}}
    assert status["events_lost"] == 5
    assert [item["in_use"] for item in status["rungs"]] == [True, True, False, False]
    assert status["rungs"][2]["detail"].endswith("; 0 rules of names in DNS")
    assert status["rungs"][3]["detail"] == "0 fronts and 0 rule sets of layer 7, Envoy 2 serving"


def test_before_the_first_pass_a_node_is_degraded(agent: Any) -> None:
    agent.current, agent.problem = None, "no cgroup2"
    status = views.status(agent)
    assert (status["health"], status["problems"]) == ("degraded", ["no cgroup2"])
    assert (status["counts"], status["apply"], status["maps"]) == ({}, {}, [])


def test_every_part_tells_of_its_problems(agent: Any) -> None:
    agent.problem, agent.network.problems = "no room", ["no uplink"]
    agent.workloads.problems = ["workload shop/web: no interface"]
    agent.hearing.problems = ["shop/web asks DNS for very much"]
    status = views.status(agent)
    told = ["no room", "no uplink", *agent.workloads.problems, *agent.hearing.problems]
    assert (status["health"], status["problems"]) == ("degraded", told)


def test_what_is_refused_is_named_with_its_reason(agent: Any) -> None:
    twin = TEXT.split("---")[0].replace("name: db", "name: twin")
    agent.current = pass_of(world_of(DB, text=f"{TEXT}---{twin}"))
    agent.pods.problems = lambda: {("shop", "api"): "exits with 1"}
    status = views.status(agent)
    assert status["health"] == "degraded"
    assert status["refused"] == [
        {
            "object": "Service shop/twin",
            "reason": "spec.clusterIP: 10.96.0.9 belongs to Service shop/db",
        },
        {"object": "Pod shop/api", "reason": "exits with 1"},
    ]


def test_maps_are_measured_against_what_may_fill_them(
    agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {fill.name: (fill.entries, fill.limit) for fill in views.fills(agent, NOW)}
    assert rows["endpoints"] == (3, LIMITS["endpoints"])
    assert rows["conntrack"] == (1, 262144)
    assert set(DERIVED) < set(rows)
    monkeypatch.setattr(views, "LIMITS", {**LIMITS, "endpoints": 3})
    assert views.status(agent)["problems"] == ["map endpoints is 100% full (3 of 3)"]
