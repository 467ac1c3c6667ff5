"""World → all that should be in force: what kernel and proxy are to have. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from tulle.compile import Compiled, Ids, compile_world
from tulle.compile.proxy import Proxied, proxy_image
from tulle.compile.routes import Standing, route, with_gateways
from tulle.compile.services import Allocated, ServiceParts, with_addresses
from tulle.model.routing import Routing
from tulle.model.world import Refusal, World


@dataclass(frozen=True, slots=True)
class Desired:
    """`world` has the Services that stand for Gateways, and addresses of all Services."""

    world: World
    allocated: Allocated
    routing: Routing
    compiled: Compiled
    proxied: Proxied
    standing: Standing = field(default_factory=Standing)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        return (*self.allocated.refusals, *self.compiled.refusals)


def desired(world: World, ids: Ids, before: Desired | None = None) -> Desired:
    """`before` only saves work."""
    world, standing = with_gateways(world, before.standing if before else None)
    world, allocated = with_addresses(world, before.allocated if before else None)
    routing = route(world, before.routing if before else None)
    compiled = compile_world(world, ids, before=before.compiled if before else None)
    services = compiled.memo.services or ServiceParts()
    proxied = proxy_image(routing, services, before=before.proxied if before else None)
    return Desired(world, allocated, routing, compiled, proxied, standing)
