"""Laws of a routing: whatever order, the same; and what is unchanged costs nothing."""

import time
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.e2e.conformance.table import FEATURES
from tests.unit.compile.routes.certs import config_map, pair
from tests.unit.compile.routes.test_backend_tls import policy
from tests.unit.compile.routes.test_backends import grant
from tests.unit.compile.routes.test_ingress import ingress, path, rule
from tests.unit.compile.routes.test_listeners import listener_set
from tests.unit.compile.routes.test_mesh import inhabited, on_web
from tests.unit.compile.routes.worlds import (
    GATEWAY,
    POOL,
    SERVICES,
    TO_WEB,
    a_route,
    completed,
    condition,
    front,
    gateway,
    hosts,
    http_route,
    listener,
    of_route,
    routed,
    with_paths,
    world_of,
)
from tulle.compile.routes import route
from tulle.compile.routes.classes import SUPPORTED_FEATURES
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Routing
from tulle.model.world import World

_NAMES = ("a.example", "b.a.example", "*.example", "*.a.example")
_CLASS = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "mine", "generation": 4},
    "spec": {"controllerName": "tulle.io/gateway-controller"},
}


@st.composite
def some_routes(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for number in range(draw(st.integers(1, 6))):
        name = f"r{number}"
        names = draw(st.lists(st.sampled_from(_NAMES), max_size=2, unique=True))
        created = draw(st.sampled_from(["", "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"]))
        kind = draw(st.sampled_from(["HTTPRoute", "HTTPRoute", "GRPCRoute"]))
        rules = with_paths(*draw(st.lists(st.sampled_from(["/", "/a", "/a/b"]), min_size=1)))
        if kind == "GRPCRoute":
            rules = TO_WEB
        found.append(a_route(kind, name, hostnames=names, created=created, rules=rules[:4]))
    return found


# Objects of every kind that get in each other's way.
_POOL: tuple[Any, ...] = (
    listener_set("young", listener("x", hostname="a.example"), created="2024-02-01T00:00:00Z"),
    listener_set("old", listener("x", hostname="a.example"), created="2024-01-01T00:00:00Z"),
    gateway(listener("z"), metadata={"name": "other"}, addresses=[{"value": "192.0.2.5"}]),
    gateway(listener("z"), metadata={"name": "rival"}, addresses=[{"value": "192.0.2.5"}]),
    policy("p1"),
    policy("p2", created="2024-01-01T00:00:00Z", hostname="b.example"),
    config_map("ca", pair()[0]),
    grant(),
    ingress("i1", rule(path("/"), host="*.example")),
    ingress("i2", rule(path("/"), host="*.example"), defaultBackend=path("/")["backend"]),
    on_web(name="m1"),
    on_web("GRPCRoute", name="m2"),
    on_web(name="m3", namespace="away"),
    http_route("h", rules=[{"backendRefs": [{"name": "far", "namespace": "away", "port": 80}]}]),
    http_route("l", parentRefs=[{"name": "old", "kind": "ListenerSet"}], rules=TO_WEB),
)
_OBJECTS = st.lists(st.sampled_from(range(len(_POOL))), max_size=8, unique=True).map(
    lambda numbers: [_POOL[number] for number in numbers]
)


def _shuffled(world: World, rng: Any) -> World:
    shuffled: dict[str, Any] = {}
    for field in fields(world):
        value = getattr(world, field.name)
        if isinstance(value, dict):
            items = list(value.items())
            rng.shuffle(items)
            shuffled[field.name] = dict(items)
    return replace(world, **shuffled)


def _told(routing: Routing) -> tuple[Any, ...]:
    return routing.fronts, routing.status, sorted(routing.refusals, key=str)


@settings(max_examples=40, deadline=None)
@given(some_routes(), _OBJECTS, st.randoms())
def test_the_order_of_objects_means_nothing(routes: list[Any], more: list[Any], rng: Any) -> None:
    listeners = [listener("a", hostname="*.example"), listener("b"), listener("c", 90)]
    edge = gateway(*listeners, allowedListeners={"namespaces": {"from": "Same"}})
    world = inhabited(edge, *routes, *more)
    assert _told(route(_shuffled(world, rng))) == _told(route(world))


@settings(max_examples=40, deadline=None)
@given(some_routes(), _OBJECTS, some_routes(), _OBJECTS)
def test_what_was_before_means_nothing(
    one: list[Any], mine: list[Any], other: list[Any], theirs: list[Any]
) -> None:
    edge = gateway(listener(), listener("c", 90), allowedListeners={"namespaces": {"from": "Same"}})
    before = route(inhabited(edge, *one, *mine))
    after = inhabited(edge, *other, *theirs)
    assert _told(route(after, before)) == _told(route(after))


def test_the_same_world_gives_the_same_object() -> None:
    world = completed(world_of(POOL, SERVICES, GATEWAY, http_route(rules=TO_WEB)))
    first = route(world)
    assert route(world, first) is first
    moved = replace(world, workloads={("shop", "x"): None})  # type: ignore[dict-item]
    assert route(moved, first) is first


def test_only_what_has_changed_is_another_object() -> None:
    base = world_of(
        POOL,
        SERVICES,
        gateway(listener(), listener("b", 90)),
        http_route("a", hostnames=["a.example"], rules=TO_WEB),
        http_route("b", hostnames=["b.example"], rules=TO_WEB,
                   parentRefs=[{"name": "gw", "port": 80}]),
    )  # fmt: skip
    world = completed(base)
    first = route(world)
    changed = world_of(
        http_route("b", hostnames=["b.example"], rules=with_paths("/new"),
                   parentRefs=[{"name": "gw", "port": 80}]),
        base=world,
    )  # fmt: skip
    second = route(changed, first)
    assert hosts(second)["a.example"] is hosts(first)["a.example"]
    assert hosts(second)["b.example"] != hosts(first)["b.example"]
    assert front(second, 90) is front(first, 90)
    refs = [ObjectRef("HTTPRoute", "shop", name) for name in "ab"]
    assert all(second.status[ref] is first.status[ref] for ref in refs)


@pytest.mark.parametrize("what", ["service", "grant", "policy"])
def test_a_route_follows_what_it_refers_to(what: str) -> None:
    ref = {"name": "web", "port": 80} if what != "grant" else {
        "name": "far", "namespace": "away", "port": 80,
    }  # fmt: skip
    world = world_of(POOL, SERVICES, GATEWAY, http_route(rules=[{"backendRefs": [ref]}]))
    first = route(completed(world))
    changed = {
        "service": lambda: replace(world, services={}),
        "grant": lambda: world_of(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "ReferenceGrant",
                "metadata": {"name": "g", "namespace": "away"},
                "spec": {
                    "from": [
                        {
                            "group": "gateway.networking.k8s.io",
                            "kind": "HTTPRoute",
                            "namespace": "shop",
                        }
                    ],
                    "to": [{"group": "", "kind": "Service"}],
                },
            },
            base=world,
        ),
        "policy": lambda: world_of(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "BackendTLSPolicy",
                "metadata": {"name": "p", "namespace": "shop"},
                "spec": {
                    "targetRefs": [{"group": "", "kind": "Service", "name": "web"}],
                    "validation": {"hostname": "a", "wellKnownCACertificates": "System"},
                },
            },
            base=world,
        ),
    }[what]()
    second = route(completed(changed), first)
    assert _told(second) == _told(route(completed(changed)))
    assert _told(second) != _told(first)
    third = route(completed(world), second)
    assert _told(third) == _told(first)


