"""Fronts and rule sets, shared out by proxy scope: what the Envoys of each should have.

An image has the listeners of its scope and all that they refer to, and nothing else. What two
scopes refer to both have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import is_

from tulle.model.gateway import Gateway
from tulle.model.kubernetes import Namespace, ObjectRef, Service
from tulle.model.proxy import Resource, XdsImage, XdsKind
from tulle.model.routing import Front, Routing
from tulle.model.scopes import NODE, Scope, memory_asked, scope_asked
from tulle.model.verdict import Rule
from tulle.model.world import World

from ..rule_sets import RuleSet
from ..services import ServiceParts
from .image import Proxied, proxy_image
from .policy import Policed, policy_image

_NOTHING: Mapping[str, Resource] = {}
_ASKING = ("gateways", "services", "namespaces")  # of the world, what may ask for a scope
Asked = tuple[Scope, int]  # with the limit of memory that goes with it


@dataclass(frozen=True, slots=True)
class Scoped:
    """`image` is of routes and policies together; `memory_bytes` 0: nobody has said how much."""

    image: XdsImage = field(default_factory=dict)
    memory_bytes: int = 0
    proxied: Proxied = field(default_factory=Proxied)
    policed: Policed = field(default_factory=Policed)


@dataclass(frozen=True, slots=True)
class ScopedImages:
    """`of` each scope. The rest saves work next time."""

    of: Mapping[Scope, Scoped]
    asked: Mapping[str, Asked]
    world: World


def scope_of(world: World, ref: ObjectRef) -> Scope:
    """Of a front that stands for `ref`, or of rules of the policy `ref`."""
    return _asked(world, ref)[0]


def scope_of_rules(world: World, rules: Iterable[Rule]) -> Scope:
    """Who is under a policy of a namespace is in it; without one they may be anywhere.

    `rules` are those of policies that hold together for somebody.
    """
    policies = [rule.policy for rule in rules if rule.policy]
    return next((scope_of(world, ref) for ref in policies if ref.namespace), NODE)


def scoped_images(
    world: World,
    routing: Routing,
    services: ServiceParts,
    rule_sets: Mapping[int, RuleSet],
    before: ScopedImages | None = None,
) -> ScopedImages:
    """The node's own is always there. `before` only saves work."""
    limits: dict[Scope, int] = {NODE: 0}
    fronts: dict[Scope, dict[str, Front]] = {}
    asked = _all_asked(world, routing, before)
    for name, (scope, memory_bytes) in asked.items():
        limits[scope] = memory_bytes
        fronts.setdefault(scope, {})[name] = routing.fronts[name]
    rules: dict[Scope, dict[int, RuleSet]] = {}
    for number, item in rule_sets.items():
        scope = scope_of_rules(world, (part.rule for part in item.parts))
        limits.setdefault(scope, _memory_of(world.namespaces.get(scope.partition("/")[2])))
        rules.setdefault(scope, {})[number] = item
    found: dict[Scope, Scoped] = {}
    for scope, memory_bytes in limits.items():
        old = before.of.get(scope) if before else None
        share = Routing(fronts.get(scope, {}))
        proxied = proxy_image(share, services, world.node.ingress, old.proxied if old else None)
        policed = policy_image(rules.get(scope, {}), old.policed if old else None)
        image = _together(proxied.image, policed.image, old)
        found[scope] = Scoped(image, memory_bytes, proxied, policed)
    return ScopedImages(found, asked, world)


def _all_asked(world: World, routing: Routing, before: ScopedImages | None) -> Mapping[str, Asked]:
    """By the names of fronts, which tell what they stand for."""
    same = before is not None and all(
        getattr(world, name) is getattr(before.world, name) for name in _ASKING
    )
    known = before.asked if before is not None and same else {}
    return {
        name: known.get(name) or _asked(world, front.origin)
        for name, front in routing.fronts.items()
    }


def _asked(world: World, ref: ObjectRef) -> Asked:
    obj: Gateway | Service | None = None
    if ref.kind == "Gateway":
        obj = world.gateways.get((ref.namespace, ref.name))
    elif ref.kind == "Service":
        obj = world.services.get((ref.namespace, ref.name))
    asked = scope_asked(obj.metadata) if obj else ""
    if obj and asked == "workload":
        scope = f"{ref.kind.lower()}/{ref.namespace}/{ref.name}"
        return scope, memory_asked(obj.metadata)
    namespace = world.namespaces.get(ref.namespace)
    if not asked and namespace and scope_asked(namespace.metadata) == "namespace":
        return f"namespace/{ref.namespace}", _memory_of(namespace)
    return NODE, 0


def _memory_of(namespace: Namespace | None) -> int:
    return memory_asked(namespace.metadata) if namespace else 0


def _together(routes: XdsImage, policies: XdsImage, old: Scoped | None) -> XdsImage:
    """Each kind is the same object as before if nothing of it has changed."""
    found: dict[XdsKind, Mapping[str, Resource]] = {}
    for kind in routes.keys() | policies.keys():
        now = [image.get(kind, _NOTHING) for image in (routes, policies)]
        if old and kind in old.image:
            images = (old.proxied.image, old.policed.image)
            was = [image.get(kind, _NOTHING) for image in images]
            if all(map(is_, now, was)):
                found[kind] = old.image[kind]
                continue
        found[kind] = {**now[0], **now[1]}
    return found
