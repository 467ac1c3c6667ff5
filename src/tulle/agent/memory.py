"""What an agent must not forget: which numbers are given out."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tulle.compile.ids import Ids

from .records import write_atomically


def remember(path: Path, ids: Ids) -> None:
    """To be called before the kernel learns of a number, so that none is ever given twice.

    Raises OSError.
    """
    write_atomically(path, msgspec.json.encode(ids))


def recall(path: Path) -> Ids | None:
    """None if there is nothing readable: then numbers must start above what the kernel holds."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Ids)
    except (OSError, msgspec.MsgspecError):
        return None
