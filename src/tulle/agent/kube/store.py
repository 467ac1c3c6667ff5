"""What an API server has said, and which objects are in force of it. Pure.

An object leaves only when the server says that it is gone. A version that cannot be accepted
keeps the one that was in force. One that comes again and says the same stays the same object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from tulle.edges.manifests.directory import Snapshot
from tulle.edges.manifests.settle import name_of
from tulle.edges.manifests.validate import CLUSTER_SCOPED
from tulle.errors import ManifestError
from tulle.model.kinds import KubernetesObject, ref_of
from tulle.model.kubernetes import ObjectRef
from tulle.model.world import Key, Refusal

from .decode import decode

KEPT = "the previous version stays in force"
Told = tuple[Key, str, bytes]  # namespace and name, resource version, the object's bytes


@dataclass(slots=True)
class _Kind:
    """`given` is what was read of every object, `published` the mapping in the last snapshot."""

    objects: dict[Any, KubernetesObject] = field(default_factory=dict)
    versions: dict[Key, str] = field(default_factory=dict)
    refusals: dict[Key, Refusal] = field(default_factory=dict)
    published: Mapping[Any, KubernetesObject] | None = None


class Store:
    """One thread at a time."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}
        self._snapshot: Snapshot | None = None
        self._changed: set[ObjectRef] = set()

    def recall(self, objects: Iterable[KubernetesObject]) -> None:
        """What was in force when the last agent ended, until the server says otherwise."""
        for obj in objects:
            kind = self._kinds.setdefault(obj.kind, _Kind())
            kind.objects.setdefault(name_of(ref_of(obj)), obj)
            kind.published = None
        self._snapshot = None

    def put(self, kind: str, told: Told, version: str) -> bool:
        """An object that is there; whether anything is different now."""
        key, at, raw = told
        held = self._kinds.setdefault(kind, _Kind())
        if held.versions.get(key) == at:
            return False
        held.versions[key] = at
        ref = _ref(kind, key)
        try:
            obj = decode(kind, raw, version)
        except ManifestError as error:
            return self._refuse(held, key, ref, str(error))
        forgiven = held.refusals.pop(key, None) is not None
        return self._set(held, ref, obj) or (forgiven and self._stale())

    def keep(self, kind: str, keys: Set[Key]) -> bool:
        """There are no others of a kind; whether anything is different now."""
        held = self._kinds.setdefault(kind, _Kind())
        known = {*held.versions, *map(_key, held.objects)}
        gone = [self.drop(kind, key) for key in known - keys]
        return any(gone)

    def drop(self, kind: str, key: Key) -> bool:
        """An object that is gone; whether anything is different now."""
        held = self._kinds.setdefault(kind, _Kind())
        held.versions.pop(key, None)
        forgiven = held.refusals.pop(key, None) is not None
        return self._set(held, _ref(kind, key), None) or (forgiven and self._stale())

    def has(self, ref: ObjectRef) -> bool:
        held = self._kinds.get(ref.kind)
        return held is not None and name_of(ref) in held.objects

    def forget(self, kind: str) -> None:
        """What comes next is looked at, though the server may have called it the same before."""
        self._kinds.setdefault(kind, _Kind()).versions.clear()

    def snapshot(self) -> Snapshot:
        """The same object as long as nothing changes, and so are the mappings in it."""
        if self._snapshot is None:
            for held in self._kinds.values():
                if held.published is None:
                    held.published = dict(held.objects)
            refusals = (item for held in self._kinds.values() for item in held.refusals.values())
            self._snapshot = Snapshot(
                {name: held.published or {} for name, held in self._kinds.items()},
                tuple(sorted(refusals, key=lambda item: item.ref)),
            )
        return self._snapshot

    def changed(self) -> set[ObjectRef]:
        """Objects that are not what they were when this was last asked."""
        changed, self._changed = self._changed, set()
        return changed

    def _set(self, held: _Kind, ref: ObjectRef, obj: KubernetesObject | None) -> bool:
        name = name_of(ref)
        if held.objects.get(name) == obj:
            return False
        if obj is None:
            del held.objects[name]
        else:
            held.objects[name] = obj
        held.published = None
        self._changed.add(ref)
        return self._stale()

    def _refuse(self, held: _Kind, key: Key, ref: ObjectRef, reason: str) -> bool:
        if name_of(ref) in held.objects:
            reason += f"; {KEPT}"
        refusal = Refusal(ref, reason)
        if held.refusals.get(key) == refusal:
            return False
        held.refusals[key] = refusal
        return self._stale()

    def _stale(self) -> bool:
        self._snapshot = None
        return True


def _ref(kind: str, key: Key) -> ObjectRef:
    return ObjectRef(kind, "" if kind in CLUSTER_SCOPED else key[0], key[1])


def _key(name: Key | str) -> Key:
    return ("", name) if isinstance(name, str) else name
