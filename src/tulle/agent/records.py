"""JSON records that survive the agent, one file a record.

A write is atomic, which kill -9 needs, but not synced to a disk: what they speak of is gone after a
reboot, and numbers that are lost are found again to be unused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from tulle.model.world import Key

T = TypeVar("T")


def file_stem(key: Key) -> str:
    """`<namespace>_<name>`: neither part can hold a '_', so it is unique."""
    return f"{key[0]}_{key[1]}"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` in one step, readable by its owner only. Raises OSError."""
    new = path.with_name(path.name + ".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
        file.write(content)  # all of it, or an error
    new.replace(path)


def write_below(path: Path, content: bytes) -> None:
    """As `write_atomically`, in a directory that is made if there is none. Raises OSError."""
    try:
        write_atomically(path, content)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, content)


class Records(Generic[T]):
    """The records of one type in one directory. Raises OSError where the file system does."""

    def __init__(self, directory: Path, record: type[T]) -> None:
        self._directory = directory
        self._decoder = msgspec.json.Decoder(record)

    def save(self, key: Key, record: T) -> None:
        write_below(self._path(key), msgspec.json.encode(record))

    def remove(self, key: Key) -> None:
        """Remove the record of `key`; none is no error."""
        self._path(key).unlink(missing_ok=True)

    def load(self) -> Iterator[tuple[Key, T]]:
        """Every record that can be read. What cannot, and half-written files, are removed."""
        if not self._directory.exists():
            return
        # First: a write that was cut off before its rename would be finished by the next `save`.
        for path in self._directory.glob("*.new"):
            path.unlink()
        for path in sorted(self._directory.iterdir()):
            namespace, _, name = path.name.removesuffix(".json").partition("_")
            try:
                yield (namespace, name), self._decoder.decode(path.read_bytes())
            except msgspec.MsgspecError:
                path.unlink()

    def _path(self, key: Key) -> Path:
        return self._directory / f"{file_stem(key)}.json"
