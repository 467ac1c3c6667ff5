"""World → all that should be in force: what kernel and proxy are to have. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tulle.compile import Compiled, Ids, compile_world
from tulle.compile.proxy import Scoped, scoped_images
from tulle.compile.routes import Standing, with_gateways
from tulle.compile.services import Allocated, ServiceParts, with_addresses
from tulle.compile.traffic import route
from tulle.model.routing import Routing
from tulle.model.scopes import Scope
from tulle.model.world import Refusal, World


@dataclass(frozen=True, slots=True)
class Desired:
    """Of the world that was `given`, `world` has besides the Services that stand for Gateways, and
    addresses of all Services."""

    given: World
    world: World
    allocated: Allocated
    routing: Routing
    compiled: Compiled
    proxies: Mapping[Scope, Scoped]
    standing: Standing = field(default_factory=Standing)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        of_routes = self.routing.refusals
        return (*self.allocated.refusals, *of_routes, *self.compiled.refusals)


def desired(given: World, ids: Ids, before: Desired | None = None) -> Desired:
    """`before` only saves work; all of it, if nothing has changed."""
    if before and before.compiled.ids is ids and before.given == given:
        return before
    world, standing = with_gateways(given, before.standing if before else None)
    world, allocated = with_addresses(world, before.allocated if before else None)
    routing = route(world, before.routing if before else None)
    compiled = compile_world(
        world, ids, before=before.compiled if before else None, proxied=routing.proxied
    )
    services = compiled.memo.services or ServiceParts()
    rule_sets = compiled.memo.isolation.rule_sets
    old = before.proxies if before else None
    proxies = scoped_images(world, routing, services, rule_sets, old)
    return Desired(given, world, allocated, routing, compiled, proxies, standing)
