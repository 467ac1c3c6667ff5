"""What the API is told of what this cluster exports and imports, as statuses. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tulle.compile.routes.conditions import Verdict, conditions
from tulle.edges.manifests.directory import Snapshot
from tulle.model.kubernetes import ObjectRef, Service
from tulle.model.multicluster import (
    SERVICE_IMPORT,
    Export,
    ServiceExport,
    ServiceImport,
    import_type,
    imported,
)
from tulle.model.world import Key

from .clusterset import exported, is_ours, merged

Json = dict[str, Any]

_VALID, _READY = Verdict(True, "Valid"), Verdict(True, "Ready")
_NO_SERVICE = Verdict(
    False, "NoService", "there is no Service of that name, or its type is ExternalName"
)
_NO_ADDRESS = Verdict(
    False,
    "NoAddress",
    "gatewayCidrs of this cluster have no free address of its IP families: nobody here reaches it",
)
_NO_CONFLICTS = Verdict(False, "NoConflicts")
_NOTHING = {
    "Valid": _NO_SERVICE,
    "Ready": Verdict(False, "Pending", "there is nothing to export"),
    "Conflict": _NO_CONFLICTS,
}


def of_clusterset(
    snapshot: Snapshot, services: Mapping[Key, Service]
) -> Iterator[tuple[ObjectRef, Json]]:
    """Of exports and imports, once it is known what all clusters export.

    That an import has no address is said of the export: not every version of an import has
    conditions, and a server refuses what its version has not.
    """
    if not snapshot.clusterset.whole:
        return
    exports = snapshot.clusterset.exports
    here = exported(snapshot)
    for key, item in snapshot.of(ServiceExport).items():
        stands = services.get((key[0], imported(key[1])))
        said = _verdicts(exports[key], _readiness(stands)) if key in here else _NOTHING
        words = conditions(item.metadata.generation, **said)
        yield ObjectRef("ServiceExport", *key), {"conditions": words}
    for key, made in snapshot.of(ServiceImport).items():
        if is_ours(made) and key in exports:
            clusters = sorted(item.cluster for item in exports[key])
            yield (
                ObjectRef(SERVICE_IMPORT, *key),
                {"clusters": [{"cluster": name} for name in clusters]},
            )


def _readiness(stands: Service | None) -> Verdict:
    if stands is None or stands.spec.cluster_ips or import_type(stands.spec) == "Headless":
        return _READY
    return _NO_ADDRESS


def _verdicts(exports: Sequence[Export], ready: Verdict) -> dict[str, Verdict]:
    conflicts, conflict = merged(exports).conflicts, _NO_CONFLICTS
    if conflicts:
        conflict = Verdict(True, ",".join(conflicts), "; ".join(conflicts.values()))
    return {"Valid": _VALID, "Ready": ready, "Conflict": conflict}
