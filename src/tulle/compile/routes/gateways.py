"""The Gateways that are this controller's, each with its listeners and the ListenerSets on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from tulle.model.gateway import Gateway, ListenerSet
from tulle.model.references import GATEWAY_GROUP
from tulle.model.routing import Certificate
from tulle.model.world import IPAddress, Key, World

from .classes import own_classes
from .conditions import ACCEPTED, RESOLVED, Verdict, age
from .listeners import Spot, find_conflicts, selects, spots_of

SERVICE_PREFIX = "tulle-gateway-"


@dataclass(slots=True)
class SetOnGateway:
    """`allowed` is false for one that its Gateway does not let on."""

    listener_set: ListenerSet
    spots: list[Spot]
    allowed: Verdict = ACCEPTED

    @property
    def is_on(self) -> bool:
        return self.allowed.holds and any(spot.accepted.holds for spot in self.spots)


@dataclass(slots=True)
class Owned:
    """A Gateway of this controller's. `refused` is what speaks against all of it."""

    gateway: Gateway
    spots: list[Spot]
    sets: list[SetOnGateway] = field(default_factory=list)
    refused: Verdict | None = None
    certificate: Certificate | None = None
    resolved: Verdict = RESOLVED

    @property
    def key(self) -> Key:
        return self.gateway.metadata.namespace, self.gateway.metadata.name

    @property
    def service(self) -> Key:
        """The Service that is made for it."""
        return self.key[0], SERVICE_PREFIX + self.key[1]

    def all_spots(self) -> Iterator[Spot]:
        yield from self.spots
        for item in self.sets:
            if item.allowed.holds:
                yield from item.spots

    def ports(self) -> list[tuple[int, str]]:
        """Of the listeners that are accepted."""
        places = {(s.listener.port, s.transport) for s in self.all_spots() if s.accepted.holds}
        return sorted(places)

    @property
    def accepted(self) -> Verdict:
        if self.refused is not None:
            return self.refused
        bad = [spot.listener.name for spot in self.spots if not spot.accepted.holds]
        if not bad:
            return ACCEPTED
        message = f"not valid: listener {', '.join(bad)}"
        return Verdict(
            any(spot.accepted.holds for spot in self.all_spots()), "ListenersNotValid", message
        )


def owned_gateways(world: World) -> dict[Key, Owned]:
    """In the order of their names, with all conflicts of listeners found."""
    classes = own_classes(world)
    found = {
        key: Owned(gateway, spots_of(gateway), refused=_refusal(gateway))
        for key, gateway in sorted(world.gateways.items(), key=lambda item: item[0])
        if gateway.spec.gateway_class_name in classes
    }
    for listener_set in sorted(world.listener_sets.values(), key=lambda item: age(item.metadata)):
        owned = _parent(listener_set, found)
        if owned is not None:
            owned.sets.append(_on(owned, listener_set, world))
    for owned in found.values():
        groups = [owned.spots, *(item.spots for item in owned.sets if item.allowed.holds)]
        find_conflicts(groups)
    return found


def _parent(listener_set: ListenerSet, owned: Mapping[Key, Owned]) -> Owned | None:
    ref = listener_set.spec.parent_ref
    if (ref.group, ref.kind) != (GATEWAY_GROUP, "Gateway"):
        return None
    return owned.get((ref.namespace or listener_set.metadata.namespace, ref.name))


def _on(owned: Owned, listener_set: ListenerSet, world: World) -> SetOnGateway:
    item = SetOnGateway(listener_set, spots_of(listener_set))
    allowed = owned.gateway.spec.allowed_listeners.namespaces
    if not selects(allowed, owned.key[0], listener_set.metadata.namespace, world):
        message = "the Gateway's allowedListeners do not select this namespace"
        item.allowed = Verdict(False, "NotAllowed", message)
    elif owned.refused is not None:
        item.allowed = Verdict(False, "ParentNotAccepted", "the Gateway is not accepted")
    return item


def _refusal(gateway: Gateway) -> Verdict | None:
    if gateway.spec.infrastructure.parameters_ref is not None:
        message = "infrastructure.parametersRef: no kind of parameters is known"
        return Verdict(False, "InvalidParameters", message)
    for index, address in enumerate(gateway.spec.addresses):
        if address.type != "IPAddress":
            message = f"addresses[{index}]: type {address.type} is not supported: IPAddress is"
            return Verdict(False, "UnsupportedAddress", message)
    return None


def wanted_addresses(gateway: Gateway) -> tuple[list[IPAddress], list[str]]:
    """Addresses that are asked for, and texts that are none."""
    good, bad = [], []
    for item in gateway.spec.addresses:
        try:
            if item.value:
                good.append(ip_address(item.value))
        except ValueError:
            bad.append(item.value)
    return good, bad
