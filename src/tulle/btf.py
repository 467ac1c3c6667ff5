"""Reads from a BPF object what crosses the border: types exported in `.abi`, and its maps.

Format: Documentation/bpf/btf.rst of the kernel. Pure: bytes in, values out.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tulle.errors import AbiMismatch

_PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FWD, _TYPEDEF = 2, 3, 4, 5, 6, 7, 8
_VOLATILE, _CONST, _RESTRICT, _FUNC, _PROTO, _VAR, _DATASEC = 9, 10, 11, 12, 13, 14, 15
_INT, _FLOAT, _DECL_TAG, _TYPE_TAG, _ENUM64 = 1, 16, 17, 18, 19
_EXTRA_PER_ITEM = {_STRUCT: 12, _UNION: 12, _ENUM: 8, _PROTO: 8, _DATASEC: 12, _ENUM64: 12}
_EXTRA_FIXED = {_INT: 4, _ARRAY: 12, _VAR: 4, _DECL_TAG: 4}


@dataclass(frozen=True, slots=True)
class Field:
    """`type` is a C scalar's or struct's name; `count` is 0 for what is no array."""

    name: str
    type: str
    offset: int
    size: int
    count: int


@dataclass(frozen=True, slots=True)
class Layout:
    size: int
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class MapLayout:
    kind: int
    key: str
    value: str
    max_entries: int


@dataclass(frozen=True, slots=True)
class Abi:
    enums: dict[str, dict[str, int]]
    structs: dict[str, Layout]
    maps: dict[str, MapLayout]

    @property
    def hash(self) -> str:
        """16 hex digits that change whenever anything that crosses the border does."""
        text = repr((sorted(self.enums.items()), sorted(self.structs.items()), self.maps))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Scalar:
    """Where a number stands in a type that holds it, and in which byte order."""

    offset: int
    size: int
    big: bool

    def place(self, significance: int) -> int:
        """Offset of a byte, counted from the least significant one."""
        return self.offset + (self.size - 1 - significance if self.big else significance)


class Types:
    """The types of a BTF blob, as the kernel keeps one for each map."""

    def __init__(self, btf: bytes) -> None:
        """Raises AbiMismatch if it cannot be read."""
        with _damage_told():
            self._reader = _Reader(btf)

    def scalars(self, type_id: int) -> dict[str, Scalar]:
        """Every number in a type by its path, as `addr[0].word[3]`; "" in a plain number.

        Raises AbiMismatch for what has no fixed place for each: unions, pointers, bit fields.
        """
        with _damage_told():
            return dict(self._reader.scalars(type_id, "", 0))

    def enum(self, name: str) -> dict[str, int]:
        """Names and values; none if there is no such enum. Raises AbiMismatch."""
        with _damage_told():
            return self._reader.enum(name)


def read_abi(elf: bytes) -> Abi:
    """Raises AbiMismatch if the object is damaged or has no BTF, or a struct implicit padding."""
    with _damage_told():
        return _Reader(_section(elf, b".BTF")).abi()


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except (struct.error, LookupError, ValueError) as error:
        raise AbiMismatch(f"the object is damaged: {error}") from error


def _section(elf: bytes, wanted: bytes) -> bytes:
    if elf[:5] != b"\x7fELF\x02":
        raise AbiMismatch("not a 64-bit ELF object")
    (table,) = struct.unpack_from("<Q", elf, 40)
    size, count, names = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + i * size) for i in range(count)]
    strings = headers[names][4]
    for name, _, _, _, offset, length in headers:
        start = strings + name
        if elf[start : elf.index(b"\0", start)] == wanted:
            return elf[offset : offset + length]
    raise AbiMismatch(f"the object has no {wanted.decode()} section")


@dataclass(frozen=True, slots=True)
class _Type:
    name: str
    kind: int
    count: int
    ref: int  # size or referenced type
    extra: bytes


class _Reader:
    def __init__(self, btf: bytes) -> None:
        magic, _, _, head = struct.unpack_from("<HBBI", btf)
        if magic != 0xEB9F:
            raise AbiMismatch("BTF with an unknown magic number")
        type_off, type_len, str_off, _ = struct.unpack_from("<IIII", btf, 8)
        self._strings = btf[head + str_off :]
        start = head + type_off
        void = _Type("void", 0, 0, 0, b"")
        self._types = [void, *self._parse(btf[start : start + type_len])]

    def _parse(self, raw: bytes) -> Iterator[_Type]:
        at = 0
        while at < len(raw):
            name, info, ref = struct.unpack_from("<III", raw, at)
            kind, count = info >> 24 & 0x1F, info & 0xFFFF
            length = _EXTRA_FIXED.get(kind, 0) + _EXTRA_PER_ITEM.get(kind, 0) * count
            at += 12
            yield _Type(self._string(name), kind, count, ref, raw[at : at + length])
            at += length

    def _string(self, offset: int) -> str:
        return self._strings[offset : self._strings.index(b"\0", offset)].decode()

    def _members(self, type_: _Type) -> list[tuple[str, int, int]]:
        """Name, type id, byte offset of each member."""
        return [
            (self._string(name), ref, bits // 8)
            for name, ref, bits in struct.iter_unpack("<III", type_.extra)
        ]

    def _datasec(self, wanted: str) -> list[tuple[str, int]]:
        """Name and type id of each variable in a section."""
        for type_ in self._types:
            if type_.kind == _DATASEC and type_.name == wanted:
                variables = [
                    self._types[ref] for ref, _, _ in struct.iter_unpack("<III", type_.extra)
                ]
                return sorted((var.name, var.ref) for var in variables)
        raise AbiMismatch(f"the object has no {wanted} section in its BTF")

    def _bare(self, ref: int) -> _Type:
        """The type behind qualifiers and typedefs."""
        type_ = self._types[ref]
        while type_.kind in (_TYPEDEF, _CONST, _VOLATILE, _RESTRICT):
            type_ = self._types[type_.ref]
        return type_

    def _pointee(self, ref: int) -> int:
        pointer = self._bare(ref)
        assert pointer.kind == _PTR, pointer
        return pointer.ref

    def _size(self, ref: int) -> int:
        bare = self._bare(ref)
        if bare.kind == _ARRAY:
            element, _, count = struct.unpack("<III", bare.extra)
            return self._size(element) * int(count)
        return 8 if bare.kind == _PTR else bare.ref

    def _field(self, name: str, ref: int, offset: int) -> Field:
        bare, count = self._bare(ref), 0
        if bare.kind == _ARRAY:
            ref, _, count = struct.unpack("<III", bare.extra)
        return Field(name, self._types[ref].name, offset, self._size(ref), count)

    def _layout(self, type_: _Type) -> Layout:
        fields = tuple(self._field(*member) for member in self._members(type_))
        at = 0
        for item in fields:
            if item.offset != at:
                raise AbiMismatch(f"struct {type_.name} has implicit padding before {item.name}")
            at += item.size * (item.count or 1)
        if at != type_.ref:
            raise AbiMismatch(f"struct {type_.name} has implicit padding at its end")
        return Layout(type_.ref, fields)

    def _values(self, type_: _Type) -> dict[str, int]:
        items = struct.iter_unpack("<Ii", type_.extra)
        return {self._string(name): value for name, value in items}

    def enum(self, name: str) -> dict[str, int]:
        found = (type_ for type_ in self._types if type_.kind == _ENUM and type_.name == name)
        return next((self._values(type_) for type_ in found), {})

    def scalars(self, ref: int, path: str, offset: int) -> Iterator[tuple[str, Scalar]]:
        bare = self._bare(ref)
        if bare.kind == _STRUCT:
            for name, member, at in self._members(bare):
                yield from self.scalars(member, f"{path}.{name}" if path else name, offset + at)
        elif bare.kind == _ARRAY:
            element, _, count = struct.unpack("<III", bare.extra)
            size = self._size(element)
            for index in range(count):
                yield from self.scalars(element, f"{path}[{index}]", offset + index * size)
        elif bare.kind == _INT:
            big = sys.byteorder == "big" or self._is_network_order(ref)
            yield path, Scalar(offset, bare.ref, big)
        else:
            raise AbiMismatch(f"{path} is of BTF kind {bare.kind}")

    def _is_network_order(self, ref: int) -> bool:
        type_ = self._types[ref]
        while type_.kind in (_TYPEDEF, _CONST, _VOLATILE, _RESTRICT):
            if type_.name.startswith("__be"):
                return True
            type_ = self._types[type_.ref]
        return False

    def _map(self, ref: int) -> MapLayout:
        members = {name: self._pointee(kind) for name, kind, _ in self._members(self._bare(ref))}

        def number(name: str) -> int:
            return int(struct.unpack("<III", self._types[members[name]].extra)[2])

        def type_name(name: str) -> str:
            return self._types[members[name]].name if name in members else ""

        return MapLayout(
            number("type"), type_name("key"), type_name("value"), number("max_entries")
        )

    def abi(self) -> Abi:
        enums: dict[str, dict[str, int]] = {}
        structs: dict[str, Layout] = {}
        for _, ref in self._datasec(".abi"):
            type_ = self._bare(self._pointee(ref))
            if type_.kind == _ENUM:
                enums[type_.name] = self._values(type_)
            elif type_.kind == _STRUCT:
                structs[type_.name] = self._layout(type_)
            else:
                raise AbiMismatch(f"cannot carry a type of BTF kind {type_.kind} over the border")
        # a leading underscore: private to its object, no part of the border
        named = [(name, ref) for name, ref in self._datasec(".maps") if name[0] != "_"]
        maps = {name: self._map(ref) for name, ref in named}
        return Abi(enums, structs, maps)
