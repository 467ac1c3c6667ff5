"""The truth tables of policy: what is written down, on real connections, by `explain` and in C.

truth/*.yaml has the cases. Each is tried by a real client, asked of the agent as `tulle explain`
does, and judged by the C decision on the running node's own maps: with all workloads on one node,
and with the two namespaces on one each. `tulle observe` has to name the
rule of every denial as `explain` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cases import World, worlds
from tests.e2e.conftest import Clusters
from tests.e2e.town import Town

TABLES = sorted((Path(__file__).parent / "truth").glob("*.yaml"))
WORLDS = [world for table in TABLES for world in worlds(table)]


@pytest.fixture(scope="module", params=["a", "b"], ids=["one node", "two nodes"])
def town(request: pytest.FixtureRequest, clusters: Clusters) -> Iterator[Town]:
    homes = {"shop": "a", "bank": request.param}
    with clusters("truth", sorted(set(homes.values())), "--routing", "vxlan") as cluster:
        made = Town(cluster, homes)
        yield made
        made.close()


def test_there_are_enough_cases() -> None:
    by_table = [sum(len(world.cases) for world in worlds(table)) for table in TABLES]
    assert len(TABLES) == 3 and sum(by_table) >= 500 and max(by_table) >= 200


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_all_say_what_is_written(town: Town, world: World) -> None:
    town.enforce(world)
    explained = {case: town.explain(case) for case in world.cases}
    judged = {case: town.judge(case) for case in world.cases}
    tried = town.try_all(world.cases)
    wrong = [
        f"{case.text}: {tried[case]}; explain {explained[case]}; C {judged[case].sign}"
        for case in world.cases
        if (tried[case], explained[case].sign, judged[case].sign)
        != (case.wanted, case.sign, case.sign)
    ]
    assert not wrong, "\n" + "\n".join(wrong)
    denied = {town.key(case): explained[case].rule for case in world.cases if not case.allowed}
    town.wait_for_rules(denied, "DROPPED")
    audited = {town.key(case): explained[case].rule for case in world.cases if case.sign == "~"}
    town.wait_for_rules(audited, "AUDIT")


def test_an_empty_peer_is_refused(town: Town) -> None:
    """Kubernetes asks for a peer, too: what `from: [{}]` would mean is anybody's guess."""
    spec = {"podSelector": {}, "ingress": [{"from": [{}]}]}
    world = World("an empty peer", {"NetworkPolicy shop/nobody": spec}, ())
    with pytest.raises(AssertionError, match=r"from\[0\]"):
        town.enforce(world)


def test_the_command_says_what_the_agent_says(town: Town) -> None:
    [world] = [item for item in WORLDS if item.name == "egress"]
    town.enforce(world)
    for case in world.cases[:6]:
        verdict = {True: "FORWARDED", False: "DROPPED"}[case.allowed]
        assert town.explain_by_command(case)["verdict"] == verdict
