"""Changes in an order that never leaves the kernel pointing at nothing, also when cut short."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from tests.unit.compile.evaluate import evaluate, judge_egress, judge_ingress
from tests.unit.compile.objects import workload, world_of
from tests.unit.compile.worlds import (
    mutated,
    policies_mutated,
    random_flow,
    random_world,
)
from tulle.abi import Endpoint, PolicyKey, Reason, Service, Slot, SlotKey
from tulle.compile import Ids, compile_world
from tulle.compile.diff import Change, Maps, apply, diff, moves_verdicts
from tulle.compile.parts import flat

PAIR = (workload("web-1", app="web", tier="front"), workload("db-2", app="db"))
BY_APP = """
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
"""
BY_TIER = BY_APP.replace("app: web", "tier: front")


def dangling(image: Maps) -> list[str]:
    """What an image's entries refer to and it does not hold."""
    sets = {PolicyKey.unpack(key).set for key in image["policy"]} | {0}
    missing = []
    for value in image["endpoints"].values():
        entry = Endpoint.unpack(value)
        missing += [f"set {n}" for n in (entry.ingress_set, entry.egress_set) if n not in sets]
    for value in image["services"].values():
        service = Service.unpack(value)
        for table in (service.internal, service.external, service.local):
            for index in range(table.slots):
                slot = image["slots"].get(SlotKey(table.id, index).pack())
                if slot is None:
                    missing.append(f"slot {table.id}/{index}")
                elif Slot.unpack(slot).backend.to_bytes(8, "little") not in image["backends"]:
                    missing.append(f"backend of {table.id}/{index}")
    return missing


def test_equal_images_need_no_change() -> None:
    assert diff({}, {}) == []
    assert diff({"a": {"rules": {b"k": b"v"}}}, {"b": {"rules": {b"k": b"v"}}}) == []


def test_an_entry_is_put_replaced_or_deleted() -> None:
    have = {"a": {"slots": {b"old": b"1", b"same": b"1", b"changed": b"1"}}}
    want = {"a": {"slots": {b"new": b"1", b"same": b"1", b"changed": b"2"}}}
    assert diff(have, want) == [
        Change("slots", b"new", b"1"),
        Change("slots", b"changed", b"2"),
        Change("slots", b"old"),
    ]


def test_an_entry_that_goes_to_another_part_stays() -> None:
    have = {"a": {"slots": {b"k": b"1"}}, "b": {"slots": {b"other": b"1"}}}
    want = {"b": {"slots": {b"other": b"1", b"k": b"2"}}}
    assert diff(have, want) == [Change("slots", b"k", b"2")]


def test_a_part_that_is_the_same_object_is_not_looked_into() -> None:
    part = {"slots": {b"k": b"1"}}
    assert diff({"a": part}, {"a": part, "b": {"slots": {b"n": b"1"}}}) == [
        Change("slots", b"n", b"1")
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


@pytest.mark.parametrize("seed", range(40))
def test_no_moment_of_an_apply_refers_to_what_is_missing(seed: int) -> None:
    rng = Random(seed)
    world = random_world(rng)
    before = compile_world(world, Ids())
    after = compile_world(mutated(rng, world), before.ids, before=before)
    maps = flat(before.image)
    for change in diff(before.image, after.image):
        maps = apply([change], maps)
        assert not dangling(maps), change


@pytest.mark.parametrize("seed", range(25))
def test_an_apply_that_was_cut_short_is_finished_as_safely(seed: int) -> None:
    """The next one starts from what the kernel has: half a set that is in force nowhere, say."""
    rng = Random(seed)
    world = random_world(rng)
    changed = policies_mutated(rng, world)
    before = compile_world(world, Ids())
    after = compile_world(changed, before.ids)
    old, new = flat(before.image), flat(after.image)
    changes = diff(before.image, after.image)
    maps: Maps = apply(changes[: rng.randint(0, len(changes))], old)
    flows = [random_flow(rng, world) for _ in range(8)]
    sides = [
        (judge, flow, {judge(old, flow).reason, judge(new, flow).reason})
        for flow in flows
        for judge in (judge_egress, judge_ingress)
    ]
    for change in diff({"kernel": maps}, after.image):
        maps = apply([change], maps)
        if change.map in ("endpoints", "ipcache", "policy"):
            for judge, flow, either in sides:
                assert judge(maps, flow).reason in either, (change, flow)
    assert maps == new


@pytest.mark.parametrize(("old", "new"), [(BY_APP, BY_TIER), (BY_TIER, BY_APP)])
def test_a_flow_is_allowed_while_policies_change_how_they_name_it(old: str, new: str) -> None:
    before = compile_world(world_of(*PAIR, text=old), Ids())
    after = compile_world(world_of(*PAIR, text=new), before.ids)
    flow = random_flow(Random(0), world_of(*PAIR))
    flow = replace(flow, src=PAIR[0].addresses[0], dst=PAIR[1].addresses[0])
    maps: Maps = flat(before.image)
    for change in diff(before.image, after.image):
        maps = apply([change], maps)
        assert evaluate(maps, flow).reason == Reason.ALLOWED, change


def test_a_policy_map_without_room_for_crossings_still_takes_the_change() -> None:
    before = compile_world(world_of(*PAIR, text=BY_APP), Ids())
    after = compile_world(world_of(*PAIR, text=BY_TIER), before.ids)
    old, new = flat(before.image), flat(after.image)
    room = len(old["policy"]) + len(new["policy"])
    maps: Maps = old
    for change in diff(before.image, after.image, policy_limit=room):
        maps = apply([change], maps)
        assert len(maps["policy"]) <= room
    assert maps == new
    crossed = diff(before.image, after.image)
    assert max(len(apply(crossed[:n], old)["policy"]) for n in range(len(crossed))) > room


SERVICE = """
kind: Service
metadata: {name: s}
spec: {clusterIP: 10.96.0.9, ports: [{port: 80}]}
"""


def test_a_service_that_comes_or_goes_moves_nobody() -> None:
    without = compile_world(world_of(*PAIR, text=BY_APP), Ids())
    having = compile_world(world_of(*PAIR, text=f"{BY_APP}---{SERVICE}"), without.ids)
    for have, want in ((without, having), (having, without)):
        changed = {change.map for change in diff(have.image, want.image)}
        assert changed == {"ipcache", "services"}
