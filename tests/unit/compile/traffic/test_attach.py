"""Which policy holds where, and what the others are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.compile.routes.worlds import POOL, completed
from tests.unit.compile.routes.worlds import world_of as with_more
from tulle.compile.traffic import attach, route
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import (
    Destination,
    Filters,
    Mirror,
    Routing,
    Rule,
    SessionPersistence,
)
from tulle.model.routing_policies import RemoteKeys
from tulle.model.world import Refusal

from .scenes import (
    CART,
    GATEWAY,
    REST,
    SERVICE,
    TOWN,
    limited,
    policy,
    routing_of,
    rules_in,
    world_of,
)


def test_refusals_of_other_objects_stay() -> None:
    refused = Refusal(ObjectRef("Ingress", "shop", "i"), "no")
    routing = replace(routing_of(), refusals=(refused,))
    made = attach(routing, world_of(limited("p", "Gateway/edge"))).routing
    assert made.refusals == (refused,)


def limits(text: str, server: str = "http") -> list[str]:
    """Names of the rate limits of the cart's rule and of the route's other one."""
    made = attach(routing_of(), world_of(text)).routing
    found = (rule.policies.rate_limit for rule in rules_in(made, server))
    return [limit.origin.name if limit else "-" for limit in found]


def accepted(text: str, name: str, origin: ObjectRef = GATEWAY) -> list[str]:
    """Ancestor, reason and message of each entry of a policy's status."""
    status = attach(routing_of(origin=origin), world_of(text)).routing.status
    (of,) = (value for ref, value in status.items() if ref.name == name)
    return [
        f"{entry['ancestorRef']['kind']} {entry['ancestorRef']['name']}: "
        f"{entry['conditions'][0]['reason']} {entry['conditions'][0]['message']}".strip()
        for entry in of["ancestors"]
    ]


def test_without_policies_routing_is_left_alone() -> None:
    routing = routing_of()
    assert attach(routing, world_of()).routing is routing


def test_the_most_specific_place_decides() -> None:
    gateway, listener = limited("a", "Gateway/edge"), limited("b", "Gateway/edge/other")
    route, rule = limited("c", "HTTPRoute/web"), limited("d", "HTTPRoute/web/cart")
    assert limits(gateway) == ["a", "a"]
    both = f"{gateway}\n---\n{listener}"
    assert (limits(both), limits(both, "other")) == (["a", "a"], ["b", "b"])
    assert limits(f"{both}\n---\n{route}", "other") == ["c", "c"]
    assert limits(f"{both}\n---\n{route}\n---\n{rule}") == ["d", "c"]


def test_an_override_comes_before_what_is_more_specific() -> None:
    gateway = limited("a", "Gateway/edge", override=True)
    listener = limited("b", "Gateway/edge/http", override=True)
    rule = limited("d", "HTTPRoute/web/cart")
    assert limits(f"{listener}\n---\n{rule}") == ["b", "b"]
    assert limits(f"{gateway}\n---\n{listener}\n---\n{rule}") == ["a", "a"]


def test_of_two_for_a_target_the_oldest_holds_and_the_other_is_told() -> None:
    older = limited("z", "HTTPRoute/web", created="2026-01-01T00:00:00Z")
    newer = limited("a", "HTTPRoute/web", created="2026-01-02T00:00:00Z")
    ageless = limited("b", "HTTPRoute/web")
    text = f"{newer}\n---\n{ageless}\n---\n{older}"
    assert limits(text) == ["z", "z"]
    assert accepted(text, "z") == ["Gateway edge: Accepted"]
    said = (
        "Gateway edge: Conflicted RateLimitPolicy shop/z is older and holds for HTTPRoute shop/web"
    )
    assert accepted(text, "a") == accepted(text, "b") == [said]
    assert limits(f"{limited('b', 'HTTPRoute/web')}\n---\n{limited('a', 'HTTPRoute/web')}") == [
        "a",
        "a",
    ]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("HTTPRoute/none", "HTTPRoute none: TargetNotFound there is no HTTPRoute shop/none"),
        (
            "HTTPRoute/web/none",
            "HTTPRoute web: TargetNotFound HTTPRoute shop/web has no rule named none",
        ),
        ("GRPCRoute/web", "GRPCRoute web: TargetNotFound there is no GRPCRoute shop/web"),
        (
            "Gateway/edge/none",
            "Gateway edge: TargetNotFound Gateway shop/edge has no listener named none",
        ),
        ("Service/web/none", "Service web: TargetNotFound Service shop/web has no port named none"),
    ],
)
def test_a_target_that_is_not_there_is_told(target: str, said: str) -> None:
    assert accepted(limited("a", target), "a") == [said]


