"""The alias table draws each backend by its weight, whatever the weights."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.compile.balance import ALWAYS, alias_table

ONE_DRAW = Fraction(1, 1 << 32)
weights = st.lists(st.integers(1, 1 << 20) | st.integers(1, 1 << 60), min_size=1, max_size=40)


def shares(table: list[tuple[int, int]]) -> list[Fraction]:
    """What bpf/lib/balance.h makes of it: a uniform slot, kept by the draws 0..keep."""
    found = [Fraction(0)] * len(table)
    for index, (keep, alias) in enumerate(table):
        kept = Fraction(keep + 1, 1 << 32)
        found[index] += kept / len(table)
        found[alias] += (1 - kept) / len(table)
    return found


@given(weights)
def test_shares_are_the_weights_to_within_one_draw(weights: list[int]) -> None:
    total = sum(weights)
    for share, weight in zip(shares(alias_table(weights)), weights, strict=True):
        assert abs(share - Fraction(weight, total)) <= ONE_DRAW


@given(weights)
def test_entries_fit_their_fields(weights: list[int]) -> None:
    for keep, alias in alias_table(weights):
        assert 0 <= keep <= ALWAYS
        assert 0 <= alias < len(weights)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_equal_weights_need_no_second_choice(count: int) -> None:
    assert alias_table([5] * count) == [(ALWAYS, index) for index in range(count)]


def test_of_nothing_there_is_no_choice() -> None:
    assert alias_table([]) == []


def test_a_weight_next_to_nothing_is_still_drawable() -> None:
    assert alias_table([1, 1 << 33])[0] == (0, 1)
