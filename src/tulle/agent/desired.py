"""World → all that should be in force: what kernel and proxy are to have. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tulle.compile import Compiled, Ids, compile_world
from tulle.compile.proxy import Scoped, ScopedImages, scoped_images
from tulle.compile.routes import Standing, with_gateways
from tulle.compile.services import Allocated, ServiceParts, with_addresses
from tulle.compile.traffic import route
from tulle.model.routing import Front, Proxied, Routing, proxied_of
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
    scoped: ScopedImages
    proxied: frozenset[Proxied]
    standing: Standing = field(default_factory=Standing)

    @property
    def proxies(self) -> Mapping[Scope, Scoped]:
        return self.scoped.of

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
    proxied = _proxied(routing.fronts, before)
    compiled = compile_world(
        world, ids, before=before.compiled if before else None, proxied=proxied
    )
    services = compiled.memo.services or ServiceParts()
    rule_sets = compiled.memo.isolation.listened
    old = before.scoped if before else None
    scoped = scoped_images(world, routing, services, rule_sets, old)
    return Desired(given, world, allocated, routing, compiled, scoped, proxied, standing)


def _proxied(fronts: Mapping[str, Front], before: Desired | None) -> frozenset[Proxied]:
    """The same object as before, if none has come, gone or moved."""
    if before is None:
        return proxied_of(fronts.values())
    was = before.routing.fronts
    new = [front for name, front in fronts.items() if was.get(name) is not front]
    old = [front for name, front in was.items() if fronts.get(name) is not front]
    if (not new and not old) or proxied_of(new) == proxied_of(old):
        return before.proxied
    return proxied_of(fronts.values())
