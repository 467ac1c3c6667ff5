"""Which EndpointSlices each Service has, kept up with changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tulle.model.kubernetes import SERVICE_NAME_LABEL, EndpointSlice
from tulle.model.world import Key

from .members import changed


@dataclass(frozen=True, slots=True)
class Slices:
    all: Mapping[Key, EndpointSlice] = field(default_factory=dict)
    by_service: Mapping[Key, tuple[EndpointSlice, ...]] = field(default_factory=dict)

    def of(self, service: Key) -> tuple[EndpointSlice, ...]:
        """In the order of their names."""
        return self.by_service.get(service, ())


def slices_of(now: Mapping[Key, EndpointSlice], before: Slices) -> tuple[Slices, set[Key]]:
    """The slices by service, and the services of which some have changed."""
    if now is before.all:
        return before, set()
    gone: dict[Key, set[int]] = {}
    come: dict[Key, list[EndpointSlice]] = {}
    for key in changed(before.all, now):
        if (old := before.all.get(key)) is not None:
            gone.setdefault(_service(old), set()).add(id(old))
        if (new := now.get(key)) is not None:
            come.setdefault(_service(new), []).append(new)
    touched = gone.keys() | come.keys()
    by_service = dict(before.by_service)
    for service in touched:
        lost = gone.get(service, ())
        kept = [item for item in before.of(service) if id(item) not in lost]
        kept += come.get(service, ())
        kept.sort(key=lambda item: item.metadata.name)
        by_service[service] = tuple(kept)
        if not kept:
            del by_service[service]
    return Slices(now, by_service), touched


def _service(item: EndpointSlice) -> Key:
    return item.metadata.namespace, item.metadata.labels.get(SERVICE_NAME_LABEL, "")
