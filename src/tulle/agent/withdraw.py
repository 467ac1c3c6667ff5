"""Making the other nodes forget one that is taken down, with an agent or without one.

Imports next to nothing: the command line uses it too.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tulle.model.paths import NodePaths

_LINK = "node.json"  # in the node's state, to what it tells the others


def remember(paths: NodePaths, told: Path) -> None:
    """`told` is the file to remove when the node goes. Raises OSError."""
    link = paths.state / _LINK
    link.unlink(missing_ok=True)
    link.symlink_to(told)


def has_told(paths: NodePaths, told: Path) -> bool:
    """Whether an earlier agent of the node wrote that file, as far as the node knows."""
    link = paths.state / _LINK
    return link.is_symlink() and link.readlink() == told


def withdraw(paths: NodePaths) -> None:
    """Idempotent. Raises OSError."""
    link = paths.state / _LINK
    with suppress(FileNotFoundError):
        link.readlink().unlink()
    link.unlink(missing_ok=True)