def test_kinds_do_not_conflict_with_each_other() -> None:
    fault = policy("FaultInjectionPolicy", "a", "HTTPRoute/web", abort={"status": 503})
    made = attach(routing_of(), world_of(f"{fault}\n---\n{limited('a', 'HTTPRoute/web')}")).routing
    policies = rules_in(made, "http")[0].policies
    assert policies.fault and policies.fault.status == 503 and policies.rate_limit


def test_rules_of_one_target_share_their_buckets() -> None:
    made = attach(routing_of(), world_of(limited("a", "HTTPRoute/web"))).routing
    first, second = (rule.policies.rate_limit for rule in rules_in(made, "http"))
    assert first is second and first is not None
    assert first.scope == "shop/a:HTTPRoute shop/web"


def test_in_the_mesh_a_service_and_its_port_are_places() -> None:
    text = f"{limited('a', 'Service/web')}\n---\n{limited('b', 'Service/web/http')}"
    made = attach(routing_of(CART, origin=SERVICE), world_of(text)).routing
    limit = rules_in(made, "")[0].policies.rate_limit
    assert limit and limit.origin.name == "b"
    assert accepted(text, "a", SERVICE) == ["Service web: Accepted"]


def test_backends_have_one_policy_for_each_port() -> None:
    whole = policy(
        "XBackendTrafficPolicy", "x", "Service/web", retryConstraint={"budget": {"percent": 7}}
    )
    port = policy("BackendTrafficPolicy", "p", "Service/web/http", circuitLimits={"requests": 5})
    mirrored = replace(CART, filters=Filters(mirrors=(Mirror(Destination(("shop", "web"), 81)),)))
    made = attach(routing_of(mirrored), world_of(f"{whole}\n---\n{port}")).routing
    (rule,) = rules_in(made, "http")
    cart, mirror = rule.destinations[0].traffic, rule.filters.mirrors[0].destination.traffic
    assert cart and mirror and cart.retries is None and mirror.retries
    assert (cart.limits.requests, mirror.retries.percent) == (5, 7)


def test_a_routes_own_session_comes_before_its_backends() -> None:
    text = policy(
        "BackendTrafficPolicy",
        "p",
        "Service/web",
        sessionPersistence={"cookie": {"lifetimeType": "Permanent"}, "absoluteTimeout": "1500ms"},
    )
    own = replace(CART, session=SessionPersistence("Header", "x-own"))
    made = attach(routing_of(own, REST), world_of(text)).routing
    first, second = rules_in(made, "http")
    assert first.session == SessionPersistence("Header", "x-own")
    session = second.session
    assert session and (session.kind, session.lifetime_s) == ("Cookie", 2)
    assert session.name.startswith("tulle-")


EXTERNAL = {"protocol": "GRPC", "backendRef": {"name": "auth", "port": 9000}, "grpc": {}}


def asked(text: str) -> tuple[Rule, list[str]]:
    """The cart's rule, and what the conditions of the one policy say."""
    made = attach(routing_of(), world_of(text)).routing
    ((_, status),) = made.status.items()
    conditions = status["ancestors"][0]["conditions"]
    said = [f"{item['type']} {item['status']} {item['reason']}" for item in conditions]
    return rules_in(made, "http")[0], said


def test_an_external_service_is_a_destination() -> None:
    rule, said = asked(policy("AuthPolicy", "a", "HTTPRoute/web", external=EXTERNAL))
    authorization = rule.policies.authorization
    assert authorization and authorization.destination.service == ("shop", "auth")
    assert said == ["Accepted True Accepted", "ResolvedRefs True ResolvedRefs"]


@pytest.mark.parametrize(
    ("backend", "broken"),
    [
        ({"name": "none", "port": 9000}, "there is no Service shop/none"),
        ({"name": "auth", "port": 1}, "Service shop/auth has no TCP port 1"),
        (
            {"name": "auth", "port": 1, "namespace": "far"},
            "no ReferenceGrant permits Service far/auth",
        ),
    ],
)
def test_a_service_that_is_not_there_lets_nobody_through(
    backend: dict[str, object], broken: str
) -> None:
    external = {**EXTERNAL, "backendRef": backend}
    rule, said = asked(policy("AuthPolicy", "a", "HTTPRoute/web", external=external))
    assert rule.policies.authorization
    assert rule.policies.authorization.destination.broken == broken
    assert said[1].startswith("ResolvedRefs False")


