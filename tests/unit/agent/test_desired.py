"""From objects to what kernel and proxy should have, and that a second time costs nothing."""

from __future__ import annotations

from tests.unit.compile.routes.worlds import GATEWAY, POOL, SERVICES, TO_WEB, a_route, world_of
from tulle.agent.desired import desired
from tulle.compile import Ids
from tulle.compile.parts import flat
from tulle.model.kubernetes import ObjectRef

WORLD = world_of(POOL, GATEWAY, SERVICES, a_route("HTTPRoute", "web", rules=TO_WEB))


def test_a_route_comes_to_the_proxy() -> None:
    found = desired(WORLD, Ids())
    assert ("shop", "tulle-gateway-gw") in found.world.services
    assert found.routing.status[ObjectRef("HTTPRoute", "shop", "web")]
    image = found.proxied.image
    assert [len(image[kind]) for kind in ("listener", "route", "cluster", "endpoints")] == [1] * 4
    assert flat(found.compiled.image)["services"]


def test_what_is_unchanged_is_the_same() -> None:
    one = desired(WORLD, Ids())
    other = desired(WORLD, one.compiled.ids, one)
    assert other.routing is one.routing
    assert other.compiled.image == one.compiled.image
    for kind, resources in one.proxied.image.items():
        assert other.proxied.image[kind] is resources
