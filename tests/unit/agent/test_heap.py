"""The collector looks at what is young while the first world is read, and leaves that alone."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tulle.agent import heap


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    heap.after_the_first_world.cache_clear()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def collections() -> list[int]:
    return [each["collections"] for each in gc.get_stats()]


def test_the_collector_leaves_a_world_alone() -> None:
    gc.collect()
    heap.before_the_first_world()
    _, *before = collections()
    world = [[number] for number in range(500_000)]
    _, *after = collections()
    assert after == before, "only what is young was looked at"
    heap.after_the_first_world()
    assert gc.get_freeze_count() > len(world)
    assert not any(item is world for item in gc.get_objects())


def test_worlds_after_the_first_are_looked_at() -> None:
    heap.before_the_first_world()
    heap.after_the_first_world()
    frozen = gc.get_freeze_count()
    later = [[number] for number in range(1000)]
    heap.after_the_first_world()
    assert gc.get_freeze_count() <= frozen
    assert any(item is later for item in gc.get_objects())
    assert gc.get_threshold()[2] < 100


def test_while_a_world_is_waited_for_what_is_young_is_freed() -> None:
    heap.before_the_first_world()
    (first, *_) = collections()
    for _ in range(300_000):
        cycle: list[object] = []
        cycle.append(cycle)
    assert collections()[0] > first
