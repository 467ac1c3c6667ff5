"""BPF maps as dictionaries of bytes, in batches."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterable, Iterator
from struct import pack, unpack_from

from tulle.abi import MAPS, MapSpec
from tulle.errors import KernelError

from . import syscall
from .syscall import address, bpf

_PERCPU = {5, 6, 10}  # BPF_MAP_TYPE_PERCPU_{HASH,ARRAY}, LRU_PERCPU_HASH
_CHUNK = 16384


class Map:
    """An open map. Per-CPU values come as one string of all CPUs' values, 8-byte aligned."""

    def __init__(
        self, name: str, fd: int, max_entries: int | None = None, spec: MapSpec | None = None
    ) -> None:
        """`spec` is another one than today's for a map that an earlier version made."""
        spec = spec or MAPS[name]
        self.name, self.fd, self.key_size = name, fd, spec.key_size
        self.max_entries = max_entries or spec.max_entries
        self.value_size = spec.value_size
        if spec.kind in _PERCPU:
            self.value_size = (spec.value_size + 7) // 8 * 8 * syscall.possible_cpus()

    def __getitem__(self, key: bytes) -> bytes:
        value = ctypes.create_string_buffer(self.value_size)
        try:
            self._element(syscall.MAP_LOOKUP, key, value, 0)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                raise KeyError(key) from error
            raise
        return value.raw

    def __setitem__(self, key: bytes, value: bytes) -> None:
        buffer = ctypes.create_string_buffer(value, len(value))
        self._element(syscall.MAP_UPDATE, key, buffer, 0)

    def __delitem__(self, key: bytes) -> None:
        """An absent key is no error."""
        try:
            self._element(syscall.MAP_DELETE, key, None, 0)
        except KernelError as error:
            if error.errno != errno.ENOENT:
                raise

    def create(self, key: bytes, value: bytes | None = None) -> None:
        """`value`, or zeros, where there is none yet."""
        try:
            buffer = ctypes.create_string_buffer(value or b"", self.value_size)
            self._element(syscall.MAP_UPDATE, key, buffer, syscall.BPF_NOEXIST)
        except KernelError as error:
            if error.errno != errno.EEXIST:
                raise

    def _element(
        self, command: int, key: bytes, value: ctypes.Array[ctypes.c_char] | None, flags: int
    ) -> None:
        name = ctypes.create_string_buffer(key, len(key))
        where = address(value) if value is not None else 0
        doing = f"map '{self.name}' (limit {self.max_entries}) operation {command}"
        bpf(command, pack("=I4xQQQ", self.fd, address(name), where, flags), doing)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries; those that change meanwhile may or may not be seen."""
        for keys, values in self.chunks():
            rows = split(keys, self.key_size), split(values, self.value_size)
            yield from zip(*rows, strict=True)

    def chunks(self) -> Iterator[tuple[bytes, bytes]]:
        """The same as `items`: keys end to end, and their values end to end, many at a time."""
        keys = ctypes.create_string_buffer(_CHUNK * self.key_size)
        values = ctypes.create_string_buffer(_CHUNK * self.value_size)
        cursors = [ctypes.create_string_buffer(max(self.key_size, 8)) for _ in range(2)]
        first, more = True, True
        while more:
            attr = ctypes.create_string_buffer(
                pack(
                    "=QQQQIIQQ",
                    0 if first else address(cursors[0]),
                    address(cursors[1]),
                    address(keys),
                    address(values),
                    _CHUNK,
                    self.fd,
                    0,
                    0,
                )
            )
            more = self._batch(syscall.LOOKUP_BATCH, attr)
            count = unpack_from("=I", attr, 32)[0]
            # not their `raw`: that would copy all of a chunk for a few entries
            yield (
                ctypes.string_at(keys, count * self.key_size),
                ctypes.string_at(values, count * self.value_size),
            )
            cursors.reverse()
            first = False

    def _batch(self, command: int, attr: ctypes.Array[ctypes.c_char]) -> bool:
        """False: the end of the map was reached."""
        try:
            bpf(command, attr, f"map '{self.name}' (limit {self.max_entries}) batch {command}")
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def update_many(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        rows = list(entries)
        keys, values = b"".join(key for key, _ in rows), b"".join(value for _, value in rows)
        self._write_many(keys, values, len(rows))

    def delete_many(self, keys: Iterable[bytes]) -> None:
        """Absent keys are no error."""
        for key in keys:
            del self[key]

    def _write_many(self, keys: bytes, values: bytes, count: int) -> None:
        key_buffer = ctypes.create_string_buffer(keys, len(keys))
        value_buffer = ctypes.create_string_buffer(values, len(values))
        attr = ctypes.create_string_buffer(
            pack(
                "=QQQQIIQQ",
                0,
                0,
                address(key_buffer),
                address(value_buffer),
                count,
                self.fd,
                0,
                0,
            )
        )
        doing = f"map '{self.name}' (limit {self.max_entries}): write {count} entries"
        bpf(syscall.UPDATE_BATCH, attr, doing)


def split(raw: bytes, size: int) -> Iterator[bytes]:
    """Entries that stand end to end."""
    return (raw[at : at + size] for at in range(0, len(raw), size))
