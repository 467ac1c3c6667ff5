"""Tells when a directory may have changed, by inotify, and survives its removal.

The standard library has no inotify, so libc is called directly.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock

from tulle.errors import KernelError

# <sys/inotify.h>. No IN_MODIFY: a file counts once its writer has closed it.
_ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x4, 0x8, 0x40, 0x80
_CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_Q_OVERFLOW, _IGNORED, _ONLYDIR = 0x4000, 0x8000, 0x01000000
_MASK = (
    _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF
    | _MOVE_SELF | _ONLYDIR
)  # fmt: skip
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_READ_BYTES = 65536

SETTLE_S = 0.02

_libc = ctypes.CDLL(None, use_errno=True)


class DirectoryWatch:
    """Calls `changed` in the running event loop; while the directory is away, waits for it.

    A file that was renamed into place is whole and told at once. One that was written in place or
    has gone is told after `SETTLE_S`: an editor that renames its file away and writes it anew, or
    a writer that opens it twice, is one change.
    """

    def __init__(
        self,
        path: Path,
        changed: Callable[[], object],
        concerns: Callable[[str], bool] = lambda name: True,
    ) -> None:
        """`concerns` tells the names that matter."""
        self._path, self._changed, self._concerns = path.absolute(), changed, concerns
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
        self._watch = -1
        self._present = False
        self._lock = Lock()
        self._due: dict[str, float] = {}  # CLOCK_MONOTONIC, by name
        self._everything = True
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._arm()
        self._loop.add_reader(self._fd, self._ready)

    def take(self) -> set[str] | None:
        """Names that may have changed since the last call, up to this moment; None: all of them.

        May be called from any thread. What is not settled yet is told, and taken, later.
        """
        with self._lock:
            self._drain()
            now = time.monotonic()
            names = {name for name, due in self._due.items() if due <= now}
            for name in names:
                del self._due[name]
            everything, self._everything = self._everything, False
            if self._due and self._fd >= 0:
                self._loop.call_soon_threadsafe(self._tell)
            return None if everything else names

    def close(self) -> None:
        with self._lock:
            if self._fd >= 0:
                self._loop.remove_reader(self._fd)
                os.close(self._fd)
                self._fd = -1
        if self._timer:
            self._timer.cancel()

    def _ready(self) -> None:
        with self._lock:
            everything = self._drain()
        if everything:
            self._changed()
        self._tell()

    def _tell(self) -> None:
        """Calls `changed` for what is due, and sees to it that it is called for the rest."""
        now = time.monotonic()
        with self._lock:
            dues = list(self._due.values())
        if any(due <= now for due in dues):
            self._changed()
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if (later := [due for due in dues if due > now]) and self._fd >= 0:
            self._timer = self._loop.call_later(min(later) - now, self._tell)

    def _drain(self) -> bool:
        """Takes note of all that the kernel has told; whether that is that all may be different."""
        known, self._everything = self._everything, False
        while data := self._read():
            for mask, name in _events(data):
                self._note(mask, name)
            was_present = self._present
            self._arm()
            self._everything |= was_present != self._present
        told = self._everything
        self._everything |= known
        return told

    def _note(self, mask: int, name: str) -> None:
        """A new file is told when it is closed, not when it is created; a link is never closed."""
        if mask & _Q_OVERFLOW or (self._present and not name and not mask & _IGNORED):
            self._everything = True
        elif not (self._present and name and self._concerns(name)):
            return
        elif not mask & _CREATE or (self._path / name).is_symlink():
            self._due[name] = time.monotonic() + (0.0 if mask & _MOVED_TO else SETTLE_S)

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, _READ_BYTES) if self._fd >= 0 else b""
        except BlockingIOError:
            return b""

    def _arm(self) -> None:
        """Watch the directory, or while it is away the nearest parent that is there."""
        while True:
            target = next(path for path in (self._path, *self._path.parents) if path.is_dir())
            watch = _libc.inotify_add_watch(self._fd, os.fsencode(target), _MASK)
            if watch < 0 and target.is_dir():
                _checked(watch, f"inotify_add_watch {target}")
            if watch != self._watch and self._watch >= 0:
                _libc.inotify_rm_watch(self._fd, self._watch)  # fails if the kernel did it already
            self._watch = watch
            self._present = target == self._path
            if watch >= 0 and (self._present or not self._nearer(target)):
                return

    def _nearer(self, target: Path) -> bool:
        """Whether more of the path has appeared since `target` was chosen."""
        return Path(*self._path.parts[: len(target.parts) + 1]).is_dir()


def _events(data: bytes) -> Iterator[tuple[int, str]]:
    """Mask and file name of each event."""
    offset = 0
    while offset < len(data):
        _, mask, _, length = _EVENT.unpack_from(data, offset)
        offset += _EVENT.size
        yield mask, os.fsdecode(data[offset : offset + length].rstrip(b"\0"))
        offset += length


def _checked(result: int, doing: str) -> int:
    if result < 0:
        raise KernelError(ctypes.get_errno(), doing)
    return result
