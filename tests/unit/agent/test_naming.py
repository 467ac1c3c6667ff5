"""Numbers of the present and of the recent past have names."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.agent.passes import pass_of
from tests.unit.compile.objects import workload, world_of
from tulle.agent import naming
from tulle.agent.naming import Naming
from tulle.model.paths import NodePaths

WEB, DB = workload("web-1", app="web"), workload("db-2", app="db")
CGROUPS = {WEB.key: {11, 12}, DB.key: {21}}
POLICY = """
kind: NetworkPolicy
metadata: {name: p}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}
"""


@pytest.fixture
def agent() -> Any:
    return SimpleNamespace(
        hearing=SimpleNamespace(names=lambda _ifindex, _address: ()),
        paths=NodePaths("lab-1"),
        current=None,
        cgroup_ids=lambda key: CGROUPS[key],
    )


def test_before_the_first_pass_only_the_node_has_a_name(agent: Any) -> None:
    names = Naming(agent).names()
    assert names.node == "lab-1" and not names.workloads


def test_every_number_of_the_present_has_its_name(agent: Any) -> None:
    agent.current = pass_of(world_of(WEB, DB, text=POLICY))
    names = Naming(agent).names()
    assert names.workloads == {ip_address("10.0.0.1"): WEB, ip_address("10.0.0.2"): DB}
    assert names.cgroups == {11: WEB, 12: WEB, 21: DB}
    assert {str(rule) for rule in names.rules.values()} >= {"NetworkPolicy shop/p ingress[0]"}
    assert names.clock_offset_ns > 0


def test_names_are_made_once_a_pass(agent: Any) -> None:
    agent.current = pass_of(world_of(WEB))
    named = Naming(agent)
    assert named.names() is named.names()
    agent.current = pass_of(world_of(WEB), agent.current)
    first = named.names()
    assert first is named.names()


def test_what_is_gone_keeps_its_name(agent: Any) -> None:
    named = Naming(agent)
    agent.current = pass_of(world_of(WEB, DB, text=POLICY))
    before = named.names()
    agent.current = pass_of(world_of(DB), agent.current)
    after = named.names()
    assert after.workloads == before.workloads and after.cgroups == before.cgroups
    assert after.rules == before.rules
    assert before.identities.items() <= after.identities.items()


def test_an_address_that_was_given_out_again_has_its_new_name(agent: Any) -> None:
    named = Naming(agent)
    agent.current = pass_of(world_of(WEB))
    named.names()
    heir = workload("db-2", "10.0.0.1")
    agent.current = pass_of(world_of(heir), agent.current)
    assert named.names().workloads == {ip_address("10.0.0.1"): heir}


def test_of_the_past_the_latest_is_kept(agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "REMEMBERED", 2)
    agent.cgroup_ids = lambda key: ()
    named = Naming(agent)
    for number in range(1, 8):
        agent.current = pass_of(world_of(workload(f"w-{number}")), agent.current)
        names = named.names()
    assert [item.name for item in names.workloads.values()] == ["w-5", "w-6", "w-7"]


def test_workloads_of_other_nodes_have_names_too(agent: Any) -> None:
    named = Naming(agent)
    far = replace(workload("far-9"), node="east", ifindex=0)
    world = replace(world_of(DB), remote={"east": {far.key: far}})
    agent.current = pass_of(world)
    assert named.names().workloads[ip_address("10.0.0.9")] is far


def test_what_did_not_change_is_not_named_again(agent: Any) -> None:
    named = Naming(agent)
    world = world_of(WEB, DB, text=POLICY)
    agent.current = pass_of(world)
    before = named.names()
    agent.current = pass_of(replace(world, slices={}), agent.current)
    after = named.names()
    assert after is not before
    for part in ("workloads", "identities", "rules", "services", "service_addresses"):
        assert getattr(after, part) is getattr(before, part), part
