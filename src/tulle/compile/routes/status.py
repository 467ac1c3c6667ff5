"""Statuses of Gateways, ListenerSets, routes and policies, in the specification's words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef
from tulle.model.references import CONTROLLER, GATEWAY_GROUP, ParentReference
from tulle.model.world import IPAddress, Key

from .attach import Attachment
from .backend_tls import BackendPolicies
from .conditions import PROGRAMMED, Json, Verdict, conditions
from .gateways import Owned, SetOnGateway, wanted_addresses
from .listeners import Spot
from .tls import is_insecure

_MAX_ANCESTORS = 16
_OVERLAPPING = Verdict(True, "OverlappingHostnames", "another listener has hostnames of it too")
_INSECURE = Verdict(
    True, "ConfigurationChanged", "clients without a valid certificate are let through"
)


def gateway_status(owned: Owned, addresses: Sequence[IPAddress]) -> Json:
    generation = owned.gateway.metadata.generation
    accepted = owned.accepted
    return {
        "addresses": [{"type": "IPAddress", "value": str(item)} for item in addresses],
        "attachedListenerSets": sum(item.is_on for item in owned.sets),
        "conditions": conditions(
            generation,
            Accepted=accepted,
            Programmed=_programmed(owned, accepted, addresses),
            ResolvedRefs=_resolved(owned),
            InsecureFrontendValidationMode=_INSECURE if is_insecure(owned.gateway) else None,
        ),
        "listeners": [listener_status(spot, generation) for spot in owned.spots],
    }


def _programmed(owned: Owned, accepted: Verdict, addresses: Sequence[IPAddress]) -> Verdict:
    if not accepted.holds:
        return Verdict(False, "Invalid", accepted.message)
    wanted, bad = wanted_addresses(owned.gateway)
    unusable = [*bad, *(str(item) for item in wanted if item not in addresses)]
    if unusable:
        message = f"addresses: {', '.join(unusable)}: in no pool that selects the Gateway, or taken"
        return Verdict(False, "AddressNotUsable", message)
    if not addresses:
        message = "no pool of addresses selects the Gateway, or they are used up"
        return Verdict(False, "AddressNotAssigned", message)
    if not any(spot.in_force for spot in owned.all_spots()):
        return Verdict(False, "Invalid", "no listener is in force")
    return PROGRAMMED


def _resolved(owned: Owned) -> Verdict:
    bad = [spot.listener.name for spot in owned.spots if not spot.resolved.holds]
    if owned.resolved.holds and bad:
        message = f"references do not hold: listener {', '.join(bad)}"
        return Verdict(False, "ListenersNotResolved", message)
    return owned.resolved


def listener_status(spot: Spot, generation: int) -> Json:
    return {
        "name": spot.listener.name,
        "supportedKinds": [{"group": GATEWAY_GROUP, "kind": kind} for kind in spot.kinds],
        "attachedRoutes": len(spot.routes),
        "conditions": conditions(
            generation,
            Accepted=spot.accepted,
            Conflicted=spot.conflicted,
            ResolvedRefs=spot.resolved,
            Programmed=spot.programmed,
            OverlappingTLSConfig=_OVERLAPPING if spot.overlapping else None,
        ),
    }


def set_status(item: SetOnGateway) -> Json:
    generation = item.listener_set.metadata.generation
    accepted = item.allowed
    programmed = Verdict(False, accepted.reason, accepted.message)
    if not accepted.holds:
        return {
            "conditions": conditions(generation, Accepted=accepted, Programmed=programmed),
            "listeners": [],
        }
    bad = [spot.listener.name for spot in item.spots if not spot.accepted.holds]
    if bad:
        accepted = Verdict(item.is_on, "ListenersNotValid", f"not valid: listener {', '.join(bad)}")
    if any(spot.in_force for spot in item.spots):
        programmed = PROGRAMMED
    else:
        programmed = Verdict(False, "ListenersNotValid", "no listener is in force")
    return {
        "conditions": conditions(generation, Accepted=accepted, Programmed=programmed),
        "listeners": [listener_status(spot, generation) for spot in item.spots],
    }


class Told(NamedTuple):
    """The status of a route, and what it was made from."""

    attachments: tuple[Attachment, ...]
    facts: tuple[object, ...]
    status: Json


class RouteStatuses:
    """Of routes; one of which nothing has changed is the same object as before."""

    def __init__(self, before: RouteStatuses | None = None) -> None:
        self._before = before._made if before else {}
        self._made: dict[ObjectRef, Told] = {}

    def of_all(
        self, attachments: Mapping[ObjectRef, tuple[Attachment, ...]]
    ) -> Iterator[tuple[ObjectRef, Json]]:
        """Each route has at least one attachment."""
        for ref, found in attachments.items():
            known = self._before.get(ref)
            if known is None or known.attachments is not found:
                known = _told(_as_written(found), known)._replace(attachments=found)
            self._made[ref] = known
            yield ref, known.status

    def forget_older(self) -> None:
        """When all that there is has been made."""
        self._before = {}


def _told(attachments: Sequence[Attachment], known: Told | None) -> Told:
    form = attachments[0].form
    said = tuple((item.ref, item.verdict, item.form.resolved) for item in attachments)
    facts = (form.route.metadata.generation, said)
    if known is not None and known.facts == facts:
        return known
    return Told((), facts, route_status(attachments))


def _as_written(attachments: Sequence[Attachment]) -> Sequence[Attachment]:
    """In the order of the route's references, those to default Gateways last."""
    if len(attachments) == 1:
        return attachments
    refs = attachments[0].form.route.spec.parent_refs
    places = {ref: number for number, ref in reversed(list(enumerate(refs)))}
    return sorted(attachments, key=lambda item: places.get(item.ref, len(refs)))