def test_a_changed_route_among_many_costs_little() -> None:
    routes = [
        http_route(f"r{number}", hostnames=[f"h{number}.example"], rules=TO_WEB)
        for number in range(1000)
    ]
    world = completed(world_of(POOL, SERVICES, GATEWAY, *routes))
    before = route(world)
    took = []
    for number in range(5):
        changed = http_route(
            "r7", hostnames=["h7.example"], rules=with_paths(f"/p{number}"), generation=number
        )
        world = world_of(changed, base=world)
        began = time.process_time()
        before = route(world, before)
        took.append(time.process_time() - began)
    assert hosts(before)["h7.example"].entries[0][0].path == "/p4"
    assert min(took) < 0.05  # about 0.015 on a quiet machine


def test_classes() -> None:
    theirs = {**_CLASS, "metadata": {"name": "x"}, "spec": {"controllerName": "a.example/b"}}
    asking = {**_CLASS, "metadata": {"name": "y"}}
    asking["spec"] = {**_CLASS["spec"], "parametersRef": {"group": "", "kind": "A", "name": "b"}}
    found = routed(
        _CLASS,
        theirs,
        asking,
        gateway(listener(), gatewayClassName="mine"),
        http_route(rules=TO_WEB),
    )
    mine = found.status[ObjectRef("GatewayClass", "", "mine")]
    assert condition(mine, "Accepted") == ("True", "Accepted")
    features = [item["name"] for item in mine["supportedFeatures"]]
    assert features == sorted(set(features))
    assert len(features) <= 64
    assert ObjectRef("GatewayClass", "", "x") not in found.status
    said = found.status[ObjectRef("GatewayClass", "", "y")]
    assert condition(said, "Accepted") == ("False", "InvalidParameters")
    assert condition(of_route(found), "Accepted") == ("True", "Accepted")


def test_no_feature_is_claimed_that_is_not_tried_with_real_requests() -> None:
    tried = {feature for features in FEATURES.values() for feature in features}
    assert set(SUPPORTED_FEATURES) <= tried


def test_a_class_of_the_built_in_name_may_be_anothers() -> None:
    taken = {**_CLASS, "metadata": {"name": "tulle"}, "spec": {"controllerName": "a.example/b"}}
    assert not routed(taken, GATEWAY).fronts
