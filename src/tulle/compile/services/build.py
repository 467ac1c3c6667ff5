"""World → the rows of all services, a part each. Only what changed is worked on.

`before` saves work and never changes the outcome, except that groups keep their numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from typing import TypeVar

from tulle.model.kinds import ref_of
from tulle.model.kubernetes import HEADLESS, ObjectRef, Service
from tulle.model.routing import Proxied
from tulle.model.world import IPAddress, Key, Refusal, World

from ..capacity import Limits
from ..ids import Allocator
from ..parts import Part
from .candidates import Source
from .frontend import Frontend
from .frontends import frontends_of
from .image import part_of
from .inputs import Inputs, inputs_of
from .room import HOST_PORT, SERVICE, PartKey, Room, room_for
from .wishes import addresses_of

SPACE = "service"  # of the allocator
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Entry:
    """What one Service, or one workload's host ports, came to.

    `addresses` are what a service's name stands for.
    """

    frontends: tuple[Frontend, ...] = ()
    groups: Mapping[str, int] = field(default_factory=dict)
    part: Part = field(default_factory=dict)
    addresses: tuple[IPAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """`names`: number → the first frontend of the group. `addresses`: what names stand for.

    A mapping in which nothing changed is the same object as before.
    """

    parts: Mapping[Hashable, Part] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    names: Mapping[int, Frontend] = field(default_factory=dict)
    addresses: Mapping[Key, tuple[IPAddress, ...]] = field(default_factory=dict)
    entries: Mapping[PartKey, Entry] = field(default_factory=dict)
    inputs: Inputs = field(default_factory=Inputs)
    room: Room = field(default_factory=Room)

    def in_force(self) -> Iterator[Frontend]:
        """All frontends, those of one service or workload together."""
        for key, entry in self.entries.items():
            if key not in self.room.cut:
                yield from entry.frontends

    def of(self, ref: ObjectRef) -> tuple[Frontend, ...]:
        """The frontends of a Service, or of a Pod's host ports, that are in force."""
        kind = HOST_PORT if ref.kind == "Pod" else SERVICE
        key = kind, ref.namespace, ref.name
        return () if key in self.room.cut else self.entries.get(key, Entry()).frontends


def service_parts(
    world: World,
    allocator: Allocator,
    limits: Limits,
    before: ServiceParts | None = None,
    proxied: frozenset[Proxied] = frozenset(),
) -> ServiceParts:
    """Services must have their addresses (`with_addresses`).

    `limits` is the room that is left to services in each map. `allocator` must have been made from
    the numbers of the compilation that `before` is of.
    """
    old = before or ServiceParts()
    inputs, dirty = inputs_of(world, proxied, old.inputs)
    fresh = {key: made for key in sorted(dirty) if (made := _made(inputs, key)) is not None}
    if before is not None:
        names = {frontend.group for item in fresh.values() for frontend in item.frontends}
        was = (old.entries[key] for key in dirty if key in old.entries)
        allocator.keep(SPACE, [name for entry in was for name in entry.groups if name not in names])
    changes = {
        key: _entry(inputs, key, fresh[key], allocator, old.entries.get(key))
        if key in fresh
        else None
        for key in sorted(dirty)
    }
    return _together(inputs, changes, limits, old)


@dataclass(frozen=True, slots=True)
class _Made:
    frontends: tuple[Frontend, ...]
    addresses: tuple[IPAddress, ...] = ()


def _made(inputs: Inputs, key: PartKey) -> _Made | None:
    """None if there is nothing in force of that name."""
    name = key[1:]
    if key[0] == HOST_PORT:
        frontends = inputs.host_ports.frontends.get(name)
        return None if frontends is None else _Made(frontends)
    service = inputs.services.get(name)
    if service is None or name not in inputs.claims.granted:
        return None
    source = inputs.source(name)
    granted, proxied = inputs.claims.granted[name], inputs.proxied.of(name)
    frontends = tuple(frontends_of(source, granted, inputs.view, inputs.dsr, proxied))
    return _Made(frontends, _addresses(service, source))


