"""Changes in an order that never leaves the kernel pointing at nothing, also when cut short."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings

from tests.unit.compile.evaluate import evaluate, judge_egress, judge_ingress
from tests.unit.compile.objects import workload, world_of
from tests.unit.compile.worlds import (
    mutated,
    policies_mutated,
    random_flow,
    random_world,
    randoms,
)
from tulle.abi import Endpoint, PolicyKey, Reason, Service, Slot, SlotKey
from tulle.compile import Ids, Image, compile_world
from tulle.compile.diff import Change, apply, diff, moves_verdicts

PAIR = (workload("web-1", app="web", tier="front"), workload("db-2", app="db"))
BY_APP = """
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
"""
BY_TIER = BY_APP.replace("app: web", "tier: front")


def dangling(image: Image) -> list[str]:
    """What an image's entries refer to and it does not hold."""
    sets = {PolicyKey.unpack(key).set for key in image["policy"]} | {0}
    missing = []
    for value in image["endpoints"].values():
        entry = Endpoint.unpack(value)
        missing += [f"set {n}" for n in (entry.ingress_set, entry.egress_set) if n not in sets]
    for value in image["services"].values():
        service = Service.unpack(value)
        for index in range(service.slots):
            slot = image["slots"].get(SlotKey(service.table, index).pack())
            if slot is None:
                missing.append(f"slot {service.table}/{index}")
            elif Slot.unpack(slot).backend.to_bytes(4, "little") not in image["backends"]:
                missing.append(f"backend of {service.table}/{index}")
    return missing


def test_equal_images_need_no_change() -> None:
    assert diff({}, {}) == []
    assert diff({"rules": {b"k": b"v"}}, {"rules": {b"k": b"v"}}) == []


def test_an_entry_is_put_replaced_or_deleted() -> None:
    have = {"slots": {b"old": b"1", b"same": b"1", b"changed": b"1"}}
    want = {"slots": {b"new": b"1", b"same": b"1", b"changed": b"2"}}
    assert diff(have, want) == [
        Change("slots", b"new", b"1"),
        Change("slots", b"changed", b"2"),
        Change("slots", b"old"),
    ]


def test_deleting_what_is_not_there_changes_nothing() -> None:
    assert apply([Change("slots", b"k")], {"slots": {b"other": b""}})["slots"] == {b"other": b""}


@pytest.mark.parametrize(
    ("name", "moves"),
    [
        ("policy", True),
        ("ipcache", True),
        ("endpoints", True),
        ("services", False),
        ("slots", False),
        ("backends", False),
        ("rules", False),
    ],
)
def test_connections_are_judged_again_only_when_verdicts_may_move(name: str, moves: bool) -> None:
    assert moves_verdicts([Change("rules", b"", b""), Change(name, b"", b"")]) is moves
    assert not moves_verdicts([])


@given(randoms)
@settings(max_examples=40, deadline=None)
def test_no_moment_of_an_apply_refers_to_what_is_missing(rng: Random) -> None:
    world = random_world(rng)
    before = compile_world(world, Ids())
    after = compile_world(mutated(rng, world), before.ids)
    image = before.image
    for change in diff(before.image, after.image):
        image = apply([change], image)
        assert not dangling(image), change


@pytest.mark.parametrize("seed", range(25))
def test_an_apply_that_was_cut_short_is_finished_as_safely(seed: int) -> None:
    """The next one starts from what the kernel has: half a set that is in force nowhere, say."""
    rng = Random(seed)
    world = random_world(rng)
    changed = policies_mutated(rng, world)
    before = compile_world(world, Ids())
    after = compile_world(changed, before.ids)
    changes = diff(before.image, after.image)
    image: Image = apply(changes[: rng.randint(0, len(changes))], before.image)
    flows = [random_flow(rng, world) for _ in range(8)]
    sides = [
        (judge, flow, {judge(before.image, flow)[0], judge(after.image, flow)[0]})
        for flow in flows
        for judge in (judge_egress, judge_ingress)
    ]
    for change in diff(image, after.image):
        image = apply([change], image)
        if change.map in ("endpoints", "ipcache", "policy"):
            for judge, flow, either in sides:
                assert judge(image, flow)[0] in either, (change, flow)
    assert image == after.image


@pytest.mark.parametrize(("old", "new"), [(BY_APP, BY_TIER), (BY_TIER, BY_APP)])
def test_a_flow_is_allowed_while_policies_change_how_they_name_it(old: str, new: str) -> None:
    before = compile_world(world_of(*PAIR, text=old), Ids())
    after = compile_world(world_of(*PAIR, text=new), before.ids)
    flow = random_flow(Random(0), world_of(*PAIR))
    flow = replace(flow, src=PAIR[0].addresses[0], dst=PAIR[1].addresses[0])
    image: Image = before.image
    for change in diff(before.image, after.image):
        image = apply([change], image)
        assert evaluate(image, flow)[0] == Reason.ALLOWED, change


def test_a_policy_map_without_room_for_crossings_still_takes_the_change() -> None:
    before = compile_world(world_of(*PAIR, text=BY_APP), Ids())
    after = compile_world(world_of(*PAIR, text=BY_TIER), before.ids)
    room = len(before.image["policy"]) + len(after.image["policy"])
    image: Image = before.image
    for change in diff(before.image, after.image, policy_limit=room):
        image = apply([change], image)
        assert len(image["policy"]) <= room
    assert image == after.image
    crossed = diff(before.image, after.image)
    assert max(len(apply(crossed[:n], before.image)["policy"]) for n in range(len(crossed))) > room
