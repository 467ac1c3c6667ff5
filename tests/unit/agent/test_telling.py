"""The part of requests that is told follows how many there are."""

from __future__ import annotations

import pytest

from tulle.agent.telling import FEW_PER_S, HALF_LIFE_S, LEAST, PER_S, Telling


@pytest.mark.parametrize(
    ("one_in", "told", "followed", "expected"),
    [
        (1, 0, False, 1),
        (1, FEW_PER_S, False, 1),
        (1, FEW_PER_S + 1, False, 8),
        (1, 12_000, False, 256),
        (64, PER_S, False, 64),
        (64, PER_S // 2 + 1, False, 64),
        (64, PER_S // 2, False, 32),
        (64, 0, False, 1),
        (64, 12_000, True, 1),
        (LEAST, 10**9, False, LEAST),
    ],
)
def test_what_follows(one_in: int, told: int, followed: bool, expected: int) -> None:
    telling = Telling(one_in)
    telling.observe(told, 1.0, followed)
    assert telling.one_in == expected


def test_steady_load_finds_its_place_and_stays_there() -> None:
    telling, seen = Telling(), set()
    for _ in range(100):
        telling.observe(9_000 // telling.one_in // 2, 0.5, followed=False)
        seen.add(telling.one_in)
    assert seen == {256}


def test_a_burst_is_remembered_for_a_while() -> None:
    telling, seen = Telling(), []
    telling.observe(PER_S * 64, 1.0, followed=False)
    for _ in range(int(7 * HALF_LIFE_S)):
        seen.append(telling.one_in)
        telling.observe(0, 1.0, followed=False)
    assert seen == sorted(seen, reverse=True)
    assert (seen[0], seen[int(HALF_LIFE_S) - 1], seen[-1]) == (64, 64, 1)
