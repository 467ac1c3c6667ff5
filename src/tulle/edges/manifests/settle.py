"""Which objects are in force, given what the files hold now and what was in force before.

An object leaves only when its document has really gone. A document that cannot be accepted keeps
the version that was in force; one that does not even say what it is keeps every object of its
file that is not to be found there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tulle.model.kinds import KubernetesObject, ref_of
from tulle.model.kubernetes import ObjectRef
from tulle.model.world import Refusal

from .parse import BadDocument, Parsed

_NAMED = 5  # objects listed in one message


@dataclass(frozen=True, slots=True)
class Held:
    """An object in force, and the document that it came from."""

    obj: KubernetesObject
    file: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def settle(
    files: Mapping[str, Parsed], before: Mapping[ObjectRef, Held]
) -> tuple[dict[ObjectRef, Held], list[Refusal]]:
    """Objects in force and refusals. Of two documents for one object the first file's wins."""
    held = _kept(files, before)
    kept = {ref: old.file for ref, old in held.items()}
    refusals = []
    for placed in (placed for parsed in files.values() for placed in parsed.objects):
        ref = ref_of(placed.obj)
        new = Held(placed.obj, placed.file, placed.line)
        if (first := held.setdefault(ref, new)) is not new:
            reason = f"{new.place}: defined at {first.place} already, which stays in force"
            refusals.append(Refusal(ref, reason))
    for file, parsed in files.items():
        missing = [ref for ref, origin in kept.items() if origin == file]
        refusals += [_refusal(bad, file, held, missing) for bad in parsed.errors]
    return held, refusals


def refuse(what: str, name: str, reason: str) -> Refusal:
    """A refusal of something that is no Kubernetes object: a file, the directory."""
    return Refusal(ObjectRef(what, "", name), reason)


def _kept(files: Mapping[str, Parsed], before: Mapping[ObjectRef, Held]) -> dict[ObjectRef, Held]:
    """Objects whose document is still there, or may be, but gives no acceptable version."""
    by_file: dict[str, list[ObjectRef]] = defaultdict(list)
    for ref, old in before.items():
        by_file[old.file].append(ref)
    kept = {}
    for file, refs in by_file.items():
        parsed = files.get(file, Parsed())
        if not parsed.errors:
            continue
        good = {ref_of(placed.obj) for placed in parsed.objects}
        bad = {document.ref for document in parsed.errors}
        kept.update({ref: before[ref] for ref in refs if ref not in good and bad & {ref, None}})
    return kept


def _refusal(
    bad: BadDocument, file: str, held: Mapping[ObjectRef, Held], missing: Collection[ObjectRef]
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
