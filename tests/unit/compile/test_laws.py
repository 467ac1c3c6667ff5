"""What holds of every world, every change and every moment half-way through it."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given, settings

from tests.unit.compile.evaluate import evaluate, judge_egress, judge_ingress, verdict_of
from tests.unit.compile.worlds import (
    mutated,
    policies_mutated,
    random_flow,
    random_world,
    randoms,
    worlds,
)
from tulle.compile import Ids, compile_world
from tulle.compile.diff import apply, diff
from tulle.compile.explain import explain
from tulle.model.world import World


@given(randoms)
@settings(max_examples=150, deadline=None)
def test_the_image_says_what_explain_says(rng: Random) -> None:
    world = random_world(rng)
    compiled = compile_world(world, Ids())
    for _ in range(10):
        flow = random_flow(rng, world)
        assert verdict_of(compiled, evaluate(compiled.image, flow)) == explain(world, flow)


@given(worlds, randoms)
@settings(max_examples=30, deadline=None)
def test_the_order_of_events_leaves_no_trace(world: World, rng: Random) -> None:
    def shuffled(items: Any) -> Any:
        pairs = list(items.items())
        rng.shuffle(pairs)
        return dict(pairs)

    other = replace(
        world,
        namespaces=shuffled(world.namespaces),
        workloads=shuffled(world.workloads),
        services=shuffled(world.services),
        slices=shuffled(world.slices),
        policies=shuffled(world.policies),
    )
    assert compile_world(other, Ids()) == compile_world(world, Ids())


@given(randoms)
@settings(max_examples=50, deadline=None)
def test_a_diff_arrives_and_then_rests(rng: Random) -> None:
    world = random_world(rng)
    before = compile_world(world, Ids())
    after = compile_world(mutated(rng, world), before.ids)
    arrived = apply(diff(before.image, after.image), before.image)
    assert arrived == after.image
    assert diff(arrived, after.image) == []


def test_half_way_through_a_change_of_policy_each_side_is_old_or_new() -> None:
    """So a flow whose two sides are judged alike before and after is never judged otherwise."""
    rng = Random(1)
    for _ in range(60):
        world = random_world(rng)
        before = compile_world(world, Ids())
        after = compile_world(policies_mutated(rng, world), before.ids)
        sides = [
            (judge, flow, {judge(before.image, flow)[0], judge(after.image, flow)[0]})
            for flow in (random_flow(rng, world) for _ in range(10))
            for judge in (judge_egress, judge_ingress)
        ]
        image = apply([], before.image)
        for change in diff(before.image, after.image):
            if change.value is None:
                del image[change.map][change.key]
            else:
                image[change.map][change.key] = change.value
            for judge, flow, either in sides if change.map != "rules" else ():
                assert judge(image, flow)[0] in either, (change, flow)
