"""World → all that should be in force: what kernel and proxy are to have. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import is_

from tulle.compile import Compiled, Ids, compile_world
from tulle.compile.proxy import Policed, Proxied, policy_image, proxy_image
from tulle.compile.routes import Standing, with_gateways
from tulle.compile.services import Allocated, ServiceParts, with_addresses
from tulle.compile.traffic import route
from tulle.model.proxy import Resource, XdsImage, XdsKind
from tulle.model.routing import Routing
from tulle.model.world import Refusal, World

NOTHING: Mapping[str, Resource] = {}


@dataclass(frozen=True, slots=True)
class Desired:
    """`world` has the Services that stand for Gateways, and addresses of all Services."""

    world: World
    allocated: Allocated
    routing: Routing
    compiled: Compiled
    proxied: Proxied
    policed: Policed
    xds: XdsImage  # of both
    standing: Standing = field(default_factory=Standing)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        of_routes = self.routing.refusals
        return (*self.allocated.refusals, *of_routes, *self.compiled.refusals)


def desired(world: World, ids: Ids, before: Desired | None = None) -> Desired:
    """`before` only saves work."""
    world, standing = with_gateways(world, before.standing if before else None)
    world, allocated = with_addresses(world, before.allocated if before else None)
    routing = route(world, before.routing if before else None)
    compiled = compile_world(
        world, ids, before=before.compiled if before else None, proxied=routing.proxied
    )
    services = compiled.memo.services or ServiceParts()
    proxied = proxy_image(
        routing, services, world.node.ingress, before=before.proxied if before else None
    )
    rule_sets = compiled.memo.isolation.rule_sets
    policed = policy_image(rule_sets, before.policed if before else None)
    xds = _together(proxied.image, policed.image, before)
    return Desired(world, allocated, routing, compiled, proxied, policed, xds, standing)


def _together(routes: XdsImage, policies: XdsImage, before: Desired | None) -> XdsImage:
    """Each kind is the same object as before if nothing of it has changed."""
    xds: dict[XdsKind, Mapping[str, Resource]] = {}
    for kind in routes.keys() | policies.keys():
        now = [image.get(kind, NOTHING) for image in (routes, policies)]
        if before:
            images = (before.proxied.image, before.policed.image)
            was = [image.get(kind, NOTHING) for image in images]
            if all(map(is_, now, was)):
                xds[kind] = before.xds[kind]
                continue
        xds[kind] = {**now[0], **now[1]}
    return xds
