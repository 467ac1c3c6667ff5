"""Manifest files on disk: found, read with suspicion, written whole or not at all."""

from __future__ import annotations

import os
import stat
import time
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


class FileCache:
    """Parsed files, each read again only when it has changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, tuple[_Stamp, Parsed]] = {}

    def load_all(self) -> dict[str, Parsed]:
        """Every manifest of the directory by its path, in order of name. Raises OSError."""
        with os.scandir(self._root) as entries:
            found = sorted((e for e in entries if _is_manifest(e.name)), key=lambda e: e.name)
        loaded = {shown(entry.path): self._load_entry(entry) for entry in found}
        files = {file: parsed for file, parsed in loaded.items() if parsed is not None}
        names = {entry.name for entry in found}
        self._known = {name: known for name, known in self._known.items() if name in names}
        return files

    def _load_entry(self, entry: os.DirEntry[str]) -> Parsed | None:
        """`load`, with one system call where nothing has changed."""
        try:
            stamp = _stamp(entry.stat(follow_symlinks=False))
        except FileNotFoundError:
            return None
        known = self._known.get(entry.name)
        return known[1] if known and known[0] == stamp else self.load(entry.name)

    def load(self, name: str) -> Parsed | None:
        """What the file holds; None if there is none. A file that cannot be read is refused."""
        path = self._root / name
        file = shown(path)
        try:
            if not stat.S_ISLNK(path.lstat().st_mode):
                return self._read(name, path)
            target = path.resolve(strict=True)
            if not target.is_relative_to(self._root.resolve()):
                return refuse_file("is a link that leads out of the directory", file)
            return self._read(name, target)
        except FileNotFoundError:
            return refuse_file("is a link to nothing", file) if path.is_symlink() else None
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a ring
            return refuse_file(f"cannot be read: {getattr(error, 'strerror', None) or error}", file)

    def _read(self, name: str, path: Path) -> Parsed:
        file = shown(self._root / name)
        known = self._known.get(name)
        if known and known[0] == _stamp(path.stat()):
            return known[1]
        # O_NONBLOCK: opening a pipe must not wait for its writer
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as stream:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode):
                return refuse_file("is not a regular file", file)
            parsed = parse(stream.read(MAX_BYTES + 1), file)
        if time.time_ns() - info.st_mtime_ns > _TICK_NS:
            self._known[name] = (_stamp(info), parsed)
        return parsed


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


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in place in one step, readable by its owner only. Raises Unavailable."""
    temporary = path.with_name(f".{path.name}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as stream:
            stream.write(data)
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


def _is_manifest(name: str) -> bool:
    return not name.startswith(".") and name.endswith(SUFFIXES)


def _stamp(info: os.stat_result) -> _Stamp:
    return info.st_mtime_ns, info.st_size, info.st_ino, info.st_dev
