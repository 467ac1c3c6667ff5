"""The one form of all policies says what the objects say."""

from random import Random

import pytest

from tests.unit.compile.interpret import verdict_of
from tests.unit.compile.shrinking import render, shrink
from tests.unit.compile.worlds import mutated, random_flow, random_world
from tulle.compile.explain import explain
from tulle.compile.translate import Translated, policies_of
from tulle.model.verdict import Flow
from tulle.model.world import World

WORLDS, FLOWS = 600, 25


def test_translated_policies_decide_as_explain_does() -> None:
    rng = Random(7)
    world, before = World(), Translated()
    for _ in range(WORLDS):
        world = mutated(rng, world) if rng.random() < 0.7 else random_world(rng)
        before = policies_of(world, before)
        for _ in range(FLOWS):
            flow = random_flow(rng, world)
            if verdict_of(world, before.policies, flow) != explain(world, flow):
                pytest.fail(_report(world, flow), pytrace=False)


def _report(world: World, flow: Flow) -> str:
    def differs(candidate: World) -> bool:
        found = verdict_of(candidate, policies_of(candidate).policies, flow)
        return found != explain(candidate, flow)

    small = shrink(world, differs) if differs(world) else world
    return (
        f"{render(small, flow)}\nexplain:    {explain(small, flow)}\n"
        f"translated: {verdict_of(small, policies_of(small).policies, flow)}"
    )
