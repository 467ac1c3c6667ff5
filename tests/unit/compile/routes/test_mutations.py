"""Bent manifests that are accepted all the same: each comes to something, and harms no other."""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from tests.hostile import gateways
from tests.hostile.mutations import mutations
from tests.unit.compile.routes.certs import config_map, pair, secret
from tests.unit.compile.routes.worlds import (
    GATEWAY,
    POOL,
    SERVICES,
    completed,
    hosts,
    http_route,
    order,
    with_paths,
    world_of,
)
from tulle.compile import Ids, compile_world
from tulle.compile.proxy import proxy_image
from tulle.compile.routes import route
from tulle.compile.services import ServiceParts
from tulle.edges.manifests import parse
from tulle.model.routing import Routing

_SEED, _COUNT = 4, 600
_PARENTS = [{"name": "edge"}, {"name": "web", "kind": "Service", "group": ""}]


def bases() -> list[dict[str, Any]]:
    """Attached to one Gateway and to a Service, so that they meet."""
    found = [copy.deepcopy(item) for item in gateways.VALID_GATEWAYS if "spec" in item]
    for item in found:
        if item["kind"].endswith("Route"):
            item["spec"]["parentRefs"] = copy.deepcopy(_PARENTS)
            item["spec"].pop("hostnames", None)
        if item["kind"] in ("Gateway", "TLSRoute"):
            item["metadata"]["name"] = "edge"
        if item["kind"] == "TLSRoute":
            item["spec"]["hostnames"] = ["db.example"]
    return found


def test_what_is_accepted_is_compiled_and_nothing_else_is_harmed() -> None:
    good = http_route("good", hostnames=["good.example"], rules=with_paths("/good"))
    base = world_of(
        POOL, SERVICES, GATEWAY, good, secret("tls", *pair()), config_map("ca", pair()[0])
    )
    before: Routing | None = None
    proxied, accepted = None, 0
    world = base
    for number, data in enumerate(mutations(_SEED, _COUNT, bases())):
        if number % 6 == 0:
            world = base
        parsed = parse(data, "bent.json")
        if not parsed.objects:
            continue
        accepted += 1
        world = world_of(msgspec.json.decode(data), base=world)
        whole = completed(world)
        before = route(whole, before)
        anew = route(whole)
        assert (before.status, before.fronts) == (anew.status, anew.fronts)
        services = compile_world(whole, Ids()).memo.services or ServiceParts()
        proxied = proxy_image(before, services, before=proxied)
        assert order(hosts(before)["good.example"])[0] == "good/0"
    assert accepted > _COUNT / 5
