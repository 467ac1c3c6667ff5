"""Old news are not admitted, whatever order and however often they come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tulle.edges.kubernetes.ordering import TOMBSTONES, Fence, later
from tulle.edges.kubernetes.wire import Item, Key

A, B = ("n", "a"), ("n", "b")


def fence(*items: Item, version: str = "10") -> Fence:
    made = Fence()
    made.restart({item.key: item.version for item in items}, version)
    return made


def test_what_is_known_already_is_no_news() -> None:
    held = fence(Item(A, "7", b""))
    assert not held.admits(A, "7")
    assert not held.admits(A, "6")
    assert held.admits(A, "11")
    assert not held.admits(A, "11")


def test_what_a_list_lacks_was_deleted_before_it() -> None:
    held = fence(version="10")
    assert not held.admits(A, "9")
    assert held.admits(A, "11")


def test_a_deletion_that_overtook_a_change_stays() -> None:
    held = fence(Item(A, "7", b""))
    assert held.dropped(A, "12")
    assert not held.admits(A, "11")
    assert held.admits(A, "13"), "made again"
    assert not held.dropped(A, "12"), "the deletion of its forerunner"


def test_a_deletion_by_the_version_of_what_it_deleted() -> None:
    held = fence(Item(A, "7", b""))
    assert held.dropped(A, "7")
    assert not held.admits(A, "7")


def test_a_new_list_is_the_truth_also_if_it_is_older() -> None:
    held = fence(Item(A, "70", b""), version="80")
    held.restart({A: "7"}, "8")  # the server came back from a backup
    assert held.admits(A, "9")


def test_versions_without_order_are_admitted() -> None:
    held = fence(Item(A, "x", b""), version="y")
    assert held.admits(A, "x")
    assert held.admits(A, "w")
    assert held.dropped(A, "w")
    assert held.admits(A, "5")


def test_the_last_deletions_are_remembered() -> None:
    held = fence(version="10")
    for number in range(TOMBSTONES + 1):
        assert held.dropped(("n", str(number)), str(100 + number))
    assert not held.admits(("n", "1"), "50")
    assert held.admits(("n", "0"), "50"), "forgotten, or they would be for ever"


def test_where_to_go_on() -> None:
    assert later("10", "9") == "10"
    assert later("9", "10") == "10"
    assert later("x", "y") == "y"
    assert later("10", "") == "10"


Change = tuple[Key, int, bool]


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.booleans()), max_size=12), st.data())
def test_any_order_comes_to_the_same(
    steps: list[tuple[tuple[str, str], bool]], data: st.DataObject
) -> None:
    history: list[Change] = [(key, 11 + at, there) for at, (key, there) in enumerate(steps)]
    truth: dict[Key, int] = {}
    for key, version, is_there in history:
        if is_there:
            truth[key] = version
        else:
            truth.pop(key, None)
    again = data.draw(st.lists(st.sampled_from(history), max_size=6)) if history else []
    held, seen = fence(version="10"), dict[Key, int]()
    for key, version, is_there in data.draw(st.permutations(history + again)):
        if is_there and held.admits(key, str(version)):
            seen[key] = version
        if not is_there and held.dropped(key, str(version)):
            seen.pop(key, None)
    assert seen == truth
