"""Network namespaces, bound at paths so that they live without a process in them.

A namespace belongs to a thread. Work in another namespace is done on a thread of its own that
ends with the work, so that no thread which others use is ever left in the wrong one.
Python 3.11 has neither os.setns nor os.unshare, hence ctypes.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import TypeVar

from tulle.errors import KernelError

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MS_SHARED = 1 << 20
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def create(path: Path) -> None:
    """Bind a new network namespace at `path`; one that is already there stays.

    The directory of `path` becomes a shared mount of its own: when the namespace is deleted, its
    mount vanishes from the workloads' private mount namespaces too, which would keep it alive.
    Raises KernelError.
    """
    if exists(path):
        return
    _share(path.parent)
    path.touch(mode=0o600)
    on_thread(lambda: _bind_new(path))


def delete(path: Path) -> None:
    """Unbind the namespace at `path`; it ends with its last process. Raises KernelError."""
    while exists(path):
        _call("umount2", os.fsencode(path), MNT_DETACH, doing=f"umount {path}")
    path.unlink(missing_ok=True)


def delete_all(directory: Path) -> None:
    """Unbind every namespace in `directory`, and remove it. Raises KernelError."""
    if not directory.exists():
        return
    for path in directory.iterdir():
        delete(path)
    while _is_mount(directory):
        _call("umount2", os.fsencode(directory), MNT_DETACH, doing=f"umount {directory}")
    directory.rmdir()


def exists(path: Path) -> bool:
    """Whether a namespace is bound at `path` (a file that only waits to be bound is not)."""
    try:
        return path.stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except FileNotFoundError:
        return False


def run_in(path: Path | None, work: Callable[[], T]) -> T:
    """Result of `work`, run inside the namespace at `path`; None is the caller's own.

    Raises KernelError if the namespace cannot be entered, and whatever `work` raises.
    """
    if path is None:
        return work()

    def entered() -> T:
        enter(path)
        return work()

    return on_thread(entered)


def on_thread(work: Callable[[], T]) -> T:
    """Result of `work`, run on a thread of its own: it may `enter` one namespace after the other.

    Raises whatever `work` raises.
    """
    future: Future[T] = Future()

    def body() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=body, name="netns").start()
    return future.result()


def enter(path: Path) -> None:
    """For good: on a thread of one's own only. Raises KernelError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError(error.errno or 0, f"network namespace {path}") from error
    try:
        _call("setns", fd, CLONE_NEWNET, doing=f"enter network namespace {path}")
    finally:
        os.close(fd)


def _bind_new(path: Path) -> None:
    _call("unshare", CLONE_NEWNET, doing="new network namespace")
    _mount(b"/proc/thread-self/ns/net", path, MS_BIND)


def _share(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_mount(directory):
        _mount(os.fsencode(directory), directory, MS_BIND)
        _mount(b"none", directory, MS_SHARED)


def _is_mount(directory: Path) -> bool:
    # os.path.ismount does not see a bind mount within one file system
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split(" ")[4] == str(directory) for line in mounts)


def _mount(source: bytes, target: Path, flags: int) -> None:
    _call("mount", source, os.fsencode(target), None, flags, None, doing=f"mount on {target}")


def _call(name: str, *args: int | bytes | None, doing: str) -> None:
    if getattr(_libc, name)(*args) != 0:
        raise KernelError(ctypes.get_errno(), doing)
