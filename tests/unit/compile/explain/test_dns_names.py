from __future__ import annotations

import pytest

from tulle.compile.explain.dns_names import matches, selects
from tulle.model.cilium import FQDNSelector


def test_a_name_is_that_name() -> None:
    selector = FQDNSelector(match_name="API.example.")
    assert selects(selector, "api.example")
    assert not selects(selector, "www.api.example")


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*", ["", "a", "a.example"], ["a.b+c"]),
        ("*.example", ["a.example"], ["example", "a.b.example"]),
        ("**.example", ["a.example", "a.b.example"], ["example", "aexample"]),
        ("sub*.example", ["sub.example", "sub-1.example"], ["a.sub.example", "su.example"]),
        ("*example", ["example", "anexample"], ["a.example"]),
        ("**.a*.example", ["b.a.example", "c.b.ab.example"], ["a.example", "b.c.example"]),
    ],
)
def test_patterns_are_ciliums(pattern: str, yes: list[str], no: list[str]) -> None:
    assert all(matches(pattern, name) for name in yes)
    assert not any(matches(pattern, name) for name in no)
