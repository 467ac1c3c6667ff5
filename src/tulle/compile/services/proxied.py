"""Where each Service leaves its connections to the node's proxy, kept up with changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tulle.model.routing import Proxied
from tulle.model.world import IPAddress, Key

Place = tuple[IPAddress, int, str]  # address, port, protocol
_NOWHERE: frozenset[Place] = frozenset()


@dataclass(frozen=True, slots=True)
class Places:
    all: frozenset[Proxied] = frozenset()
    by_service: Mapping[Key, frozenset[Place]] = field(default_factory=dict)

    def of(self, service: Key) -> frozenset[Place]:
        return self.by_service.get(service, _NOWHERE)


def places_of(now: frozenset[Proxied], before: Places) -> tuple[Places, set[Key]]:
    """The places by service, and the services of which some have changed."""
    if now is before.all or now == before.all:
        return before, set()
    touched = {item[0] for item in now ^ before.all}
    found: dict[Key, set[Place]] = {}
    for service, address, port, protocol in now:
        found.setdefault(service, set()).add((address, port, protocol))
    by_service = {
        key: frozenset(places) if key in touched else before.by_service[key]
        for key, places in found.items()
    }
    return Places(now, by_service), touched
