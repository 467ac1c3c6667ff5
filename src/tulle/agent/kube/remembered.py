"""Other nodes as they were last known, in a file: for an agent that starts without an API server.

A line a node, each as nodes of a shared directory tell of themselves.
"""

from __future__ import annotations

import logging
from pathlib import Path

from tulle.errors import Refused

from ..nodes import Others
from ..published import NodeState, decode, encode, name_in
from ..records import write_atomically

log = logging.getLogger("tulle")


class Remembered:
    """One thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[str, tuple[NodeState, bytes]] = {}
        self._is_written = False
        self.problems: list[str] = []

    def remember(self, others: Others) -> None:
        """Nodes that are the same objects as before are not written out again."""
        before, self._lines = self._lines, {}
        for name, state in others.nodes.items():
            known = before.get(name)
            if known is None or known[0] is not state:
                known = (state, encode(state.node, state.workloads.values()))
            self._lines[name] = known
        if self._is_written and self._lines == before:
            return
        try:
            write_atomically(self._path, b"".join(line + b"\n" for _, line in self._lines.values()))
        except OSError as error:
            self._is_written = False
            self.problems = [f"a restart would not know the other nodes: {error}"]
        else:
            self._is_written, self.problems = True, []

    def recall(self) -> Others | None:
        """None if nothing was remembered. What cannot be read is left out."""
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return None
        found = {}
        for line in lines:
            try:
                state = decode(line, name_in(line))
            except Refused as error:
                log.warning("%s: %s", self._path, error)
            else:
                found[state.node.metadata.name] = state
        return Others(found)
