"""Other nodes as they were last known, in a file: for an agent that starts without an API server.

A line a node, each as nodes of a shared directory tell of themselves. A change adds the lines of
the nodes that it is about, and in place of one that has gone its name; now and then the file is
written anew. A last line without its end was cut off by a kill and never counted.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tulle.edges.manifests.files import write_whole
from tulle.errors import Refused, Unavailable

from ..nodes import Others
from ..published import NodeState, decode, encode, name_in

log = logging.getLogger("tulle")

_SLACK_BYTES = 1 << 20  # of superseded lines, beside as much as the file had when it was new
_GONE = b'"'  # begins a line that is a name alone


class Remembered:
    """One thread at a time. Nothing of the file stays in memory: it has 500 bytes a Pod."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: Mapping[str, NodeState] = {}
        self._fd = -1
        self._base = self._size = 0  # bytes: when it was written anew, and now
        self.problems: list[str] = []

    def remember(self, others: Others) -> None:
        """Nodes that are the same objects as before are not written out again."""
        try:
            if self._fd < 0 or not os.fstat(self._fd).st_nlink or self._has_outgrown():
                self._write_anew(others.nodes)
            else:
                self._add(others.nodes)
        except (OSError, Unavailable) as error:
            self.close()
            self.problems = [f"a restart would not know the other nodes: {error}"]
        else:
            self._written, self.problems = others.nodes, []

    def recall(self) -> Others | None:
        """None if nothing was remembered. What cannot be read is left out."""
        try:
            lines = self._path.read_bytes().split(b"\n")[:-1]
        except OSError:
            return None
        found = {}
        for name, line in sorted(_last(lines, self._path).items()):
            try:
                found[name] = decode(line, name)
            except Refused as error:
                log.warning("%s: %s", self._path, error)
        return Others(found)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _has_outgrown(self) -> bool:
        return self._size > 2 * self._base + _SLACK_BYTES

    def _add(self, nodes: Mapping[str, NodeState]) -> None:
        gone = self._written.keys() - nodes.keys()
        changed = (s for name, s in nodes.items() if self._written.get(name) is not s)
        added = [*(msgspec.json.encode(name) + b"\n" for name in gone), *map(_line, changed)]
        if not added:
            return
        lines = b"".join(added)
        # One write: a kill leaves all of it, or a part that has no end.
        if os.write(self._fd, lines) != len(lines):
            raise OSError(0, "No space left on device")
        self._size += len(lines)

    def _write_anew(self, nodes: Mapping[str, NodeState]) -> None:
        self.close()
        write_whole(self._path, map(_line, nodes.values()))
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._base = self._size = os.fstat(self._fd).st_size


def _line(state: NodeState) -> bytes:
    return encode(state.node, state.workloads.values()) + b"\n"


def _last(lines: list[bytes], path: Path) -> dict[str, bytes]:
    """What was said last of each node."""
    found: dict[str, bytes] = {}
    for line in lines:
        try:
            if line.startswith(_GONE):
                found.pop(msgspec.json.decode(line, type=str), None)
            else:
                found[name_in(line)] = line
        except (Refused, msgspec.MsgspecError) as error:
            log.warning("%s: %s", path, error)
    return found
