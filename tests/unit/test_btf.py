"""What a compiled object says of itself, and what is refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tulle.btf import Abi, Field, Layout, MapLayout, Scalar, Types, _section, read_abi
from tulle.errors import AbiMismatch

Compiler = Callable[..., bytes]  # C source and flags → object

HEAD = """
typedef unsigned char __u8;
typedef unsigned short __be16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
#define EXPORT(kind, name) static kind name *abi_##name __attribute__((section(".abi"), used))
"""
MAP = """
struct {
    int (*type)[9]; int (*max_entries)[77]; __u32 *key; struct pair *value;
} table __attribute__((section(".maps"), used));
struct {
    int (*type)[27]; int (*max_entries)[4096];
} ring __attribute__((section(".maps"), used));
"""
PAIR = "struct pair { __u32 one; __be16 port; __u8 pad[2]; };\n"


@pytest.fixture
def compiled(tmp_path: Path) -> Compiler:
    def compile_(source: str, *flags: str) -> bytes:
        (tmp_path / "a.c").write_text(HEAD + source)
        command = ["clang-19", "-target", "bpf", "-g", "-O2", *flags, "-c", "a.c", "-o", "a.o"]
        subprocess.run(command, cwd=tmp_path, check=True)
        return (tmp_path / "a.o").read_bytes()

    return compile_


def test_structs_enums_and_maps_are_read(compiled: Compiler) -> None:
    source = f"""
{PAIR}
enum colour {{ COLOUR_RED = 1, COLOUR_BLUE = 64 }};
struct outer {{ __u64 when; struct pair pairs[2]; }};
{MAP}
EXPORT(struct, pair);
EXPORT(struct, outer);
EXPORT(enum, colour);
"""
    pair = Layout(
        8,
        (
            Field("one", "__u32", 0, 4, 0),
            Field("port", "__be16", 4, 2, 0),
            Field("pad", "__u8", 6, 1, 2),
        ),
    )
    outer = Layout(24, (Field("when", "__u64", 0, 8, 0), Field("pairs", "pair", 8, 8, 2)))
    assert read_abi(compiled(source)) == Abi(
        {"colour": {"COLOUR_RED": 1, "COLOUR_BLUE": 64}},
        {"pair": pair, "outer": outer},
        {"table": MapLayout(9, "__u32", "pair", 77), "ring": MapLayout(27, "", "", 4096)},
    )


@pytest.mark.parametrize(
    ("struct", "words"),
    [
        ("{ __u8 a; __u32 b; }", "struct bad has implicit padding before b"),
        ("{ __u64 a; __u8 b; }", "struct bad has implicit padding at its end"),
    ],
)
def test_implicit_padding_is_refused(compiled: Compiler, struct: str, words: str) -> None:
    source = f"{PAIR}{MAP}struct bad {struct}; EXPORT(struct, bad);"
    with pytest.raises(AbiMismatch, match=words):
        read_abi(compiled(source))


def test_a_union_cannot_cross_the_border(compiled: Compiler) -> None:
    source = f"{PAIR}{MAP}union u {{ __u32 a; __u32 b; }}; EXPORT(union, u);"
    with pytest.raises(AbiMismatch, match="cannot carry a type of BTF kind 5"):
        read_abi(compiled(source))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("COLOUR_RED = 1", "COLOUR_RED = 2"),
        ("__u32 one", "__u32 two"),
        ("[77]", "[78]"),
    ],
)
def test_the_hash_changes_with_anything_that_crosses(
    compiled: Compiler,
    before: str,
    after: str,
) -> None:
    source = f"""
{PAIR}
enum colour {{ COLOUR_RED = 1 }};
{MAP}
EXPORT(struct, pair);
EXPORT(enum, colour);
"""
    first = read_abi(compiled(source)).hash
    assert read_abi(compiled(f"{source}\nint unrelated(void) {{ return 1; }}")).hash == first
    assert read_abi(compiled(source.replace(before, after))).hash != first


def test_an_object_without_btf_is_refused(compiled: Compiler) -> None:
    with pytest.raises(AbiMismatch, match=r"the object has no \.BTF section"):
        read_abi(compiled("int f(void) { return 1; }", "-g0"))


def test_an_object_without_maps_or_exports_is_refused(compiled: Compiler) -> None:
    with pytest.raises(AbiMismatch, match=r"no \.abi section in its BTF"):
        read_abi(compiled("int f(void) { return 1; }"))


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh", b"\x7fELF\x01" + bytes(100)])
def test_what_is_no_elf_object_is_refused(content: bytes) -> None:
    with pytest.raises(AbiMismatch, match="not a 64-bit ELF object"):
        read_abi(content)


def test_a_cut_off_object_is_refused_wherever_it_ends(compiled: Compiler) -> None:
    whole = compiled(f"{PAIR}{MAP}EXPORT(struct, pair);")
    read_abi(whole)
    for length in range(5, len(whole), 97):
        with pytest.raises(AbiMismatch, match="the object"):
            read_abi(whole[:length])


def test_every_number_of_a_type_has_its_place(compiled: Compiler) -> None:
    source = f"""
{PAIR}
struct outer {{ __u64 when; struct pair pairs[2]; }};
{MAP}
EXPORT(struct, outer);
"""
    types = Types(_section(compiled(source), b".BTF"))
    assert types.scalars(_number_of(types, "when")) == {
        "when": Scalar(0, 8, False),
        "pairs[0].one": Scalar(8, 4, False),
        "pairs[0].port": Scalar(12, 2, True),
        "pairs[0].pad[0]": Scalar(14, 1, False),
        "pairs[0].pad[1]": Scalar(15, 1, False),
        "pairs[1].one": Scalar(16, 4, False),
        "pairs[1].port": Scalar(20, 2, True),
        "pairs[1].pad[0]": Scalar(22, 1, False),
        "pairs[1].pad[1]": Scalar(23, 1, False),
    }


def _number_of(types: Types, member: str) -> int:
    for number in range(1, 100):
        try:
            if member in types.scalars(number):
                return number
        except AbiMismatch:
            continue
    raise AssertionError(f"no type has a {member}")


def test_an_enum_is_found_by_its_name(compiled: Compiler) -> None:
    source = f"enum colour {{ COLOUR_RED = 1 }}; {MAP.replace('struct pair', 'enum colour')}"
    types = Types(_section(compiled(source), b".BTF"))
    assert types.enum("colour") == {"COLOUR_RED": 1}
    assert types.enum("shape") == {}


@pytest.mark.parametrize("content", [b"", b"short", bytes(100)])
def test_what_is_no_btf_is_refused(content: bytes) -> None:
    with pytest.raises(AbiMismatch):
        Types(content)


def test_a_union_has_no_numbers_with_a_place(compiled: Compiler) -> None:
    source = f"struct pair {{ union {{ __u32 a; __u32 b; }} one; }}; {MAP}"
    types = Types(_section(compiled(source), b".BTF"))
    with pytest.raises(AssertionError, match="no type has a one"):
        _number_of(types, "one")
