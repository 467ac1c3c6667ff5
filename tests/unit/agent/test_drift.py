"""What a stranger changed is found, what a pass changes meanwhile is not taken for it."""

from __future__ import annotations

from tulle.agent.drift import Drift
from tulle.compile.diff import Change
from tulle.compile.parts import DERIVED, Image

IMAGE: Image = {
    "one": {"slots": {b"a": b"1"}, "rules": {b"r": b""}},
    "two": {"slots": {b"b": b"2"}},
}


def kernel(**maps: dict[bytes, bytes]) -> dict[str, dict[bytes, bytes]]:
    found = {"slots": {b"a": b"1", b"b": b"2"}, "rules": {b"r": b"counted"}}
    return {name: {} for name in DERIVED} | found | maps


def looked(*changes: Change, **maps: dict[bytes, bytes]) -> set[tuple[str, bytes]]:
    drift = Drift()
    drift.note([Change("slots", b"before", b"")])
    drift.begin()
    drift.note(changes)
    return drift.look(kernel(**maps), IMAGE)


def test_what_was_put_is_no_drift_and_counters_count() -> None:
    assert looked() == set()


def test_changed_missing_and_added_entries_are_found() -> None:
    assert looked(slots={b"a": b"x", b"c": b""}) == {
        ("slots", b"a"),
        ("slots", b"b"),
        ("slots", b"c"),
    }
    assert looked(rules={}) == {("rules", b"r")}
    assert looked(backends={b"x": b""}) == {("backends", b"x")}


def test_what_a_pass_changed_meanwhile_is_left_out() -> None:
    assert looked(Change("slots", b"b"), slots={b"a": b"x"}) == {("slots", b"a")}
    entries = {b"a": b"1", b"b": b"2", b"before": b""}
    assert looked(slots=entries) == {("slots", b"before")}  # noted before the look began
