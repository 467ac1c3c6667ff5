"""What the API is told of what this cluster exports and imports, as statuses. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tulle.compile.routes.conditions import Verdict, conditions
from tulle.edges.manifests.directory import Snapshot
from tulle.model.kubernetes import ObjectRef
from tulle.model.multicluster import SERVICE_IMPORT, Export, ServiceExport, ServiceImport

from .clusterset import exported, is_ours, merged

Json = dict[str, Any]

_VALID, _READY = Verdict(True, "Valid"), Verdict(True, "Ready")
_NO_SERVICE = Verdict(
    False, "NoService", "there is no Service of that name, or its type is ExternalName"
)
_NO_CONFLICTS = Verdict(False, "NoConflicts")
_NOTHING = {
    "Valid": _NO_SERVICE,
    "Ready": Verdict(False, "Pending", "there is nothing to export"),
    "Conflict": _NO_CONFLICTS,
}


def of_clusterset(snapshot: Snapshot) -> Iterator[tuple[ObjectRef, Json]]:
    """Of exports and imports, once it is known what all clusters export."""
    if not snapshot.clusterset.whole:
        return
    exports = snapshot.clusterset.exports
    here = exported(snapshot)
    for key, item in snapshot.of(ServiceExport).items():
        said = _verdicts(exports[key]) if key in here else _NOTHING
        words = conditions(item.metadata.generation, **said)
        yield ObjectRef("ServiceExport", *key), {"conditions": words}
    for key, made in snapshot.of(ServiceImport).items():
        if is_ours(made) and key in exports:
            clusters = sorted(item.cluster for item in exports[key])
            yield (
                ObjectRef(SERVICE_IMPORT, *key),
                {"clusters": [{"cluster": name} for name in clusters]},
            )


def _verdicts(exports: Sequence[Export]) -> dict[str, Verdict]:
    conflicts = merged(exports).conflicts
    if not conflicts:
        return {"Valid": _VALID, "Ready": _READY, "Conflict": _NO_CONFLICTS}
    verdict = Verdict(True, ",".join(conflicts), "; ".join(conflicts.values()))
    return {"Valid": _VALID, "Ready": _READY, "Conflict": verdict}
