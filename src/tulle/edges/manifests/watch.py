"""Tells when a directory may have changed, by inotify, and survives its removal.

The standard library has no inotify, so libc is called directly.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from tulle.errors import KernelError

# <sys/inotify.h>. No IN_MODIFY: a file counts once its writer has closed it.
_ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x4, 0x8, 0x40, 0x80
_CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_ONLYDIR = 0x01000000
_MASK = (
    _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF
    | _MOVE_SELF | _ONLYDIR
)  # fmt: skip
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_READ_BYTES = 65536

_libc = ctypes.CDLL(None, use_errno=True)


class DirectoryWatch:
    """Calls `changed` in the running event loop; while the directory is away, waits for it."""

    def __init__(self, path: Path, changed: Callable[[], object]) -> None:
        self._path, self._changed = path.absolute(), changed
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
        self._watch = -1
        self._present = False
        self._loop = asyncio.get_running_loop()
        self._arm()
        self._loop.add_reader(self._fd, self._ready)

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _ready(self) -> None:
        data = os.read(self._fd, _READ_BYTES)
        telling = self._present and any(self._tells(mask, name) for mask, name in _events(data))
        was_present = self._present
        self._arm()
        if telling or was_present != self._present:
            self._changed()

    def _tells(self, mask: int, name: str) -> bool:
        """A new file is told when it is closed, not when it is created; a link is never closed."""
        return not mask & _CREATE or (self._path / name).is_symlink()

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
