"""Maglev tables: even, the same everywhere, and steady when a backend comes or goes."""

from __future__ import annotations

from collections import Counter

import pytest

from tulle.compile.maglev import SIZES, maglev_table


def names(count: int) -> list[str]:
    return [f"10.0.{index // 250}.{index % 250}:80" for index in range(count)]


def shares(table: list[int]) -> list[int]:
    counts = Counter(table)
    return [counts[index] for index in range(max(counts) + 1)]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 50, 100])
def test_each_of_equal_backends_has_its_share(count: int) -> None:
    table = maglev_table(names(count), [1] * count)
    assert len(table) in SIZES
    assert max(shares(table)) - min(shares(table)) <= 1


def test_weights_are_proportions() -> None:
    table = maglev_table(names(3), [1, 2, 7])
    assert [round(10 * share / len(table)) for share in shares(table)] == [1, 2, 7]


def test_the_order_of_backends_does_not_matter() -> None:
    listed, weights = names(5), [1, 2, 3, 4, 5]
    table = [listed[index] for index in maglev_table(listed, weights)]
    back = listed[::-1]
    assert table == [back[index] for index in maglev_table(back, weights[::-1])]


@pytest.mark.parametrize("count", [3, 10, 40, 100])
def test_a_backend_that_goes_moves_its_own_share_and_few_more(count: int) -> None:
    listed = names(count)
    before = maglev_table(listed, [1] * count)
    for gone in (0, count // 2, count - 1):
        left = listed[:gone] + listed[gone + 1 :]
        after = maglev_table(left, [1] * (count - 1))
        moved = sum(listed[a] != left[b] for a, b in zip(before, after, strict=True))
        assert moved / len(before) <= 1 / count + 0.06


def test_tables_grow_with_the_backends() -> None:
    sizes = [len(maglev_table(names(count), [1] * count)) for count in (102, 103, 1600)]
    assert sizes == [1021, 16381, 16381]


def test_no_backend_is_no_table() -> None:
    assert maglev_table([], []) == []