def route_status(attachments: Sequence[Attachment]) -> Json:
    generation = attachments[0].form.route.metadata.generation
    return {
        "parents": [
            {
                "parentRef": parent_ref(item.ref),
                "controllerName": CONTROLLER,
                "conditions": conditions(
                    generation, Accepted=item.verdict, ResolvedRefs=item.form.resolved
                ),
            }
            for item in attachments
        ]
    }


def parent_ref(ref: ParentReference) -> Json:
    """As it stands in the route, with the API's defaults."""
    shown: Json = {"group": ref.group, "kind": ref.kind, "name": ref.name}
    if ref.namespace:
        shown["namespace"] = ref.namespace
    if ref.section_name:
        shown["sectionName"] = ref.section_name
    if ref.port is not None:
        shown["port"] = ref.port
    return shown


def policy_statuses(
    policies: BackendPolicies, attachments: Iterable[Attachment]
) -> dict[ObjectRef, Json]:
    """Of every BackendTLSPolicy, for the Gateways whose routes lead to what it targets."""
    users: dict[Key, dict[Key, None]] = defaultdict(dict)  # Service → Gateways
    for item in attachments:
        if item.owned is not None and item.verdict.holds:
            for service in item.form.services:
                users[service][item.owned.key] = None
    return {
        ref_of(policy): {
            "ancestors": [
                _ancestor(gateway, policy.metadata.generation, accepted, resolved)
                for gateway in _ancestors(policies.services, users, ref_of(policy))
            ]
        }
        for policy, accepted, resolved in policies.verdicts()
    }


def _ancestors(
    services: Mapping[Key, frozenset[Key]], users: Mapping[Key, Mapping[Key, None]], ref: ObjectRef
) -> list[Key]:
    targets = services[ref.namespace, ref.name]
    found = {gateway for service in targets for gateway in users.get(service, ())}
    return sorted(found)[:_MAX_ANCESTORS]


def _ancestor(gateway: Key, generation: int, accepted: Verdict, resolved: Verdict) -> Json:
    return {
        "ancestorRef": {
            "group": GATEWAY_GROUP,
            "kind": "Gateway",
            "namespace": gateway[0],
            "name": gateway[1],
        },
        "controllerName": CONTROLLER,
        "conditions": conditions(generation, Accepted=accepted, ResolvedRefs=resolved),
    }