@pytest.mark.parametrize(
    ("name", "broken"), [("auth", ""), ("none", "there is no Service shop/none")]
)
def test_keys_are_fetched_from_a_service(name: str, broken: str) -> None:
    remote = {"backendRef": {"name": name, "port": 9000}, "cacheDuration": "1m"}
    provider = {"name": "p", "issuer": "i", "jwks": {"remote": remote}}
    text = policy("AuthPolicy", "a", "HTTPRoute/web", jwt={"providers": [provider]})
    rule, said = asked(text)
    assert rule.policies.tokens
    keys = rule.policies.tokens.issuers[0].jwks
    assert isinstance(keys, RemoteKeys)
    assert (keys.destination.broken, keys.path) == (broken, "/.well-known/jwks.json")
    assert said[1].startswith(f"ResolvedRefs {not broken}")


def test_a_grant_names_our_group() -> None:
    grant = """
{kind: ReferenceGrant, metadata: {name: g, namespace: far}, spec: {
  from: [{group: %s, kind: AuthPolicy, namespace: shop}], to: [{group: "", kind: Service}]}}
---
{kind: Service, metadata: {name: auth, namespace: far}, spec: {
  selector: {app: auth}, ports: [{port: 1}]}}
"""
    external = {**EXTERNAL, "backendRef": {"name": "auth", "namespace": "far", "port": 1}}
    text = policy("AuthPolicy", "a", "HTTPRoute/web", external=external)
    for group, permitted in (("tulle.io", True), ("gateway.networking.k8s.io", False)):
        rule, _ = asked(f"{text}\n---\n{grant % group}")
        assert rule.policies.authorization
        assert (not rule.policies.authorization.destination.broken) is permitted


def limiting(routing: Routing) -> set[str]:
    """Names of the rate limits on any rule."""
    servers = [server for front in routing.fronts.values() for server in front.servers]
    rules = [rule for server in servers for host in server.hosts for _, rule in host.entries]
    assert rules
    return {item.origin.name for rule in rules if (item := rule.policies.rate_limit)}


def test_from_objects_to_rules_and_their_status() -> None:
    text = f"{limited('a', 'HTTPRoute/web')}\n---\n{limited('b', 'HTTPRoute/none')}"
    world = completed(with_more(POOL, base=world_of(text)))
    first = route(world)
    assert limiting(first) == {"a"}
    assert {ref.kind for ref in first.status} == {"Gateway", "HTTPRoute", "RateLimitPolicy"}
    assert route(world, first) is first
    again = route(replace(world, slices={}), first)
    assert again.fronts == first.fronts
    assert all(again.fronts[name] is front for name, front in first.fronts.items())
    bare = route(replace(world, rate_limits={}), first)
    assert limiting(bare) == set()
    assert "RateLimitPolicy" not in {ref.kind for ref in bare.status}


def test_an_ingress_is_a_target() -> None:
    ingress = """
{kind: Ingress, metadata: {name: i}, spec: {ingressClassName: tulle, rules: [
  {host: a.example, http: {paths: [
    {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}],
  defaultBackend: {service: {name: web, port: {number: 80}}}}}
"""
    text = f"{limited('a', 'Ingress/i')}\n---\n{limited('b', 'Ingress/i/default')}"
    routing = route(completed(with_more(POOL, base=world_of(text, f"{TOWN}\n---\n{ingress}"))))
    assert limiting(routing) == {"a", "b"}
    told = {ref.name: status for ref, status in routing.status.items() if "Policy" in ref.kind}
    for name in ("a", "b"):
        (entry,) = told[name]["ancestors"]
        assert entry["ancestorRef"]["kind"] == "IngressClass"
        assert entry["conditions"][0]["reason"] == "Accepted"


def test_what_is_as_before_is_the_same_object() -> None:
    routing = routing_of()
    auth = policy("AuthPolicy", "a", "HTTPRoute/web", external=EXTERNAL)
    text = f"{limited('a', 'HTTPRoute/web')}\n---\n{auth}"
    first = attach(routing, world_of(text))
    again = attach(routing, world_of(text), first)
    assert again.routing.fronts["front"] is first.routing.fronts["front"]
    more = f"{text}\n---\n{limited('b', 'HTTPRoute/web/cart', requests=5)}"
    changed = attach(routing, world_of(more), again)
    old, new = (rules_in(item.routing, "http") for item in (again, changed))
    assert new[1] is old[1] and new[0] is not old[0]
