"""Writes src/tulle/abi/_generated.py from a BPF object's BTF; `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from tulle.btf import Abi, Field, Layout, read_abi

ROOT = Path(__file__).parent.parent
OBJECT = ROOT / "src/tulle/objects/decide.bpf.o"
TARGET = ROOT / "src/tulle/abi/_generated.py"
CODES = {"__u8": "B", "__u16": "H", "__be16": "H", "__u32": "I", "__u64": "Q", "__u64_a4": "Q"}
RAW = {
    "addr",
    "dns_text",
    "dns_addresses",
    "glob_steps",
}  # structs that are one string of bytes in Python

HEAD = '''"""Generated from bpf/abi.h by `./run abi`; do not edit."""

# ruff: noqa
from __future__ import annotations

import sys
from enum import IntEnum
from struct import Struct
from typing import NamedTuple, Tuple

_Bytes = bytes  # fields may be called bytes


def _be16(value: int) -> int:
    return value if sys.byteorder == "big" else (value & 0xFF) << 8 | value >> 8
'''


def camel(name: str) -> str:
    return "".join(part.title() for part in name.split("_"))


def enum_source(name: str, values: dict[str, int]) -> str:
    first = next(iter(values))
    # of one value, nothing shows where the prefix ends but the enum's own name
    prefix = first[: (first.rfind("_") if len(values) > 1 else first.find("_")) + 1]
    while not all(value.startswith(prefix) for value in values):
        prefix = prefix[: prefix.rstrip("_").rfind("_") + 1]
    lines = [f"    {key.removeprefix(prefix)} = {value}" for key, value in values.items()]
    return f"class {camel(name)}(IntEnum):\n" + "\n".join(lines)


class Member:
    """How one field is declared, packed and unpacked."""

    def __init__(self, field: Field) -> None:
        count = field.count or 1
        self.hidden = field.name.startswith("pad")
        name = field.name
        if self.hidden:
            self.format, self.slots = f"{field.size * count}x", 0
            return
        if field.type == "__u8" and field.count:  # a string
            self.format, self.slots, self.is_array = f"{count}s", 1, False
            self.pack, self.each_unpack = [f"self.{name}"], "{}"
            self.declare = f"    {name}: _Bytes = _Bytes({count})"
            return
        self.slots = count
        each_pack, each_unpack = "{}", "{}"
        if field.type in CODES:
            self.format, kind, default = CODES[field.type] * count, "int", "0"
            if field.type == "__be16":
                each_pack = each_unpack = "_be16({})"
        else:
            self.format = f"{field.size}s" * count
            if field.type in RAW:
                kind, default = "_Bytes", f"_Bytes({field.size})"
            else:
                kind = camel(field.type)
                each_pack, each_unpack, default = "{}.pack()", kind + ".unpack({})", f"{kind}()"
        self.pack = [
            each_pack.format(f"self.{name}[{i}]" if field.count else f"self.{name}")
            for i in range(count)
        ]
        self.each_unpack = each_unpack
        if field.count:
            kind = f"Tuple[{', '.join([kind] * count)}]"
            default = f"({', '.join([default] * count)})"
        self.is_array = bool(field.count)
        self.declare = f"    {name}: {kind} = {default}"

    def unpack(self, at: int) -> str:
        parts = [self.each_unpack.format(f"v[{at + i}]") for i in range(self.slots)]
        return f"({', '.join(parts)})" if self.is_array else parts[0]


def struct_source(name: str, layout: Layout) -> str:
    members = [Member(item) for item in layout.fields]
    shown = [member for member in members if not member.hidden]
    code, at, unpack = camel(name), 0, []
    for member in shown:
        unpack.append(member.unpack(at))
        at += member.slots
    pack = [part for member in shown for part in member.pack]
    return "\n".join(
        [
            f'_{code} = Struct("={"".join(member.format for member in members)}")',
            "\n",
            f"class {code}(NamedTuple):",
            *[member.declare for member in shown],
            "",
            "    def pack(self) -> _Bytes:",
            f"        return _{code}.pack({', '.join(pack)})",
            "",
            "    @classmethod",
            f'    def unpack(cls, raw: _Bytes) -> "{code}":',
            f"        v = _{code}.unpack(raw)",
            f"        return cls({', '.join(unpack)})",
        ]
    )


def in_order(structs: dict[str, Layout]) -> list[str]:
    """Names with contained structs before their containers."""
    order: list[str] = []

    def visit(name: str) -> None:
        for item in structs[name].fields:
            if item.type in structs and item.type not in RAW:
                visit(item.type)
        if name not in order and name not in RAW:
            order.append(name)

    for name in sorted(structs):
        visit(name)
    return order


def map_source(abi: Abi) -> str:
    lines = [
        f'    "{name}": MapSpec({item.kind}, {size_of(abi, item.key)}, '
        f"{size_of(abi, item.value)}, {item.max_entries}),"
        for name, item in sorted(abi.maps.items())
    ]
    return "\n".join(
        [
            "class MapSpec(NamedTuple):",
            '    """`kind` is the BPF_MAP_TYPE; sizes are in bytes."""',
            "",
            "    kind: int",
            "    key_size: int",
            "    value_size: int",
            "    max_entries: int",
            "\n",
            "MAPS = {",
            *lines,
            "}",
        ]
    )


def size_of(abi: Abi, name: str) -> int:
    scalars = {"": 0, "int": 4, "__u32": 4, "__u64": 8, "addr": 16}
    return scalars[name] if name in scalars else abi.structs[name].size


def generate(abi: Abi) -> str:
    parts = [HEAD.rstrip()]
    parts += [enum_source(name, values) for name, values in sorted(abi.enums.items())]
    parts += [struct_source(name, abi.structs[name]) for name in in_order(abi.structs)]
    parts += [map_source(abi), f'ABI_HASH = "{abi.hash}"']
    return "\n\n\n".join(parts) + "\n"


def main() -> int:
    source = generate(read_abi(OBJECT.read_bytes()))
    if "--check" not in sys.argv:
        TARGET.write_text(source)
        return 0
    if TARGET.read_text() == source:
        return 0
    print(f"{TARGET.relative_to(ROOT)} is not what bpf/abi.h gives: run `./run abi`")
    return 1


if __name__ == "__main__":
    sys.exit(main())
