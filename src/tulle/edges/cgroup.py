"""The node's own cgroup and the workloads' below it (cgroup v2, no controllers needed).

    <mount>/tulle-<node>/<namespace>_<name>[/<container>]

Socket programs are attached to `tulle-<node>`. Nothing outside of it is ever touched, the root
cgroup least of all. Raises KernelError where the kernel refuses.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from tulle.errors import Broken, KernelError, Refused, Unavailable

KILL_TIMEOUT_S = 5.0
_POLL_S = 0.005


@cache
def find_mount() -> Path:
    """Where cgroup v2 is mounted: /sys/fs/cgroup, or `unified` below it on a hybrid host.

    Raises Broken if it is nowhere.
    """
    return _mount()[0]


def identify(path: Path) -> tuple[int, int]:
    """The kernel's number for a cgroup, and how deep it lies below the root.

    Raises KernelError if there is none.
    """
    mount, depth = _mount()
    try:
        return path.stat().st_ino, depth + len(path.relative_to(mount).parts)
    except OSError as error:
        raise KernelError(error.errno or 0, f"cgroup {path}") from error


def _mount() -> tuple[Path, int]:
    return mount_in(Path("/proc/self/mountinfo").read_text())


def mount_in(mountinfo: str) -> tuple[Path, int]:
    """Where cgroup v2 is, and how deep below the root of all lies what is seen there."""
    mounts = [line.split(" ")[3:5] for line in mountinfo.splitlines() if " - cgroup2 " in line]
    for root, place in reversed(mounts):  # the last one hides others in its place
        if place == mounts[0][1]:
            parts = Path(root).parts[1:]
            return Path(place), 0 if ".." in parts else len(parts)  # "..": above our namespace's
    raise Broken("cgroup v2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup")


class NodeCgroup:
    """The cgroups of one node. `mount` is a cgroup2 mount, `name` is `tulle-<node>`."""

    def __init__(self, mount: Path, name: str) -> None:
        if not name.startswith("tulle-") or "/" in name:
            raise Refused(f"cgroup {name!r}: not one of Tulle's")
        self.root = mount / name

    def make(self, *parts: str) -> Path:
        """Make `<root>/<parts>`; one that exists stays."""
        path = self._own(self.root.joinpath(*parts))
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KernelError(error.errno or 0, f"cgroup {path}") from error
        return path

    def limit_memory(self, path: Path, limit: int) -> bool:
        """Give all that runs in `path`, which lies below `root`, at most `limit` bytes.

        Whether this hierarchy has the memory controller: a hybrid host's has not.
        """
        if "memory" not in _text(self.root / "cgroup.controllers").split():
            return False
        try:
            for above in reversed(self._own(path).relative_to(self.root).parents):
                (self.root / above / "cgroup.subtree_control").write_text("+memory")
            (path / "memory.max").write_text(str(limit))
        except OSError as error:
            raise KernelError(error.errno or 0, f"limit the memory of {path}") from error
        return True

    def children(self, path: Path) -> list[Path]:
        """The cgroups directly below; none if `path` is gone."""
        try:
            return sorted(entry for entry in self._own(path).iterdir() if entry.is_dir())
        except FileNotFoundError:
            return []

    def pids(self, path: Path) -> list[int]:
        """Processes in `path` and below it; none if it is gone. Zombies are not counted."""
        return [pid for cgroup in self._tree(path) for pid in _numbers(cgroup / "cgroup.procs")]

    def ids(self, path: Path) -> list[int]:
        """What bpf_get_current_cgroup_id() says in `path` and below it; none if it is gone."""
        found = []
        for cgroup in self._tree(path):
            with suppress(FileNotFoundError):
                found.append(cgroup.stat().st_ino)
        return found

    def populated(self, path: Path) -> bool:
        """Whether a process lives in `path` or below it."""
        return "populated 1" in _text(self._own(path) / "cgroup.events")

    def ever_used(self, path: Path) -> bool:
        """Whether a process has ever run in `path` or below it, however briefly.

        A cgroup that is removed and made again starts anew.
        """
        stat = _text(self._own(path) / "cpu.stat")
        return stat != "" and not stat.startswith("usage_usec 0\n")

    def kill(self, path: Path) -> None:
        """SIGKILL everything in `path` and below it, and wait until it is gone.

        Raises Unavailable if something is still there after KILL_TIMEOUT_S.
        """
        deadline = time.monotonic() + KILL_TIMEOUT_S
        while self.populated(path):
            self._kill_once(path)
            if time.monotonic() > deadline:
                raise Unavailable(f"cgroup {path}: processes {self.pids(path)} do not die")
            time.sleep(_POLL_S)

    def remove(self, path: Path) -> None:
        """Kill what runs in `path`, and remove it with all below it. Idempotent."""
        self.kill(path)
        for cgroup in self._tree(path):
            try:
                cgroup.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise KernelError(error.errno or 0, f"remove cgroup {cgroup}") from error

    def _kill_once(self, path: Path) -> None:
        try:
            (path / "cgroup.kill").write_text("1")
        except (FileNotFoundError, PermissionError):  # kernels before 5.14 have no such file
            for pid in self.pids(path):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _tree(self, path: Path) -> Iterator[Path]:
        """`path` and all below it, deepest first."""
        for child in self.children(path):
            yield from self._tree(child)
        yield path

    def _own(self, path: Path) -> Path:
        if ".." in path.parts or not path.is_relative_to(self.root):
            raise Refused(f"cgroup {path}: not below {self.root}")
        return path


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise
        return ""  # gone; ENODEV when it goes while it is being read


def _numbers(path: Path) -> list[int]:
    return [int(line) for line in _text(path).splitlines()]
