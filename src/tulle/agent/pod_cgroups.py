"""Which cgroups a kubelet has made for a pod: events of sockets name their process by its cgroup.

A kubelet makes a pod's cgroup before its network, and those of containers below it later.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

MISSED = 1024
_DEPTH = 6  # kube/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice


class PodCgroups:
    """Those of pods somewhere below `roots`, which socket programs are attached to."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(roots)
        self._places: dict[str, Path] = {}
        self._missed: set[str] = set()

    def ids(self, uid: str) -> list[int]:
        """What bpf_get_current_cgroup_id() says in a pod; none if it has no cgroup there."""
        if not uid or uid in self._missed:
            return []
        place = self._places.get(uid)
        if place is None or not place.exists():
            self._look()
            place = self._places.get(uid)
        if place is None:
            if len(self._missed) >= MISSED:  # of pods that are long gone, most of them
                self._missed.clear()
            self._missed.add(uid)  # it has none in this hierarchy, or it is gone
            return []
        found = []
        for path in (place, *place.rglob("**/")):
            with suppress(FileNotFoundError):
                found.append(path.stat().st_ino)
        return sorted(set(found))

    def _look(self) -> None:
        """All there are at once: looking for one means to look at all."""
        self._places = {}
        for root in self._roots:
            for path in _below(root, _DEPTH):
                if uid := _uid_of(path.name):
                    self._places[uid] = path


def _below(root: Path, depth: int) -> Iterator[Path]:
    try:
        with os.scandir(root) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for name in names:
        yield root / name
        if depth > 1 and not _uid_of(name):
            yield from _below(root / name, depth - 1)


def _uid_of(name: str) -> str:
    """By the drivers cgroupfs and systemd.

    >>> _uid_of("podab-12"), _uid_of("kubepods-burstable-podab_12.slice"), _uid_of("kubepods")
    ('ab-12', 'ab-12', '')
    """
    if name.startswith("pod"):
        return name.removeprefix("pod")
    if name.startswith("kubepods-") and name.endswith(".slice") and "-pod" in name:
        return name.removesuffix(".slice").rpartition("-pod")[2].replace("_", "-")
    return ""
