"""Who is served by which proxy, and that each has what its listeners refer to, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msgspec.structs import replace as changed

from tests.unit.compile.explain.request_rows import ruled
from tests.unit.compile.explain.town import WORKLOADS, policy
from tests.unit.compile.routes.worlds import (
    GATEWAY,
    POOL,
    SERVICES,
    TO_WEB,
    a_route,
    completed,
    world_of,
)
from tulle.compile import Ids, compile_world
from tulle.compile.proxy import Scoped, ScopedImages, scope_of, scoped_images
from tulle.compile.routes import route
from tulle.compile.services import ServiceParts
from tulle.model.kubernetes import ObjectRef
from tulle.model.world import World

GATE, WEB = ObjectRef("Gateway", "shop", "gw"), ObjectRef("Service", "shop", "web")
MESH = [{"group": "", "kind": "Service", "name": "far", "port": 80}]
TO_FAR = [{"backendRefs": [{"name": "far", "port": 80}]}]
ROUTES = (
    a_route("HTTPRoute", "gate", rules=TO_WEB),
    a_route("HTTPRoute", "far", "away", rules=TO_FAR, parentRefs=MESH),
)
BASE = world_of(POOL, SERVICES, GATEWAY, *ROUTES)
WORKLOADS_OF = {item.key: item for item in WORKLOADS}


def asking(kind: str, name: str, scope: str, memory: str = "", base: World = BASE) -> World:
    """The world, in which this object asks for that."""
    asked = {"tulle.io/proxy-scope": scope, "tulle.io/proxy-memory": memory}
    annotations = {key: text for key, text in asked.items() if text}
    if kind == "Namespace":
        metadata = {"name": name, "annotations": annotations}
        return world_of({"apiVersion": "v1", "kind": kind, "metadata": metadata}, base=base)
    field, key = ("gateways" if kind == "Gateway" else "services"), ("shop", name)
    objects: dict[Any, Any] = dict(getattr(base, field))
    meta = changed(objects[key].metadata, annotations=annotations)
    objects[key] = changed(objects[key], metadata=meta)
    return replace(base, **{field: objects})


def images(world: World) -> Mapping[str, Scoped]:
    return scoped(world).of


def scoped(world: World, before: ScopedImages | None = None) -> ScopedImages:
    whole = completed(world)
    compiled = compile_world(whole, Ids())
    rule_sets = compiled.memo.isolation.rule_sets
    services = compiled.memo.services or ServiceParts()
    return scoped_images(whole, route(whole), services, rule_sets, before)


def names(scoped: Scoped) -> dict[str, set[str]]:
    return {kind: set(items) for kind, items in scoped.image.items() if items}


def test_the_nodes_own_has_all() -> None:
    (only,) = images(BASE).items()
    assert only[0] == "node"
    assert names(only[1])["listener"] == {"gateway/shop/gw/80", "service/away/far/80"}


def test_a_namespace_has_its_fronts_and_what_they_refer_to() -> None:
    found = images(asking("Namespace", "shop", "namespace", "256Mi"))
    assert {scope: item.memory_bytes for scope, item in found.items()} == {
        "node": 0,
        "namespace/shop": 256 << 20,
    }
    whole, node, shop = images(BASE)["node"], found["node"], found["namespace/shop"]
    assert names(shop) == {
        "listener": {"gateway/shop/gw/80"},
        "route": {"gateway/shop/gw/80"},
        "cluster": {"shop/web/80"},
        "endpoints": {"shop/web/80"},
    }
    for kind, items in names(whole).items():
        assert items == names(node)[kind] | names(shop)[kind]
        assert not names(node)[kind] & names(shop)[kind]


def test_one_may_have_a_proxy_alone_or_leave_that_of_its_namespace() -> None:
    world = asking("Namespace", "shop", "namespace")
    assert (scope_of(world, GATE), scope_of(world, WEB)) == ("namespace/shop", "namespace/shop")
    alone = asking("Gateway", "gw", "workload", "64Mi", world)
    assert scope_of(alone, GATE) == "gateway/shop/gw"
    assert images(alone)["gateway/shop/gw"].memory_bytes == 64 << 20
    assert scope_of(asking("Service", "web", "workload"), WEB) == "service/shop/web"
    out = asking("Service", "web", "node", base=world)
    assert (scope_of(out, WEB), scope_of(out, GATE)) == ("node", "namespace/shop")


def test_ingresses_are_the_nodes() -> None:
    world = asking("Namespace", "shop", "namespace")
    assert scope_of(world, ObjectRef("IngressClass", "", "tulle")) == "node"


def test_rules_go_with_those_whom_they_protect() -> None:
    rules = policy("shop/p", ruled("{path: /a}"), "CiliumNetworkPolicy")
    world = replace(BASE, cilium_policies={("shop", "p"): rules}, workloads=WORKLOADS_OF)
    (number,) = images(world)["node"].policed.enforced
    found = images(asking("Namespace", "shop", "namespace", "128Mi", world))
    own = found["namespace/shop"]
    assert set(own.policed.enforced) == {number} and not found["node"].policed.enforced
    assert f"policy/{number}" in own.image["listener"] and "policy" in own.image["cluster"]
    assert own.memory_bytes == 128 << 20
    assert images(asking("Namespace", "away", "namespace", "", world))["node"].policed.enforced


def test_rules_of_all_namespaces_are_the_nodes() -> None:
    rules: Any = policy("p", ruled("{path: /a}"), "CiliumClusterwideNetworkPolicy")
    world = replace(BASE, clusterwide_policies={"p": rules}, workloads=WORKLOADS_OF)
    found = images(asking("Namespace", "shop", "namespace", "", world))
    assert found["node"].policed.enforced and not found["namespace/shop"].policed.enforced


def test_what_is_unchanged_is_the_same() -> None:
    world = asking("Namespace", "shop", "namespace")
    first = scoped(world)
    again = scoped(world, first).of
    for scope, item in first.of.items():
        assert all(again[scope].image[kind] is items for kind, items in item.image.items())
