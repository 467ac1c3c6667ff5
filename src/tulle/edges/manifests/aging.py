"""Age and generation of objects, as an API server keeps them: here whoever applies one does.

They stand in the manifest, so that all nodes of a mesh see the same. Only kinds whose statuses or
precedence follow from them have them.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from tulle.model.kinds import KubernetesObject

_GROUPS = frozenset({"gateway.networking.k8s.io", "gateway.networking.x-k8s.io", "tulle.io"})
_KINDS = frozenset({"Ingress", "IngressClass"})


def aged(obj: KubernetesObject, before: KubernetesObject | None, now: datetime) -> KubernetesObject:
    """`obj` as it takes the place of `before`; what it says itself of its age stays."""
    if obj.api_version.partition("/")[0] not in _GROUPS and obj.kind not in _KINDS:
        return obj
    created, generation = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), 1
    if before is not None:
        known = before.metadata
        created = known.creation_timestamp or created
        changed = msgspec.structs.replace(obj, metadata=known) != before
        generation = known.generation + changed or 1
    metadata = msgspec.structs.replace(
        obj.metadata,
        creation_timestamp=obj.metadata.creation_timestamp or created,
        generation=obj.metadata.generation or generation,
    )
    return msgspec.structs.replace(obj, metadata=metadata)
