"""Entries of one layout in another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.btf import Scalar
from tulle.edges.bpf.relayout import number, numbers, packed, plan
from tulle.errors import AbiMismatch


def little(*parts: tuple[str, int]) -> dict[str, Scalar]:
    """Numbers one after another: name and size of each; those called `port…` in network order."""
    found, at = {}, 0
    for name, size in parts:
        found[name] = Scalar(at, size, name.startswith("port"))
        at += size
    return found


OLD = little(("seen", 8), ("port", 2), ("pad", 2), ("flags", 4))
NEW = little(("flags", 4), ("port", 2), ("pad16", 2), ("pad32", 4), ("rule", 4), ("seen", 8))


def test_numbers_go_where_their_names_are() -> None:
    old = packed(OLD, {"seen": 77, "port": 8080, "flags": 5})
    assert numbers(NEW, plan(OLD, NEW).convert(old)) == {
        "flags": 5,
        "port": 8080,
        "pad16": 0,
        "pad32": 0,
        "rule": 0,
        "seen": 77,
    }


@given(st.lists(st.integers(0, (1 << 32) - 1)))
def test_many_entries_at_once_are_each_one_alone(flags: list[int]) -> None:
    carry = plan(OLD, NEW)
    entries = [packed(OLD, {"flags": item, "port": item & 0xFFFF}) for item in flags]
    assert carry.convert(b"".join(entries)) == b"".join(map(carry.convert, entries))


@pytest.mark.parametrize("name", ["count", "port"])
def test_a_number_that_got_more_room_keeps_its_value(name: str) -> None:
    old, new = little((name, 2)), little(("other", 4), (name, 4))
    assert numbers(new, plan(old, new).convert(packed(old, {name: 0x1234})))[name] == 0x1234


def test_a_number_that_changed_its_byte_order_keeps_its_value() -> None:
    old, new = {"mark": Scalar(0, 4, False)}, {"mark": Scalar(0, 4, True)}
    assert plan(old, new).convert(b"\x01\x02\x03\x04") == b"\x04\x03\x02\x01"


def test_a_number_with_less_room_is_refused() -> None:
    with pytest.raises(AbiMismatch, match="seen has 4 bytes now, and had 8"):
        plan(little(("seen", 8)), little(("seen", 4)))


def test_what_is_no_more_is_left_out_of_a_value() -> None:
    assert numbers(
        little(("b", 4)),
        plan(little(("a", 4), ("b", 4)), little(("b", 4))).convert(
            packed(little(("a", 4), ("b", 4)), {"a": 1, "b": 2})
        ),
    ) == {"b": 2}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (little(("a", 4), ("b", 4)), little(("a", 4))),
        (little(("a", 4)), little(("a", 4), ("b", 4))),
    ],
)
def test_a_key_of_other_parts_is_refused(old: dict[str, Scalar], new: dict[str, Scalar]) -> None:
    with pytest.raises(AbiMismatch, match=r"other parts now \(b\)"):
        plan(old, new, is_key=True)


def test_padding_makes_no_other_key() -> None:
    old, new = little(("a", 4), ("pad", 4)), little(("a", 4), ("pad16", 2), ("pad[0]", 1))
    assert plan(old, new, is_key=True).convert(packed(old, {"a": 9})) == b"\x09" + bytes(6)


def test_one_number_of_an_entry() -> None:
    assert number(b"\x00\x00\x1f\x90", Scalar(2, 2, True)) == 8080
