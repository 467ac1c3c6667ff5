"""Routes to the listeners that they name, as far as both sides let them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tulle.model.references import GATEWAY_GROUP, ParentReference
from tulle.model.world import Key, World

from .conditions import ACCEPTED, Verdict
from .forms import Form
from .gateways import Owned, SetOnGateway
from .hostnames import Names, intersection
from .listeners import Seat, Spot

Allowed = tuple[Owned, tuple[Spot, ...], Verdict]
_OF_REQUESTS = ("HTTPRoute", "GRPCRoute")


@dataclass(slots=True)
class Attachment:
    """A route's reference to one parent, and what came of it. `owned` None: a Service."""

    form: Form
    ref: ParentReference
    owned: Owned | None
    verdict: Verdict = ACCEPTED
    spots: list[Spot] = field(default_factory=list)


class Parents:
    """Whatever routes may be attached to."""

    def __init__(self, owned: Mapping[Key, Owned], world: World) -> None:
        self._owned, self._world = owned, world
        self._known: dict[tuple[ParentReference, str, str], Allowed | None] = {}
        self._sets: dict[Key, tuple[Owned, SetOnGateway]] = {
            (item.listener_set.metadata.namespace, item.listener_set.metadata.name): (of, item)
            for of in owned.values()
            for item in of.sets
        }
        self._defaults = [
            ParentReference(name=key[1], namespace=key[0])
            for key, item in owned.items()
            if item.gateway.spec.default_scope == "All"
        ]

    def attach(self, form: Form) -> Iterator[Attachment]:
        """One for each reference to a parent that this controller has."""
        namespace = form.route.metadata.namespace
        for ref in self._refs(form):
            question = (ref, namespace, form.route.kind)
            if question not in self._known:
                self._known[question] = self._allowed(ref, form)
            found = self._known[question]
            if found is not None:
                yield _attached(form, ref, *found)

    def _refs(self, form: Form) -> Iterator[ParentReference]:
        spec = form.route.spec
        yield from spec.parent_refs
        if spec.use_default_gateways == "All":
            own = form.route.metadata.namespace
            named = {(ref.namespace or own, ref.name) for ref in spec.parent_refs}
            for ref in self._defaults:
                if (ref.namespace, ref.name) not in named:
                    yield ref

    def _find(self, ref: ParentReference, namespace: str) -> tuple[Owned, Sequence[Spot]] | None:
        key = (ref.namespace or namespace, ref.name)
        if (ref.group, ref.kind) == (GATEWAY_GROUP, "Gateway"):
            owned = self._owned.get(key)
            return (owned, owned.spots) if owned else None
        if (ref.group, ref.kind) == (GATEWAY_GROUP, "ListenerSet"):
            found = self._sets.get(key)
            return (found[0], found[1].spots if found[1].allowed.holds else ()) if found else None
        return None

    def _allowed(self, ref: ParentReference, form: Form) -> Allowed | None:
        """By the kind and the namespace of a route; None: it is nobody's parent here."""
        found = self._find(ref, form.route.metadata.namespace)
        if found is None:
            return None
        owned, spots = found
        named = [spot for spot in spots if _is_meant(spot, ref)]
        if not named:
            message = f"there is no listener{_part_in_words(ref)}"
            return owned, (), Verdict(False, "NoMatchingParent", message)
        allowed = tuple(spot for spot in named if spot.allows(form.route, self._world))
        if not allowed:
            message = "no listener allows routes of this kind from this namespace"
            return owned, (), Verdict(False, "NotAllowedByListeners", message)
        return owned, allowed, ACCEPTED


def _attached(
    form: Form, ref: ParentReference, owned: Owned, spots: Sequence[Spot], verdict: Verdict
) -> Attachment:
    attachment = Attachment(form, ref, owned, verdict)
    for spot in spots:
        names = _shared(spot.listener.hostname, form.hostnames)
        if names:
            attachment.spots.append(spot)
            spot.routes[form.ref] = Seat(form, names)
    if verdict.holds and not attachment.spots:
        message = "no listener has one of its hostnames"
        attachment.verdict = Verdict(False, "NoMatchingListenerHostname", message)
    return attachment


def _is_meant(spot: Spot, ref: ParentReference) -> bool:
    listener = spot.listener
    return ref.section_name in ("", listener.name) and ref.port in (None, listener.port)


def _part_in_words(ref: ParentReference) -> str:
    """Which listener or port of its parent a route asks for: ` named https with port 443`."""
    named = f" named {ref.section_name}" if ref.section_name else ""
    return f"{named} with port {ref.port}" if ref.port else named


def _shared(hostname: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """A route's own hostnames that the listener's has something in common with."""
    if not hostname:
        return names
    return tuple(name for name in names if intersection(hostname, name) is not None)


def part_kinds(spots: Iterable[Spot], attachments: Iterable[Attachment]) -> None:
    """Of HTTPRoutes and GRPCRoutes with hostnames in common on a listener one kind stays.

    The older route decides (GRPCRoute's hostnames).
    """
    mixed = [spot for spot in spots if len({ref.kind for ref in spot.routes}) > 1]
    for spot in mixed:
        if all(ref.kind in _OF_REQUESTS for ref in spot.routes):
            _keep_one_kind(spot)
    changed = {id(spot) for spot in mixed}
    if not changed:
        return
    for attachment in attachments:
        if attachment.verdict.holds and any(id(spot) in changed for spot in attachment.spots):
            kept = [spot for spot in attachment.spots if attachment.form.ref in spot.routes]
            attachment.spots = kept
            if not kept:
                message = "an older route of the other kind has one of its hostnames"
                attachment.verdict = Verdict(False, "HostnameConflict", message)


def _keep_one_kind(spot: Spot) -> None:
    kept: dict[str, Names] = {kind: Names() for kind in _OF_REQUESTS}
    for seat in sorted(spot.routes.values(), key=lambda seat: seat.form.age):
        kind = seat.form.ref.kind
        shared = [intersection(spot.listener.hostname, name) for name in seat.hostnames]
        names = [name for name in shared if name is not None]
        rivals = [kept[other] for other in _OF_REQUESTS if other != kind]
        if any(rival.meet(name) for rival in rivals for name in names):
            del spot.routes[seat.form.ref]
        else:
            for name in names:
                kept[kind].add(name)
