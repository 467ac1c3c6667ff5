"""The Python that is generated packs what the C compiler laid out."""

from __future__ import annotations

from typing import Any

import pytest

from tools.gen_abi import enum_source, generate, in_order
from tulle.btf import Abi, Field, Layout, MapLayout

ADDR = Layout(16, (Field("word", "__be32", 0, 4, 4),))
END = Layout(
    20,
    (
        Field("addr", "addr", 0, 16, 0),
        Field("port", "__be16", 16, 2, 0),
        Field("pad", "__u8", 18, 1, 2),
    ),
)
PATH = Layout(
    56,
    (
        Field("ends", "end", 0, 20, 2),
        Field("marks", "__u16", 40, 2, 2),
        Field("kind", "__u8", 44, 1, 0),
        Field("pad8", "__u8", 45, 1, 3),
        Field("time_ns", "__u64", 48, 8, 0),
    ),
)
ABI = Abi(
    {"path_kind": {"PATH_KIND_SHORT": 1, "PATH_KIND_LONG_WAY": 2}},
    {"addr": ADDR, "path": PATH, "end": END},
    {"paths": MapLayout(1, "addr", "path", 10), "ring": MapLayout(27, "", "", 4096)},
)


@pytest.fixture(scope="module")
def generated() -> dict[str, Any]:
    found: dict[str, Any] = {"__name__": "generated"}
    exec(generate(ABI), found)  # noqa: S102
    return found


def test_a_struct_packs_to_its_layout(generated: dict[str, Any]) -> None:
    end, path = generated["End"], generated["Path"]
    ends = end(b"a" * 16, 0x1234), end(b"b" * 16, 80)
    raw = path(ends, (1, 2), 3, 4).pack()
    assert (
        raw
        == (
            b"a" * 16 + b"\x12\x34\0\0" + b"b" * 16 + b"\0\x50\0\0"  # ports in network order
            b"\x01\0\x02\0" + b"\x03\0\0\0" + b"\x04" + bytes(7)
        )
    )
    assert path.unpack(raw) == path(ends, (1, 2), 3, 4)


def test_fields_that_are_not_given_are_zero(generated: dict[str, Any]) -> None:
    assert generated["Path"]().pack() == bytes(56)


def test_padding_is_no_field_and_what_stands_in_it_is_not_read(generated: dict[str, Any]) -> None:
    end = generated["End"]
    assert end._fields == ("addr", "port")
    assert end.unpack(bytes(18) + b"xx") == end()


def test_structs_come_before_those_that_hold_them() -> None:
    assert in_order(ABI.structs) == ["end", "path"]


def test_maps_have_the_sizes_of_their_types(generated: dict[str, Any]) -> None:
    assert generated["MAPS"] == {"paths": (1, 16, 56, 10), "ring": (27, 0, 0, 4096)}
    assert generated["ABI_HASH"] == ABI.hash


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"PATH_KIND_SHORT": 1, "PATH_KIND_LONG_WAY": 2}, ["SHORT", "LONG_WAY"]),
        ({"CT_FIN_0": 1, "CT_FIN_1": 2, "CT_RST": 4}, ["FIN_0", "FIN_1", "RST"]),
        ({"CT_RST": 4}, ["RST"]),
        ({"A_REASON": 1, "A_REASON_TOO": 2}, ["REASON", "REASON_TOO"]),
        ({"ONE": 1, "TWO": 2}, ["ONE", "TWO"]),
    ],
)
def test_enums_lose_the_words_that_all_names_share(
    values: dict[str, int], names: list[str]
) -> None:
    lines = enum_source("path_kind", values).splitlines()
    assert lines[0] == "class PathKind(IntEnum):"
    expected = [f"{name} = {value}" for name, value in zip(names, values.values(), strict=True)]
    assert [line.strip() for line in lines[1:]] == expected