def _addresses(service: Service, source: Source) -> tuple[IPAddress, ...]:
    if service.spec.cluster_ip != HEADLESS:
        return addresses_of(service)
    families = service.spec.ip_families or ("IPv4", "IPv6")
    return tuple(map(ip_address, sorted(source.ready_addresses(families))))


def _entry(
    inputs: Inputs, key: PartKey, made: _Made, allocator: Allocator, was: Entry | None
) -> Entry:
    """The entry as it was, or at least its part, if nothing came of the change."""
    groups = {frontend.group: allocator.get(SPACE, frontend.group) for frontend in made.frontends}
    owned = inputs.claims.owned.get(key[1:], ()) if key[0] != HOST_PORT else ()
    part = part_of(made.frontends, groups.__getitem__, owned)
    if was is not None and part == was.part:
        part = was.part
    entry = Entry(made.frontends, groups, part, made.addresses)
    return was if was == entry and was is not None else entry


def _together(
    inputs: Inputs, changes: Mapping[PartKey, Entry | None], limits: Limits, old: ServiceParts
) -> ServiceParts:
    nothing = Entry()
    pairs = {
        key: (old.entries.get(key, nothing), now or nothing)
        for key, now in changes.items()
        if old.entries.get(key) is not now
    }
    entries = _updated(old.entries, {key: changes[key] for key in pairs})
    moved = [(was.part, now.part) for was, now in pairs.values() if was.part is not now.part]
    parts = partial(_all_parts, entries)
    room = room_for(parts, moved, limits, old.room)
    addresses = {
        key[1:]: now.addresses if changes[key] is not None else None
        for key, (_, now) in pairs.items()
        if key[0] != HOST_PORT
    }
    refused = inputs.claims.refused
    return ServiceParts(
        _parts(entries, pairs, room, old),
        (
            *(Refusal(ref_of(inputs.services[key]), why) for key, why in refused.items()),
            *inputs.host_ports.refusals,
            *(Refusal(_ref(key), why) for key, why in room.cut.items()),
        ),
        _names(pairs, old.names),
        _updated(old.addresses, addresses),
        entries,
        inputs,
        room,
    )


def _names(
    pairs: Mapping[PartKey, tuple[Entry, Entry]], old: Mapping[int, Frontend]
) -> Mapping[int, Frontend]:
    changes: dict[int, Frontend | None] = {}
    for was, _ in pairs.values():
        changes |= dict.fromkeys(was.groups.values())
    for _, now in pairs.values():
        changes |= {now.groups[item.group]: item for item in reversed(now.frontends)}
    return _updated(old, changes)


def _all_parts(entries: Mapping[PartKey, Entry]) -> dict[PartKey, Part]:
    return {key: item.part for key, item in entries.items()}


def _parts(
    entries: Mapping[PartKey, Entry],
    pairs: Mapping[PartKey, tuple[Entry, Entry]],
    room: Room,
    old: ServiceParts,
) -> Mapping[Hashable, Part]:
    if room.cut or old.room.cut:
        kept = ((key, item) for key, item in entries.items() if key not in room.cut)
        return {key: item.part for key, item in kept if item.part}
    return _updated(old.parts, {key: now.part or None for key, (_, now) in pairs.items()})


def _updated(old: Mapping[K, V], changes: Mapping[K, V | None]) -> Mapping[K, V]:
    """`old` itself if nothing is another object; None takes a key out."""
    different = {key: item for key, item in changes.items() if old.get(key) is not item}
    if not different:
        return old
    new = dict(old)
    for key, item in different.items():
        if item is None:
            new.pop(key, None)
        else:
            new[key] = item
    return new


def _ref(key: PartKey) -> ObjectRef:
    return ObjectRef("Pod" if key[0] == HOST_PORT else "Service", *key[1:])
