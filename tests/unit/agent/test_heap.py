"""The collector rests while the first world is read, and leaves that world alone afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tulle.agent import heap


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    gc.enable()


def test_the_collector_rests_and_then_works_on_what_is_new() -> None:
    heap.before_the_first_world()
    assert not gc.isenabled()
    world = [[number] for number in range(1000)]
    heap.after_the_first_world()
    assert gc.isenabled() and gc.get_freeze_count() > len(world)
    assert not any(item is world for item in gc.get_objects())
