"""From objects to what kernel and proxy should have, and that a second time costs nothing."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.compile.explain.request_rows import ruled
from tests.unit.compile.explain.town import WORKLOADS as PLACES
from tests.unit.compile.explain.town import policy
from tests.unit.compile.routes.worlds import GATEWAY, POOL, SERVICES, TO_WEB, a_route, world_of
from tulle.agent.desired import desired
from tulle.compile import Ids
from tulle.compile.parts import flat
from tulle.model.kubernetes import ObjectRef
from tulle.model.scopes import NODE

WORLD = world_of(POOL, GATEWAY, SERVICES, a_route("HTTPRoute", "web", rules=TO_WEB))


WORKLOADS = {item.key: item for item in PLACES}


def test_a_route_comes_to_the_proxy() -> None:
    found = desired(WORLD, Ids())
    assert ("shop", "tulle-gateway-gw") in found.world.services
    assert found.routing.status[ObjectRef("HTTPRoute", "shop", "web")]
    image = found.proxies[NODE].image
    assert [len(image[kind]) for kind in ("listener", "route", "cluster", "endpoints")] == [1] * 4
    assert flat(found.compiled.image)["services"]


def test_what_is_unchanged_is_the_same() -> None:
    one = desired(WORLD, Ids())
    other = desired(WORLD, one.compiled.ids, one)
    assert other.routing is one.routing
    assert other.compiled.image == one.compiled.image
    for kind, resources in one.proxies[NODE].image.items():
        assert other.proxies[NODE].image[kind] is resources


def test_what_policies_ask_of_the_proxy_stands_beside_routes() -> None:
    rules = policy("shop/p", ruled("{path: /a}"), "CiliumNetworkPolicy")
    policed = replace(WORLD, cilium_policies={("shop", "p"): rules}, workloads=WORKLOADS)
    one = desired(policed, Ids())
    mine = one.proxies[NODE]
    (number,) = mine.policed.enforced
    assert {f"policy/{number}", *mine.proxied.image["listener"]} == set(mine.image["listener"])
    assert {"policy", *mine.proxied.image["cluster"]} == set(mine.image["cluster"])
    other = desired(policed, one.compiled.ids, one)
    assert all(other.proxies[NODE].image[kind] is item for kind, item in mine.image.items())
    changed = policy("shop/p", ruled("{path: /b}"), "CiliumNetworkPolicy")
    third = desired(
        replace(policed, cilium_policies={("shop", "p"): changed}), one.compiled.ids, other
    )
    assert third.proxies[NODE].image["listener"] is mine.image["listener"]
    assert third.proxies[NODE].image["route"] is not mine.image["route"]
