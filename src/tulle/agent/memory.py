"""What an agent must not forget: which numbers and service addresses are given out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tulle.compile.ids import Ids

from .records import write_atomically


class Memory(msgspec.Struct, frozen=True):
    """Written before the kernel learns of a number, so that none is ever given twice."""

    taken: Mapping[str, Mapping[str, int]] = {}
    next: Mapping[str, int] = {}
    addresses: Mapping[str, str] = {}

    @property
    def ids(self) -> Ids:
        return Ids(self.taken, self.next)


def remember(path: Path, memory: Memory) -> None:
    """Raises OSError."""
    write_atomically(path, msgspec.json.encode(memory))


def recall(path: Path) -> Memory | None:
    """None if there is nothing readable: then numbers must start above what the kernel holds."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Memory)
    except (OSError, msgspec.MsgspecError):
        return None
