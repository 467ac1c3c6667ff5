"""Any time up to a limit that doubles."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from tulle.edges.kubernetes.backoff import Backoff


def test_the_limit_doubles_to_half_a_minute() -> None:
    backoff = Backoff(chance=lambda: 1.0)
    delays = [backoff.next() for _ in range(11)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    backoff.reset()
    assert backoff.next() == 0.1


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20))
def test_chance_takes_all_of_it(chances: list[float]) -> None:
    left: Iterator[float] = iter(chances)
    backoff = Backoff(chance=lambda: next(left))
    for count, chance in enumerate(chances):
        assert backoff.next() == min(0.1 * 2**count, 30.0) * chance
