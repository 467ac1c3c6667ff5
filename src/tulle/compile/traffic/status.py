"""The status of policies: accepted or not, for each ancestor (GEP-713, PolicyStatus).

An ancestor is a Gateway, or in the mesh a Service, through which a policy's target is reached; if
there is none, the target itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef
from tulle.model.references import CONTROLLER, GATEWAY_GROUP
from tulle.model.traffic import AuthPolicy, TrafficPolicy
from tulle.model.world import World

from ..routes.conditions import ACCEPTED, RESOLVED, Verdict, conditions
from .claims import Claims, Target, targets_of
from .holding import Holding

Json = dict[str, Any]

_MAX_ANCESTORS = 16
_OF_REQUESTS = ("HTTP", "HTTPS")  # protocols of listeners
_PARTS = {
    "Service": "port",
    "Gateway": "listener",
    "HTTPRoute": "rule",
    "GRPCRoute": "rule",
    "Ingress": "part",
}
_GROUPS = {"Service": "", "Ingress": "networking.k8s.io", "IngressClass": "networking.k8s.io"}


def statuses(holding: Holding, world: World) -> dict[ObjectRef, Json]:
    """Once all routing has been looked at."""
    found: dict[ObjectRef, Json] = {}
    for claims in (holding.backends, holding.limits, holding.faults, holding.auth):
        for policy in _once(claims):
            found[ref_of(policy)] = _status(policy, claims, holding, world)
    return found


def _once(claims: Claims[Any]) -> Iterable[TrafficPolicy]:
    return {ref_of(item): item for of in claims.of.values() for item in of}.values()


def _status(policy: TrafficPolicy, claims: Claims[Any], holding: Holding, world: World) -> Json:
    verdicts: dict[ObjectRef, Verdict] = {}
    for target in targets_of(policy):
        verdict = _verdict(policy, target, claims, holding, world)
        for ancestor in holding.seen.get(target, {target.of: None}):
            known = verdicts.get(ancestor)
            verdicts[ancestor] = known if known and not known.holds else verdict
    generation = policy.metadata.generation
    resolved = _resolved(policy, holding)
    return {
        "ancestors": [
            {
                "ancestorRef": _reference(ancestor),
                "controllerName": CONTROLLER,
                "conditions": conditions(generation, Accepted=accepted, ResolvedRefs=resolved),
            }
            for ancestor, accepted in list(verdicts.items())[:_MAX_ANCESTORS]
        ]
    }


def _verdict(
    policy: TrafficPolicy, target: Target, claims: Claims[Any], holding: Holding, world: World
) -> Verdict:
    if reason := _missing(target, world):
        return Verdict(False, "TargetNotFound", reason)
    if target not in holding.seen and (reason := _mute(target, world)):  # in force nowhere
        reason = f"nothing of what is sent to it can be judged: it {reason}"
        return Verdict(False, "Invalid", f"{target}: {reason}")
    holder = claims.holder(target)
    if holder is not None and holder is not policy:
        return Verdict(False, "Conflicted", f"{ref_of(holder)} is older and holds for {target}")
    return ACCEPTED


def _mute(target: Target, world: World) -> str:
    """Why no request reaches a policy there, whatever is routed; "": one may."""
    if target.of.kind == "Service":
        return "has no address, or speaks no HTTP"
    gateway = world.gateways.get((target.of.namespace, target.of.name))
    if target.of.kind != "Gateway" or gateway is None:
        return ""
    meant = [item for item in gateway.spec.listeners if target.section in ("", item.name)]
    return "" if any(item.protocol in _OF_REQUESTS for item in meant) else "speaks no HTTP"


def _resolved(policy: TrafficPolicy, holding: Holding) -> Verdict | None:
    broken = holding.references.unresolved(policy) if isinstance(policy, AuthPolicy) else None
    if broken is None:
        return None
    return Verdict(False, "BackendNotFound", broken) if broken else RESOLVED


def _missing(target: Target, world: World) -> str:
    """What is not there: the object, or its part."""
    parts = _parts(target.of, world)
    if parts is None:
        return f"there is no {target.of}"
    if target.section and target.section not in parts:
        return f"{target.of} has no {_PARTS[target.of.kind]} named {target.section}"
    return ""


def _parts(ref: ObjectRef, world: World) -> set[str] | None:
    """Names of an object's parts; None: there is no such object."""
    key = ref.namespace, ref.name
    match ref.kind:
        case "Service":
            service = world.services.get(key)
            return {port.name for port in service.spec.ports} if service else None
        case "Gateway":
            gateway = world.gateways.get(key)
            return {item.name for item in gateway.spec.listeners} if gateway else None
        case "HTTPRoute":
            route = world.http_routes.get(key)
            return {rule.name for rule in route.spec.rules} if route else None
        case "Ingress":
            return {"default"} if key in world.ingresses else None
        case _:
            grpc = world.grpc_routes.get(key)
            return {rule.name for rule in grpc.spec.rules} if grpc else None


def _reference(ref: ObjectRef) -> Json:
    found = {"group": _GROUPS.get(ref.kind, GATEWAY_GROUP), "kind": ref.kind, "name": ref.name}
    return {**found, "namespace": ref.namespace} if ref.namespace else found
