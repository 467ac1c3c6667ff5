"""Listeners of a Gateway and of the ListenerSets on it: what they may take, and which conflict.

Those of a Gateway come first, then those of each ListenerSet, the oldest first. Within one object
all that are not distinct lose; against an earlier object's listener the later loses (GEP-1713).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tulle.model.gateway import Gateway, Listener, ListenerNamespaces, ListenerSet, RouteNamespaces
from tulle.model.gateway_routes import Route
from tulle.model.kubernetes import ObjectRef
from tulle.model.references import GATEWAY_GROUP
from tulle.model.routing import Termination
from tulle.model.world import World

from ..selectors import matches
from .conditions import ACCEPTED, PROGRAMMED, RESOLVED, Verdict
from .forms import Form
from .hostnames import Names

KINDS: dict[str, tuple[str, ...]] = {
    "HTTP": ("HTTPRoute", "GRPCRoute"),
    "HTTPS": ("HTTPRoute", "GRPCRoute"),
    "TLS": ("TLSRoute",),
    "TCP": ("TCPRoute",),
    "UDP": ("UDPRoute",),
}
Place = tuple[int, str]  # port and transport
_TERMINATED = ("TLSRoute", "TCPRoute")
NO_CONFLICTS = Verdict(False, "NoConflicts")
INVALID = Verdict(False, "Invalid", "the listener is not valid")


class Seat(NamedTuple):
    """A route on a listener, with those of its hostnames that the listener has too."""

    form: Form
    hostnames: tuple[str, ...]


@dataclass(slots=True)
class Spot:
    """One listener, and what is found out about it."""

    owner: Gateway | ListenerSet
    listener: Listener
    kinds: tuple[str, ...] = ()
    accepted: Verdict = ACCEPTED
    conflicted: Verdict = NO_CONFLICTS
    resolved: Verdict = RESOLVED
    programmed: Verdict = PROGRAMMED
    overlapping: bool = False
    termination: Termination | None = None
    routes: dict[ObjectRef, Seat] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        return self.owner.metadata.namespace

    @property
    def transport(self) -> str:
        return "UDP" if self.listener.protocol == "UDP" else "TCP"

    @property
    def terminates(self) -> bool:
        tls = self.listener.tls
        return tls is not None and tls.mode == "Terminate"

    @property
    def in_force(self) -> bool:
        return self.accepted.holds and self.programmed.holds

    def refuse(self, reason: str, message: str) -> None:
        self.accepted = Verdict(False, reason, message)
        self.programmed = Verdict(False, "Invalid", message)

    def unresolve(self, reason: str, message: str) -> None:
        """The first reason stays."""
        if self.resolved.holds:
            self.resolved = Verdict(False, reason, message)

    def allows(self, route: Route, world: World) -> bool:
        """By its kind and namespace."""
        chosen = self.listener.allowed_routes.namespaces
        return route.kind in self.kinds and selects(
            chosen, self.namespace, route.metadata.namespace, world
        )


def selects(
    chosen: RouteNamespaces | ListenerNamespaces, own: str, namespace: str, world: World
) -> bool:
    match chosen.from_:
        case "All":
            return True
        case "Same":
            return namespace == own
        case "Selector":
            selector = chosen.selector
            return selector is not None and matches(selector, world.namespace_labels(namespace))
        case "None":
            return False


def spots_of(owner: Gateway | ListenerSet) -> list[Spot]:
    """With the kinds of routes that each takes."""
    found = []
    for listener in owner.spec.listeners:
        spot = Spot(owner, listener)
        _set_kinds(spot)
        found.append(spot)
    return found


def _set_kinds(spot: Spot) -> None:
    protocol = spot.listener.protocol
    if protocol not in KINDS:
        spot.refuse("UnsupportedProtocol", f"protocol {protocol} is not known")
        return
    if spot.listener.tls is not None and spot.listener.tls.options:
        known = ", ".join(sorted(spot.listener.tls.options))
        spot.refuse("UnsupportedValue", f"tls.options: {known}: no option is known")
    possible = _TERMINATED if protocol == "TLS" and spot.terminates else KINDS[protocol]
    wanted = spot.listener.allowed_routes.kinds
    if not wanted:
        spot.kinds = possible
        return
    good = [kind.kind for kind in wanted if _is_one_of(kind.group, kind.kind, possible)]
    spot.kinds = tuple(dict.fromkeys(good))
    if len(good) < len(wanted):
        bad = next(k.kind for k in wanted if not _is_one_of(k.group, k.kind, possible))
        message = f"{bad} is no kind of route for protocol {protocol}"
        spot.unresolve("InvalidRouteKinds", message)
        if not good:
            spot.programmed = Verdict(False, "Invalid", message)


def _is_one_of(group: str, kind: str, kinds: Iterable[str]) -> bool:
    return group == GATEWAY_GROUP and kind in kinds


class _Port:
    """Listeners of one port and transport, by what they may be in each other's way with."""

    def __init__(self) -> None:
        self._by_family: dict[str, list[Spot]] = defaultdict(list)
        self._by_name: dict[tuple[str, str], list[Spot]] = defaultdict(list)

    def add(self, spot: Spot) -> None:
        self._by_family[_family(spot)].append(spot)
        self._by_name[_family(spot), spot.listener.hostname].append(spot)

    def clash(self, spot: Spot) -> tuple[str, Spot] | None:
        """Why the listener is not distinct, and from which."""
        for family, spots in self._by_family.items():
            if family != _family(spot):
                return "ProtocolConflict", spots[0]
        for other in self._by_name.get((_family(spot), spot.listener.hostname), ()):
            if other is not spot:
                same = other.listener.protocol == spot.listener.protocol
                return "HostnameConflict" if same else "ProtocolConflict", other
        return None


