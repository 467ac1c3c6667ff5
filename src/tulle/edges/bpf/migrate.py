"""State of an earlier version, carried over into today's maps when their layout has changed.

Each version pins its maps in a directory of its own, and the kernel keeps the types of each map.
So the old entries are read by the names that they had, whichever version wrote them. Numbers that
an agent gives out may mean something else now: those of services and backends are looked up by
what they stood for, and every connection is judged again, as no epoch is ever used twice.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tulle import abi
from tulle.abi import CtFlag
from tulle.btf import Types
from tulle.errors import AbiMismatch, KernelError

from . import affinity, syscall
from .affinity import Names, Row
from .maps import Map, split
from .relayout import Scalars, number, numbers, packed, plan

HEARD = ("hearers", "dns_names", "dns_numbers", "dns_learned", "dns_learned_at")
COPIED = ("conntrack", "nat", "sock_nat", "fragments", *HEARD)
MEANINGS = ("services", "backends")  # of the numbers in `affinity`
FLAGS = {"conntrack": "ct_flag", "nat": "nat_flag"}
LAST_SEEN = "last_seen_ns"
_ZERO = bytes(4)

Rows = Iterator[tuple[bytes, bytes]]


class Store:
    """A map of any version, and what its keys and values are made of."""

    def __init__(self, name: str, fd: int) -> None:
        """Raises KernelError, AbiMismatch."""
        info = syscall.map_info(fd)
        self.map = Map(name, fd, spec=abi.MapSpec(*info[1:5]))
        if not info.btf:
            raise AbiMismatch("it does not say what it is made of")
        self.types = Types(syscall.btf(info.btf))
        self.key: Scalars = self.types.scalars(info.key_type)
        self.value: Scalars = self.types.scalars(info.value_type)

    def rows(self) -> Iterator[Row]:
        for key, value in self.map.items():
            yield numbers(self.key, key), numbers(self.value, value)


def carry_over(pins: Path, maps: Mapping[str, Map]) -> list[str]:
    """Puts the state of all other versions' maps into `maps`, which are pinned in `pins`.

    Call it before today's programs take over, and once more after: then what came in between is
    added, and nothing newer is replaced. Returns what could not be carried over, in words.
    """
    return [
        f"{directory.name}: {problem}"
        for directory in sorted(pins.parent.glob("v*"))
        if directory != pins
        for problem in _Version(directory, maps).carry()
    ]


class _Version:
    """One earlier version's maps, and today's of the same names."""

    def __init__(self, directory: Path, maps: Mapping[str, Map]) -> None:
        self._directory, self._maps = directory, maps
        self._open: list[int] = []

    def carry(self) -> Iterator[str]:
        """Yields what could not be carried."""
        try:
            self._continue_epoch()
            for name in (*COPIED, "affinity"):
                if (self._directory / name).exists() and name in self._maps:
                    yield from self._attempt(name)
        except (AbiMismatch, KernelError, KeyError) as error:
            yield f"nothing of it, as its epoch is not known: {error}"
        finally:
            for fd in self._open:
                os.close(fd)

    def _attempt(self, name: str) -> Iterator[str]:
        try:
            if name == "affinity":
                self._carry_affinity()
            else:
                _copy(self._old(name), self._new(name), FLAGS.get(name, ""))
        except (AbiMismatch, KernelError) as error:
            yield f"map '{name}': {error}"
        except KeyError as error:
            yield f"map '{name}': there is no {error}"

    def _old(self, name: str) -> Store:
        self._open.append(syscall.get_pinned(str(self._directory / name)))
        return Store(name, self._open[-1])

    def _new(self, name: str) -> Store:
        return Store(name, self._maps[name].fd)

    def _continue_epoch(self) -> None:
        """Beyond the old one's, so that every connection is judged anew."""
        old, state = self._old("state"), self._maps["state"]
        last = numbers(old.value, old.map[_ZERO])["epoch"]
        now = abi.State.unpack(state[_ZERO])
        if now.epoch <= last:
            state[_ZERO] = now._replace(epoch=last + 1).pack()

    def _carry_affinity(self) -> None:
        old, new = self._old("affinity"), self._new("affinity")
        meant, mean = (
            affinity.names(*(store(name).rows() for name in MEANINGS))
            for store in (self._old, self._new)
        )
        _write(new, _translated(old, new, meant, mean), "last_used_ns")


def _translated(old: Store, new: Store, meant: Names, mean: Names) -> Rows:
    for key, value in affinity.translate(old.rows(), meant, mean):
        with suppress(OverflowError):
            yield packed(new.key, key), packed(new.value, value)


def _copy(old: Store, new: Store, flags: str) -> None:
    moved = _moved(old.types.enum(flags), new.types.enum(flags))
    if moved:
        raise AbiMismatch(f"{', '.join(moved)} of enum {flags} has another value now")
    keys, values = plan(old.key, new.key, is_key=True), plan(old.value, new.value)
    rows = (
        row
        for old_keys, old_values in old.map.chunks()
        for row in zip(
            split(keys.convert(old_keys), keys.new_size),
            split(values.convert(old_values), values.new_size),
            strict=True,
        )
    )
    if flags == "ct_flag":
        rows = ((key, _unheld(new, value)) for key, value in rows)
    _write(new, rows, LAST_SEEN)


def _unheld(new: Store, value: bytes) -> bytes:
    """How far a connection has been read stays in the map that it was in."""
    at = new.value["flags"]
    found = number(value, at)
    if not found & CtFlag.HELD:
        return value
    found = found & ~CtFlag.HELD | CtFlag.NOT_HELD
    end = at.offset + at.size
    return value[: at.offset] + found.to_bytes(at.size, sys.byteorder) + value[end:]


def _moved(old: Mapping[str, int], new: Mapping[str, int]) -> list[str]:
    """Names whose value is another one now, or another's."""
    names = {value: name for name, value in new.items()}
    return [
        name
        for name, value in old.items()
        if new.get(name, value) != value or names.get(value, name) != name
    ]


def _write(new: Store, rows: Rows, stamp: str) -> None:
    """What is there already gives way only to what was used later."""
    there = dict(new.map.items())
    if not there:
        new.map.update_many(rows)
        return
    at = new.value.get(stamp)
    for key, value in rows:
        if key not in there:
            new.map.create(key, value)
        elif at and number(value, at) > number(there[key], at):
            new.map[key] = value
