"""Entries of one layout in another, number by number, matched by name. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tulle.btf import Scalar
from tulle.errors import AbiMismatch

Scalars = Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Plan:
    """`moves` are pairs of byte offsets, in the old entry and in the new one."""

    old_size: int
    new_size: int
    moves: tuple[tuple[int, int], ...]

    def convert(self, raw: bytes) -> bytes:
        """Entries end to end; what is new in them is zero."""
        count = len(raw) // self.old_size
        result = bytearray(count * self.new_size)
        for old, new in self.moves:  # a column at a time: no work in Python per entry
            result[new :: self.new_size] = raw[old :: self.old_size]
        return bytes(result)


def plan(old: Scalars, new: Scalars, *, is_key: bool = False) -> Plan:
    """How to carry entries over. What is no more is left out, of a key only padding.

    Raises AbiMismatch for a number that has less room now, and for a key of other parts.
    """
    if is_key and (other := sorted(_parts(old) ^ _parts(new))):
        raise AbiMismatch(f"the key is made of other parts now ({', '.join(other)})")
    moves = [move for name in old.keys() & new.keys() for move in _moves(name, old, new)]
    return Plan(_size(old), _size(new), tuple(sorted(moves)))


def numbers(scalars: Scalars, raw: bytes) -> dict[str, int]:
    """One entry, spelled out."""
    return {name: number(raw, at) for name, at in scalars.items()}


def number(raw: bytes, at: Scalar) -> int:
    return int.from_bytes(raw[at.offset : at.offset + at.size], "big" if at.big else "little")


def packed(scalars: Scalars, values: Mapping[str, int]) -> bytes:
    """The other way round; what has no value is zero. Raises OverflowError."""
    raw = bytearray(_size(scalars))
    for name, value in values.items():
        at = scalars[name]
        raw[at.offset : at.offset + at.size] = value.to_bytes(
            at.size, "big" if at.big else "little"
        )
    return bytes(raw)


def _moves(name: str, old: Scalars, new: Scalars) -> Iterator[tuple[int, int]]:
    before, after = old[name], new[name]
    if after.size < before.size:
        raise AbiMismatch(f"{name} has {after.size} bytes now, and had {before.size}")
    for significance in range(before.size):
        yield before.place(significance), after.place(significance)


def _parts(scalars: Scalars) -> set[str]:
    return {name for name in scalars if not name.startswith("pad")}


def _size(scalars: Scalars) -> int:
    """Layouts have no implicit padding: they end with their last number."""
    return max(at.offset + at.size for at in scalars.values())
