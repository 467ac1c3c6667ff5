"""What policy sets speak of finds room, or is refused by name."""

from __future__ import annotations

import pytest

from tulle.abi import NameScope
from tulle.compile.fqdns import Scope, Trie, trie_of
from tulle.compile.spoken import Names, Spoken

LIMITS = {"dns_rules": 1, "fqdns": 3, "globs": 1}


def spoken(number: int, *patterns: str, asked: tuple[int, ...] = ()) -> Spoken:
    selectors = {pattern: place for place, pattern in enumerate(patterns, 100)}
    tries = {item: Trie() for item in asked}
    return Spoken(selectors, trie_of(Scope(NameScope.SET, number), selectors), tries)


@pytest.mark.parametrize(
    ("more", "full"),
    [
        (spoken(2, "c.example"), ""),
        (spoken(2, "c.example", "d.example"), "fqdns"),
        (spoken(1, "a.example", "b*.example"), ""),  # the very same set
        (spoken(2, "b*.example"), ""),  # another's pattern is matched once
        (spoken(2, "c*.example"), "globs"),
        (spoken(2, asked=(7,)), ""),
        (spoken(2, asked=(8,)), "dns_rules"),
    ],
)
def test_what_has_no_room_is_named_by_its_map(more: Spoken, full: str) -> None:
    names = Names(LIMITS)
    names.add(1, spoken(1, "a.example", "b*.example", asked=(7,)))
    number = 1 if "a.example" in more.selectors else 2
    problem = names.problem(number, more)
    assert (full in problem) if full else problem == ""


def test_parts_stay_as_they_are() -> None:
    names = Names(LIMITS)
    names.add(1, spoken(1, "b*.example"))
    before = dict(names.parts((), {}))
    [part] = before.values()
    assert [key for key, _ in names.parts((), before)] == [("glob", 100)]
    assert next(iter(names.parts((), before)))[1] is part
    assert names.rows(1) and not names.rows(2)
