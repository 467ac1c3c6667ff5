"""Numbers stay with their names and are not given to another soon."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.compile.ids import SPACES, Allocator, Ids, Space

names = st.sets(st.sampled_from("abcdefgh"), max_size=5)


def compiled(before: Ids, *names: str, kind: str = "rule") -> Ids:
    """A compilation in which these names occur."""
    allocator = Allocator(before)
    for name in names:
        allocator.get(kind, name)
    return allocator.freeze()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Space:
    space = Space(4, 10)
    monkeypatch.setitem(SPACES, "rule", space)  # type: ignore[arg-type]
    return space


def test_a_name_has_one_number_within_a_compilation() -> None:
    allocator = Allocator(Ids())
    assert allocator.get("rule", "a") == allocator.get("rule", "a") != allocator.get("rule", "b")


@given(st.lists(names, max_size=8))
def test_a_name_keeps_its_number_as_long_as_it_occurs(passes: list[set[str]]) -> None:
    before = Ids()
    for present in passes:
        after = compiled(before, *sorted(present))
        old, new = before.taken.get("rule", {}), after.taken["rule"]
        assert set(new) == present
        assert len(set(new.values())) == len(new)
        assert all(new[name] == old[name] for name in present & old.keys())
        before = after


@given(st.lists(names, max_size=8))
def test_a_number_that_was_given_back_is_not_given_out_again(passes: list[set[str]]) -> None:
    ids, owners = Ids(), dict[int, tuple[str, int]]()
    lives: dict[str, int] = {}
    for present in passes:
        gone = set(ids.taken.get("rule", {})) - present
        ids = compiled(ids, *sorted(present))
        for name in gone:
            lives[name] = lives.get(name, 0) + 1
        for name, number in ids.taken["rule"].items():
            owner = (name, lives.get(name, 0))
            assert owners.setdefault(number, owner) == owner


def test_kinds_count_apart() -> None:
    allocator = Allocator(Ids())
    for kind, space in SPACES.items():
        assert allocator.get(kind, "a") == space.first


def test_the_counter_goes_round_and_leaves_out_what_is_in_use(tiny: Space) -> None:
    ids = compiled(Ids(), "stays")
    seen = []
    for number in range(8):
        ids = compiled(ids, "stays", f"n{number}")
        seen.append(ids.number("rule", f"n{number}"))
    assert seen == [5, 6, 7, 8, 9, 5, 6, 7]
    assert ids.number("rule", "stays") == 4


def test_a_name_that_goes_leaves_its_number_busy_for_that_compilation(tiny: Space) -> None:
    """The kernel still holds the old meaning until the apply has ended."""
    ids = compiled(Ids(), "a", "b", "c", "d", "e")  # 4 to 8
    assert compiled(ids, "x").taken["rule"] == {"x": 9}
    assert compiled(compiled(ids, "b", "x"), "b", "y").taken["rule"] == {"b": 5, "y": 4}


def test_the_ids_before_are_left_as_they_were() -> None:
    before = compiled(Ids(), "a")
    kept = dict(before.taken["rule"]), dict(before.next)
    compiled(before, "b")
    assert (before.taken["rule"], before.next) == kept


def test_all_names_are_kept_at_once_but_those_that_are_gone() -> None:
    before = compiled(Ids(), "a", "b", "c")
    allocator = Allocator(before)
    allocator.keep("rule", ["b"])
    assert allocator.get("rule", "d") not in before.taken["rule"].values()
    assert allocator.freeze().taken["rule"].keys() == {"a", "c", "d"}


def test_a_name_that_was_gone_and_occurs_again_has_its_number() -> None:
    before = compiled(Ids(), "a", "b")
    allocator = Allocator(before)
    allocator.keep("rule", ["b"])
    assert allocator.get("rule", "b") == before.number("rule", "b")


def test_what_has_not_changed_is_the_same_object() -> None:
    before = compiled(Ids(), "a")
    assert compiled(before, "a") is before
    allocator = Allocator(before)
    for kind in SPACES:
        allocator.keep(kind)
    assert allocator.freeze() is before
