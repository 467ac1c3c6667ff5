"""Manifest files on disk: found, read with suspicion, written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from tulle.errors import Unavailable
from tulle.model.kubernetes import ObjectRef

from .parse import MAX_BYTES, Parsed, parse, refuse_file

SUFFIXES = (".yaml", ".yml", ".json")

# A file changed this shortly before it was read may change again within one tick of its clock.
_TICK_NS = 20_000_000
_NAME_BYTES = 255
_HASH_DIGITS = 16

_Stamp = tuple[int, int, int, int]


class Files:
    """The manifests of a directory; each is read again only when it has changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stamps: dict[str, _Stamp | None] = {}  # None: read, but not to be trusted to stay
        self._links: set[str] = set()

    def changed(self) -> dict[str, Parsed | None]:
        """By path, what is not as it was when last read; None for a file that has gone.

        Raises OSError if the directory cannot be read.
        """
        return self.read_again(self.stale())

    def stale(self) -> list[str]:
        """Names of the files that are not as they were when last read. Raises OSError."""
        with os.scandir(self._root) as entries:
            found = {entry.name: entry for entry in entries if is_manifest(entry.name)}
        gone = set(self._stamps) - found.keys()
        return [*sorted(gone), *sorted(name for name in found if self._is_stale(found[name]))]

    def read_again(self, names: Iterable[str]) -> dict[str, Parsed | None]:
        """By path, what these files hold now."""
        return {shown(self._root / name): self.load(name) for name in names}

    def links_beside(self, name: str) -> set[str]:
        """Manifests that may lead to what `name`, which is none itself, stands for."""
        return set() if is_manifest(name) else set(self._links)

    def is_as_read(self, name: str) -> bool:
        """Whether reading it again would give nothing new."""
        try:
            stamp = _stamp((self._root / name).lstat())
        except OSError:
            return False
        return self._stamps.get(name) == stamp

    def distrust(self, name: str) -> None:
        """Have it read again, changed or not."""
        self._stamps[name] = None

    def load(self, name: str) -> Parsed | None:
        """What the file holds; None if there is none. A file that cannot be read is refused."""
        path = f"{self._root}/{name}"
        self._stamps[name] = None
        self._links.discard(name)
        try:
            return self._read(name, path)
        except FileNotFoundError:
            self._stamps.pop(name)
            return None
        except OSError as error:
            if error.errno != errno.ELOOP:
                return refuse_file(f"cannot be read: {error.strerror}", shown(path))
        self._links.add(name)
        return self._load_link(name, Path(path))

    def _load_link(self, name: str, path: Path) -> Parsed:
        try:
            target = path.resolve(strict=True)
            if not target.is_relative_to(self._root.resolve()):
                return refuse_file("is a link that leads out of the directory", shown(path))
            return self._read(name, str(target))
        except FileNotFoundError:
            return refuse_file("is a link to nothing", shown(path))
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a ring
            reason = getattr(error, "strerror", None) or error
            return refuse_file(f"cannot be read: {reason}", shown(path))

    def _read(self, name: str, path: str) -> Parsed:
        file = shown(self._root / name)
        # O_NONBLOCK: opening a pipe must not wait for its writer
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode):
                return refuse_file("is not a regular file", file)
            data = os.read(fd, MAX_BYTES + 1)
        finally:
            os.close(fd)
        if time.time_ns() - info.st_mtime_ns > _TICK_NS and name not in self._links:
            self._stamps[name] = _stamp(info)
        return parse(data, file)

    def _is_stale(self, entry: os.DirEntry[str]) -> bool:
        try:
            return self._stamps.get(entry.name) != _stamp(entry.stat(follow_symlinks=False))
        except FileNotFoundError:
            return True


def own_name(ref: ObjectRef) -> str:
    """Name of the file in which `tulle apply` keeps an object.

    No name of an object contains `_`, so neither the stand-in for an absent namespace nor a
    shortened name can be that of another object.
    """
    stem = f"{ref.kind.lower()}.{ref.namespace or '_'}.{ref.name}"
    if len(stem) + len(".yaml") + len("..tmp") > _NAME_BYTES:
        digest = sha256(ref.name.encode()).hexdigest()[:_HASH_DIGITS]
        stem = f"{ref.kind.lower()}.{ref.namespace}.{ref.name[:100]}_{digest}"
    return f"{stem}.yaml"


def write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    """Put a file in place in one step, readable by its owner only. Raises Unavailable."""
    temporary = path.with_name(f".{path.name}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as stream:
            stream.writelines(pieces)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise Unavailable(f"cannot write {shown(path)}: {error.strerror}") from error


def shown(path: str | Path) -> str:
    """A path for messages and for JSON: file names may hold any byte."""
    if (text := str(path)).isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def is_manifest(name: str) -> bool:
    return not name.startswith(".") and name.endswith(SUFFIXES)


def _stamp(info: os.stat_result) -> _Stamp:
    return info.st_mtime_ns, info.st_size, info.st_ino, info.st_dev
