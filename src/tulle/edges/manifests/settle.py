"""Which objects are in force, given what the files hold now and what was in force before.

An object leaves only when its document has really gone. A document that cannot be accepted keeps
the version that was in force; one that does not even say what it is keeps every object of its
file that is not to be found there.

Works file by file: only what a changed file defines, or did, is looked at again. An object that
is read again and says the same stays the same Python object.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from tulle.model.kinds import KubernetesObject, ref_of
from tulle.model.kubernetes import ObjectRef
from tulle.model.world import Key, Refusal

from .parse import BadDocument, Parsed, Placed

_NAMED = 5  # objects listed in one message

Name = Key | str  # (namespace, name); only the name where a kind is in no namespace
ByKind = Mapping[str, Mapping[Any, KubernetesObject]]  # kind → Name → object
Recall = Callable[[ObjectRef], Placed | None]
_NOTHING = Parsed()


def name_of(ref: ObjectRef) -> Name:
    return (ref.namespace, ref.name) if ref.namespace else ref.name


def refuse(what: str, name: str, reason: str) -> Refusal:
    """A refusal of something that is no Kubernetes object: a file, the directory."""
    return Refusal(ObjectRef(what, "", name), reason)


class Settlement:
    """What every file holds, and what is in force of it.

    `kinds` and the mappings in it are never changed in place: what is unchanged stays the same.
    """

    def __init__(
        self,
        remembered: Mapping[str, Iterable[ObjectRef]] | None = None,
        recall: Recall = lambda _: None,
    ) -> None:
        """`remembered` is what was in force when the last agent ended, by file; `recall` gives
        an object of it, None if it cannot be had any more."""
        self.kinds: ByKind = {}
        self.files: dict[str, Parsed] = {}
        self.held: dict[ObjectRef, Placed] = {}  # in force
        self._remembered = {file: tuple(refs) for file, refs in (remembered or {}).items()}
        self._recall = recall
        self._claims: dict[ObjectRef, tuple[Placed, ...]] = {}  # in order of file and document
        self._kept: dict[ObjectRef, Placed] = {}  # in force although no file gives them now
        self._kept_of: dict[str, tuple[ObjectRef, ...]] = {}  # by file
        self._contested: set[ObjectRef] = set()

    def recall_all(self) -> list[ObjectRef]:
        """All that was remembered is in force again, as long as the files are not to be read."""
        for file, refs in self._remembered.items():
            self._keep(file, {ref: old for ref in refs if (old := self._recall(ref))})
        self._remembered = {}
        return self._settle(list(self._kept))

    def read_anew(self, changed: Mapping[str, Parsed | None], whole: bool) -> list[ObjectRef]:
        """Takes in what files hold now, None for one that is gone; `whole`: there are no others
        than those in `files` or `changed`. Which objects came, changed, moved or went.
        """
        if whole:
            absent = (self._remembered.keys() | self._kept_of.keys()) - self.files.keys()
            changed = {**dict.fromkeys(absent), **changed}
        touched: dict[ObjectRef, None] = {}
        for file, parsed in changed.items():
            touched.update(dict.fromkeys(self._take(file, parsed or _NOTHING)))
        if whole:
            self._remembered = {}
        return self._settle(touched)

    def refusals(self) -> list[Refusal]:
        """Documents that are not in force. Of two for one object the first file's wins."""
        found = []
        for ref in sorted(self._contested):
            first = self.held[ref]
            reason = f"defined at {first.place} already, which stays in force"
            others = self._claims[ref][0 if ref in self._kept else 1 :]
            found += [Refusal(ref, f"{other.place}: {reason}") for other in others]
        for file in sorted(file for file, parsed in self.files.items() if parsed.errors):
            missing = self._kept_of.get(file, ())
            found += [_refusal(bad, file, self.held, missing) for bad in self.files[file].errors]
        return found

    def _take(self, file: str, parsed: Parsed) -> list[ObjectRef]:
        """One file's new content; the objects that may be concerned."""
        before = {ref_of(item.obj): None for item in self.files.pop(file, _NOTHING).objects}
        for ref in before:
            self._claim(ref, tuple(item for item in self._claims[ref] if item.file != file))
        parsed = Parsed(tuple(self._same(item) for item in parsed.objects), parsed.errors)
        if parsed != _NOTHING:
            self.files[file] = parsed
        for item in parsed.objects:
            claims = (*self._claims.get(ref := ref_of(item.obj), ()), item)
            self._claim(ref, claims if len(claims) == 1 else tuple(sorted(claims, key=_file_of)))
        was_kept = self._kept_of.get(file, ())
        remembered = self._remembered.get(file, ())
        self._keep(file, self._missing(file, parsed, (*before, *was_kept, *remembered)))
        return [*before, *was_kept, *remembered, *(ref_of(item.obj) for item in parsed.objects)]

    def _same(self, item: Placed) -> Placed:
        """With the object that is in force, if it says the same."""
        held = self.held.get(ref_of(item.obj))
        if held is None or held.obj != item.obj:
            return item
        return Placed(held.obj, item.file, item.line)

    def _claim(self, ref: ObjectRef, claims: tuple[Placed, ...]) -> None:
        if claims:
            self._claims[ref] = claims
        else:
            self._claims.pop(ref, None)

    def _missing(
        self, file: str, parsed: Parsed, refs: Iterable[ObjectRef]
    ) -> dict[ObjectRef, Placed]:
        """Objects whose document is still there, or may be, but gives no acceptable version."""
        good = {ref_of(item.obj) for item in parsed.objects}
        bad = {document.ref for document in parsed.errors}
        found: dict[ObjectRef, Placed] = {}
        for ref in refs if bad else ():
            if ref not in good and bad & {ref, None}:
                old = self.held.get(ref) or self._recall(ref)
                if old and old.file == file:
                    found[ref] = old
        return found

    def _keep(self, file: str, kept: Mapping[ObjectRef, Placed]) -> None:
        for ref in self._kept_of.pop(file, ()):
            self._kept.pop(ref, None)
        if kept:
            self._kept_of[file] = tuple(kept)
            self._kept.update(kept)

    def _settle(self, touched: Iterable[ObjectRef]) -> list[ObjectRef]:
        """Decides on these objects; which of them are no longer what or where they were."""
        different = []
        changes: dict[str, dict[ObjectRef, KubernetesObject | None]] = {}
        for ref in touched:
            claims = self._claims.get(ref, ())
            old, new = self.held.get(ref), self._kept.get(ref) or (claims[0] if claims else None)
            contested = len(claims) + (ref in self._kept) > 1
            (self._contested.add if contested else self._contested.discard)(ref)
            if new is None:
                self.held.pop(ref, None)
            else:
                self.held[ref] = new
            if (old and (old.obj, old.file)) != (new and (new.obj, new.file)):
                different.append(ref)
            if (old and old.obj) is not (new and new.obj):
                changes.setdefault(ref.kind, {})[ref] = new.obj if new else None
        if changes:
            fresh = {kind: _changed(self.kinds.get(kind, {}), c) for kind, c in changes.items()}
            self.kinds = {**self.kinds, **fresh}
        return different


def _file_of(item: Placed) -> str:
    return item.file


def _changed(
    objects: Mapping[Any, KubernetesObject], changes: Mapping[ObjectRef, KubernetesObject | None]
) -> Mapping[Any, KubernetesObject]:
    copy = dict(objects)
    for ref, obj in changes.items():
        if obj is None:
            copy.pop(name_of(ref), None)
        else:
            copy[name_of(ref)] = obj
    return copy


def _refusal(
    bad: BadDocument, file: str, held: Mapping[ObjectRef, Placed], missing: Collection[ObjectRef]
) -> Refusal:
    reason = str(bad.error)
    if bad.ref is None:
        if missing:
            named = ", ".join(str(ref) for ref in sorted(missing)[:_NAMED])
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            reason += f"; {named}{more}: the previous version stays in force"
        return refuse("Manifest", file, reason)
    if (now := held.get(bad.ref)) is not None:
        whose = "the previous version" if now.file == file else f"the version at {now.place}"
        reason += f"; {whose} stays in force"
    return Refusal(bad.ref, reason)
