"""What holds of every world, every change and every moment half-way through it."""

from __future__ import annotations

from dataclasses import fields, replace
from random import Random
from typing import Any

import pytest

from tests.unit.compile.evaluate import evaluate, judge_egress, judge_ingress, verdict_of
from tests.unit.compile.shrinking import render, shrink
from tests.unit.compile.worlds import (
    mutated,
    policies_mutated,
    random_flow,
    random_world,
)
from tulle.abi import Reason
from tulle.compile import Ids, compile_world
from tulle.compile.capacity import LIMITS
from tulle.compile.diff import apply, diff
from tulle.compile.explain import explain
from tulle.compile.parts import flat
from tulle.model.verdict import Flow, Verdict
from tulle.model.world import World


def test_the_image_says_what_explain_says() -> None:
    """One life of a node: what an earlier world left in the memo must not show."""
    rng = Random(3)
    world, compiled = World(), compile_world(World(), Ids())
    for _ in range(400):
        world = mutated(rng, world) if rng.random() < 0.7 else random_world(rng)
        compiled = compile_world(world, compiled.ids, before=compiled)
        maps = flat(compiled.image)
        for _ in range(25):
            flow = random_flow(rng, world)
            if verdict_of(compiled, evaluate(maps, flow)) != explain(world, flow):
                pytest.fail(_report(world, flow), pytrace=False)


def _report(world: World, flow: Flow) -> str:
    def found(candidate: World) -> Verdict:
        fresh = compile_world(candidate, Ids())
        return verdict_of(fresh, evaluate(flat(fresh.image), flow))

    def differs(candidate: World) -> bool:
        return found(candidate) != explain(candidate, flow)

    small = shrink(world, differs) if differs(world) else world
    return f"{render(small, flow)}\nexplain:  {explain(small, flow)}\ncompiled: {found(small)}"


@pytest.mark.parametrize("seed", range(80))
def test_what_was_before_saves_work_and_changes_nothing(seed: int) -> None:
    """Also where some map is too small."""
    rng = Random(seed)
    tight = {name: rng.choice((8, 20, 40)) for name in LIMITS if rng.random() < 0.2}
    limits = {**LIMITS, **tight}
    world, compiled = random_world(rng), None
    for _ in range(5):
        ids = compiled.ids if compiled else Ids()
        with_memo = compile_world(world, ids, limits, before=compiled)
        assert with_memo == compile_world(world, ids, limits)
        assert all(len(entries) <= limits[name] for name, entries in flat(with_memo.image).items())
        compiled = with_memo
        world = mutated(rng, world)


@pytest.mark.parametrize("seed", range(80))
def test_nothing_opens_where_a_map_is_too_small(seed: int) -> None:
    rng = Random(seed)
    limits = {**LIMITS, rng.choice(("policy", "rules", "ipcache")): rng.choice((4, 10, 20, 30))}
    world = random_world(rng)
    compiled = compile_world(world, Ids(), limits)
    maps = flat(compiled.image)
    for _ in range(40):
        flow = random_flow(rng, world)
        if explain(world, flow).reason == Reason.POLICY_DENIED:
            assert evaluate(maps, flow).reason != Reason.ALLOWED, render(world, flow)


def test_an_unchanged_world_makes_the_same_parts() -> None:
    world = random_world(Random(5))
    first = compile_world(world, Ids())
    second = compile_world(replace(world), first.ids, before=first)
    assert second.ids is first.ids
    assert all(second.image[name] is part for name, part in first.image.items())


@pytest.mark.parametrize("seed", range(30))
def test_the_order_of_events_leaves_no_trace(seed: int) -> None:
    rng = Random(seed)
    world = random_world(rng)

    def shuffled(items: Any) -> Any:
        pairs = list(items.items())
        rng.shuffle(pairs)
        return dict(pairs)

    parts = [item.name for item in fields(world) if isinstance(getattr(world, item.name), dict)]
    other = replace(world, **{name: shuffled(getattr(world, name)) for name in parts})
    assert compile_world(other, Ids()) == compile_world(world, Ids())


@pytest.mark.parametrize("seed", range(50))
def test_a_diff_arrives_and_then_rests(seed: int) -> None:
    rng = Random(seed)
    world = random_world(rng)
    before = compile_world(world, Ids())
    after = compile_world(mutated(rng, world), before.ids, before=before)
    arrived = apply(diff(before.image, after.image), flat(before.image))
    assert arrived == flat(after.image)
    assert diff({"kernel": arrived}, after.image) == []


@pytest.mark.parametrize("seed", range(30))
def test_no_entry_is_in_two_parts(seed: int) -> None:
    rng = Random(seed)
    image = compile_world(random_world(rng), Ids()).image
    size = sum(len(entries) for part in image.values() for entries in part.values())
    assert size == sum(map(len, flat(image).values()))


def test_half_way_through_a_change_of_policy_each_side_is_old_or_new() -> None:
    """So a flow whose two sides are judged alike before and after is never judged otherwise."""
    rng = Random(1)
    for _ in range(60):
        world = random_world(rng)
        before = compile_world(world, Ids())
        after = compile_world(policies_mutated(rng, world), before.ids, before=before)
        old, new = flat(before.image), flat(after.image)
        sides = [
            (judge, flow, {judge(old, flow).reason, judge(new, flow).reason})
            for flow in (random_flow(rng, world) for _ in range(10))
            for judge in (judge_egress, judge_ingress)
        ]
        maps = apply([], old)
        for change in diff(before.image, after.image):
            if change.value is None:
                del maps[change.map][change.key]
            else:
                maps[change.map][change.key] = change.value
            for judge, flow, either in sides if change.map != "rules" else ():
                assert judge(maps, flow).reason in either, (change, flow)
