"""The manifest directory: the standalone source of objects, and where `tulle apply` puts them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tulle.errors import Refused, Unavailable, UsageError
from tulle.model.kinds import KubernetesObject, ref_of
from tulle.model.kubernetes import ObjectRef
from tulle.model.world import Refusal

from . import checkpoint
from .files import FileCache, own_name, shown, write_whole
from .parse import Parsed, parse
from .render import to_yaml
from .settle import Held, refuse, settle
from .watch import DirectoryWatch

_READ_BACK_BYTES = 64 << 10  # below this no object comes near a limit of `parse`


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the directory holds now: objects in force, and everything refused, with reasons."""

    objects: Mapping[ObjectRef, KubernetesObject]
    refusals: tuple[Refusal, ...]


class ManifestDirectory:
    """Reads and writes the directory. Methods may be called from any thread, except `watch`."""

    def __init__(self, path: Path, last_good: Path) -> None:
        """`last_good` is the file that keeps the objects in force over a restart."""
        self._path = path
        self._last_good = last_good
        self._lock = threading.RLock()
        self._cache = FileCache(path)
        self._watch: DirectoryWatch | None = None
        self._recall_refused: list[Refusal] = []
        try:
            self._held = checkpoint.load(last_good)
        except Refused as error:
            self._held = {}
            self._recall_refused = [refuse("Checkpoint", shown(last_good), str(error))]
        self._saved: Mapping[ObjectRef, Held] = self._held

    def scan(self) -> Snapshot:
        """Everything that is true now; files that have not changed are not read again."""
        with self._lock:
            refusals = list(self._recall_refused)
            try:
                files = self._cache.load_all()
            except OSError as error:
                reason = f"cannot be read: {error.strerror}; the previous objects stay in force"
                refusals.append(refuse("Directory", shown(self._path), reason))
            else:
                self._held, refused = settle(files, self._held)
                refusals += refused + self._save()
            objects = {ref: held.obj for ref, held in self._held.items()}
            return Snapshot(objects, tuple(refusals))

    def put(self, obj: KubernetesObject) -> None:
        """Write an object to a file of its own.

        Raises UsageError if it lives in a file that the user wrote or is too large for a file,
        Unavailable if the disk refuses.
        """
        ref = ref_of(obj)
        with self._lock:
            place, theirs = self._in_users_file(ref)
            if theirs == obj:
                return
            if place:
                raise UsageError(f"{ref} is defined at {place}: change it there")
            data = to_yaml(obj).encode()
            if len(data) > _READ_BACK_BYTES and parse(data, "").errors:
                raise UsageError(f"{ref} is too large for a file of its own")
            write_whole(self._path / own_name(ref), data)

    def remove(self, ref: ObjectRef) -> bool:
        """Delete an object's file; whether there was one. Raises UsageError as `put` does."""
        with self._lock:
            place, _ = self._in_users_file(ref)
            if place:
                raise UsageError(f"{ref} is defined at {place}: remove it there")
            try:
                (self._path / own_name(ref)).unlink()
            except FileNotFoundError:
                return False
            except OSError as error:
                raise Unavailable(f"cannot remove {ref}: {error.strerror}") from error
            return True

    def watch(self, changed: Callable[[], object]) -> None:
        """Have `changed` called in the running event loop whenever a scan may see something new."""
        self._watch = DirectoryWatch(self._path, changed)

    def unwatch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _in_users_file(self, ref: ObjectRef) -> tuple[str, KubernetesObject | None]:
        """Place and present version of an object that is not alone in its own file, or ""."""
        own = own_name(ref)
        held = self._held.get(ref)
        name = Path(held.file).name if held else own
        parsed = self._cache.load(name) or Parsed()
        found = {ref_of(item.obj): item for item in parsed.objects}
        refs = {*found, *(bad.ref for bad in parsed.errors)}
        if refs <= {ref, None} if name == own else ref not in refs:
            return "", None
        if (item := found.get(ref)) is not None:
            return f"{item.file}:{item.line}", item.obj
        return shown(self._path / name), None

    def _save(self) -> list[Refusal]:
        if self._held == self._saved:
            return []
        try:
            checkpoint.save(self._last_good, self._held)
        except Unavailable as error:
            reason = f"{error}; a restart would not know the objects in force"
            return [refuse("Checkpoint", shown(self._last_good), reason)]
        self._saved = self._held
        return []
