"""The manifest directory: the standalone source of objects, and where `tulle apply` puts them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tulle.errors import Refused, Unavailable, UsageError
from tulle.model.kinds import KINDS, KubernetesObject, ref_of
from tulle.model.kubernetes import Namespace, ObjectRef
from tulle.model.multicluster import ClusterSet
from tulle.model.world import Key, Refusal

from .checkpoint import Checkpoint
from .files import Files, is_manifest, own_name, shown, write_whole
from .parse import Parsed, Placed, parse
from .render import to_yaml
from .settle import ByKind, Settlement, name_of, refuse
from .watch import DirectoryWatch

_READ_BACK_BYTES = 64 << 10  # below this no object comes near a limit of `parse`
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the directory holds now: objects in force, and everything refused, with reasons.

    The mapping of a kind is the same object from one snapshot to the next as long as nothing of
    the kind changes, and so is an object.
    """

    kinds: ByKind
    refusals: tuple[Refusal, ...]
    foreign: Mapping[str, Mapping[str, Namespace]] = field(default_factory=dict)  # by cluster
    clusterset: ClusterSet = field(default_factory=ClusterSet)

    def of(self, kind: type[T]) -> Mapping[Key, T]:
        """Objects of a kind that is in namespaces."""
        return self._all(kind)

    def named(self, kind: type[T]) -> Mapping[str, T]:
        """Objects of a kind that is in none."""
        return self._all(kind)

    def get(self, ref: ObjectRef) -> KubernetesObject | None:
        return self.kinds.get(ref.kind, {}).get(name_of(ref))

    def _all(self, kind: type[T]) -> Mapping[Any, T]:
        found: Mapping[Any, Any] = self.kinds.get(_KIND_NAMES[kind], _NONE)
        return found


_NONE: Mapping[Any, Any] = {}  # one object, so that it is the same from snapshot to snapshot
_KIND_NAMES: Mapping[type, str] = {kind: name for name, kind in KINDS.items()}


class ManifestDirectory:
    """Reads and writes the directory. Methods may be called from any thread, except `watch`."""

    def __init__(self, path: Path, last_good: Path) -> None:
        """`last_good` is the file that keeps the objects in force over a restart."""
        self._path = path
        self._last_good = shown(last_good)
        self._lock = threading.RLock()
        self._files = Files(path)
        self._watch: DirectoryWatch | None = None
        self._all_unread = True
        self._unread: set[str] = set()  # besides what the watch tells
        self._checkpoint = Checkpoint(last_good)
        self._unsaved: set[ObjectRef] = set()
        self._recall_refused: list[Refusal] = []
        try:
            remembered = self._checkpoint.load()
        except Refused as error:
            remembered = {}
            self._recall_refused = [refuse("Checkpoint", self._last_good, str(error))]
        # Even if all of it has gone: else a later agent would take it for good again.
        self._unsaved.update(ref for refs in remembered.values() for ref in refs)
        self._settled = Settlement(remembered, self._recall)
        self._snapshot: Snapshot | None = None

    def scan(self) -> Snapshot:
        """Everything that is true now. With a `watch` only what it told of is looked at."""
        with self._lock:
            told = self._take_told()
            if told is not None and not told and self._snapshot and not self._unsaved:
                return self._snapshot
            troubles = []
            try:
                changed = self._files.changed() if told is None else self._files.read_again(told)
            except OSError as error:
                self._all_unread = True
                reason = f"cannot be read: {error.strerror}; the previous objects stay in force"
                troubles.append(refuse("Directory", shown(self._path), reason))
                different = self._settled.recall_all()
            else:
                different = self._settled.read_anew(changed, whole=told is None)
            troubles += self._save(different)
            refusals = (*self._recall_refused, *troubles, *self._settled.refusals())
            self._snapshot = Snapshot(self._settled.kinds, refusals)
            return self._snapshot

    def reread(self) -> None:
        """Have the next scan read what the watch may have missed.

        Takes 100 ms for 10,000 files, in which scans go on.
        """
        try:
            stale = self._files.stale()
        except OSError:
            self._all_unread = True  # the scan will say so
        else:
            with self._lock:
                self._unread.update(stale)

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
            self._unread.add(own_name(ref))
            write_whole(self._path / own_name(ref), (data,))

    def remove(self, ref: ObjectRef) -> bool:
        """Delete an object's file; whether there was one. Raises UsageError as `put` does."""
        with self._lock:
            place, _ = self._in_users_file(ref)
            if place:
                raise UsageError(f"{ref} is defined at {place}: remove it there")
            self._unread.add(own_name(ref))
            try:
                (self._path / own_name(ref)).unlink()
            except FileNotFoundError:
                return False
            except OSError as error:
                raise Unavailable(f"cannot remove {ref}: {error.strerror}") from error
            return True

    def watch(self, changed: Callable[[], object]) -> None:
        """Have `changed` called in the running event loop whenever a scan may see something new."""
        self._watch = DirectoryWatch(self._path, changed, self._concerns)

    def unwatch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        self._checkpoint.close()

    def _concerns(self, name: str) -> bool:
        return is_manifest(name) or bool(self._files.links_beside(name))

    def _take_told(self) -> set[str] | None:
        """Names of manifests to look at; None: all of them."""
        told = self._watch.take() if self._watch else None
        unread, self._unread = self._unread, set()
        if told is None or self._all_unread:
            self._all_unread = False
            return None
        through = (link for name in told for link in self._files.links_beside(name))
        return {*filter(is_manifest, told), *through, *unread}

    def _recall(self, ref: ObjectRef) -> Placed | None:
        try:
            return self._checkpoint.recall(ref)
        except Refused as error:
            self._recall_refused.append(refuse("Checkpoint", self._last_good, str(error)))
            return None

    def _in_users_file(self, ref: ObjectRef) -> tuple[str, KubernetesObject | None]:
        """Place and present version of an object that is not alone in its own file, or ""."""
        own = own_name(ref)
        held = self._settled.held.get(ref)
        name = Path(held.file).name if held else own
        parsed = self._present(name)
        found = {ref_of(item.obj): item for item in parsed.objects}
        refs = {*found, *(bad.ref for bad in parsed.errors)}
        if refs <= {ref, None} if name == own else ref not in refs:
            return "", None
        if (item := found.get(ref)) is not None:
            return item.place, item.obj
        return shown(self._path / name), None

    def _present(self, name: str) -> Parsed:
        if self._files.is_as_read(name):
            return self._settled.files.get(shown(self._path / name), Parsed())
        parsed = self._files.load(name)
        self._files.distrust(name)  # the next scan is to see it too
        self._unread.add(name)
        return parsed or Parsed()

    def _save(self, different: Iterable[ObjectRef]) -> list[Refusal]:
        self._unsaved.update(different)
        try:
            if self._unsaved:
                self._checkpoint.save(self._settled.held, self._unsaved)
        except Unavailable as error:
            reason = f"{error}; a restart would not know the objects in force"
            return [refuse("Checkpoint", self._last_good, reason)]
        self._unsaved.clear()
        return []
