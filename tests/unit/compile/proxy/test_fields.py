from __future__ import annotations

import pytest

from tulle.compile.proxy.fields import fraction, literal, milliseconds, quoted


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, (0, 0)), (1, (0, 1_000_000)), (1500, (1, 500_000_000)), (60_000, (60, 0))],
)
def test_milliseconds(count: int, expected: tuple[int, int]) -> None:
    assert tuple(milliseconds(count).values()) == expected


@pytest.mark.parametrize(
    ("share", "parts"), [((1, 1), 1_000_000), ((0, 7), 0), ((1, 3), 333_333), ((25, 100), 250_000)]
)
def test_fraction(share: tuple[int, int], parts: int) -> None:
    assert fraction(*share)["default_value"] == {"numerator": parts, "denominator": "MILLION"}


def test_literal() -> None:
    assert literal("100% of %REQ(a)%") == "100%% of %%REQ(a)%%"


def test_quoted() -> None:
    assert quoted("/a_b-1.é+(x)") == "/a_b\\-1\\.é\\+\\(x\\)"