def _family(spot: Spot) -> str:
    """Protocols that are told apart by hostnames; others cannot share a port."""
    return "TLS" if spot.listener.protocol == "HTTPS" else spot.listener.protocol


def find_conflicts(groups: Sequence[Sequence[Spot]]) -> None:
    """`groups` are the listeners of one object each, the Gateway's first."""
    standing: dict[Place, _Port] = defaultdict(_Port)
    encrypted: dict[Place, list[Spot]] = defaultdict(list)
    for number, group in enumerate(groups):
        usable = [spot for spot in group if spot.listener.protocol in KINDS]
        siblings: dict[Place, _Port] = defaultdict(_Port)
        for spot in usable:
            siblings[_place(spot)].add(spot)
        for spot in usable:
            place = _place(spot)
            clash = standing[place].clash(spot) or siblings[place].clash(spot)
            if clash is not None:
                _lose(spot, clash, is_gateway=number == 0)
        for spot in usable:
            if not spot.conflicted.holds:
                standing[_place(spot)].add(spot)
                if _family(spot) == "TLS":
                    encrypted[_place(spot)].append(spot)
    for spots in encrypted.values():
        _find_overlaps(spots)


def _place(spot: Spot) -> Place:
    return spot.listener.port, spot.transport


def _lose(spot: Spot, clash: tuple[str, Spot], *, is_gateway: bool) -> None:
    reason, other = clash
    same = other.owner is spot.owner
    whose = f"listener {other.listener.name}" if same else "a listener that comes before it"
    spot.conflicted = Verdict(True, reason, f"conflicts with {whose} on port {_place(spot)[0]}")
    why = "Invalid" if is_gateway else reason
    spot.accepted = Verdict(False, why, spot.conflicted.message)
    spot.programmed = Verdict(False, why, spot.conflicted.message)


def _find_overlaps(spots: Sequence[Spot]) -> None:
    """Each is compared with those before it, then with those after it."""
    for ordered in (spots, tuple(reversed(spots))):
        names = Names()
        for spot in ordered:
            spot.overlapping = spot.overlapping or names.meet(spot.listener.hostname)
            names.add(spot.listener.hostname)
