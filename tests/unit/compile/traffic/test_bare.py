"""Services that have a policy and no route."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from tests.unit.compile.routes.worlds import POOL, completed
from tests.unit.compile.routes.worlds import world_of as with_more
from tulle.compile.traffic import attach, route
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import (
    AppProtocol,
    Destination,
    Front,
    RequestMatch,
    Routing,
    Rule,
    Server,
    Stream,
    VirtualHost,
)

from .scenes import limited, policy, world_of

SERVICE = ObjectRef("Service", "shop", "s")
ADDRESS = ip_address("10.96.0.7")


def service(*ports: str, address: str = "10.96.0.7") -> str:
    """`ports` are name, number and perhaps what is spoken; UDP if the name says so."""
    listed = []
    for text in ports:
        name, number, *spoken = text.split()
        protocol = "UDP" if name == "udp" else "TCP"
        said = f", appProtocol: {spoken[0]}" if spoken else ""
        listed.append(f"{{name: {name}, port: {number}, protocol: {protocol}{said}}}")
    at = f"clusterIP: {address}" if address else ""
    return (
        f"{{kind: Service, metadata: {{name: s}}, "
        f"spec: {{selector: {{a: b}}, ports: [{', '.join(listed)}], {at}}}}}"
    )


def attached(text: str, town: str, routing: Routing | None = None) -> Routing:
    return attach(routing or Routing(), world_of(text, town)).routing


def spoken(routing: Routing) -> dict[int, str]:
    assert all(front.mesh and front.addresses == (ADDRESS,) for front in routing.fronts.values())
    return {front.port: front.servers[0].protocol for front in routing.fronts.values()}


def said(routing: Routing) -> str:
    ((_, status),) = routing.status.items()
    condition = status["ancestors"][0]["conditions"][0]
    return f"{condition['reason']} {condition['message']}".strip()


TOWN = service("plain 80", "web 81 http", "grpc 82 grpc", "tls 443 https", "db 5432 tcp", "udp 53")


def test_requests_are_judged_where_they_can_be_read() -> None:
    routing = attached(limited("a", "Service/s"), TOWN)
    assert spoken(routing) == {80: "HTTP", 81: "HTTP", 82: "HTTP"}
    rules = [front.servers[0].hosts[0].entries[0][1] for front in routing.fronts.values()]
    assert all(rule.policies.rate_limit for rule in rules)
    assert [rule.destinations[0].protocol for rule in rules] == [
        *(AppProtocol.HTTP1, AppProtocol.HTTP1, AppProtocol.HTTP2)
    ]
    assert rules[0].id == "Service/shop/s/plain"
    assert said(routing) == "Accepted"


def test_backends_are_used_as_said_whatever_is_spoken() -> None:
    text = policy("BackendTrafficPolicy", "a", "Service/s", circuitLimits={"connections": 5})
    routing = attached(text, TOWN)
    assert spoken(routing) == {80: "TCP", 81: "HTTP", 82: "HTTP", 443: "TCP", 5432: "TCP"}
    traffic = routing.fronts["service/shop/s/5432"].servers[0].streams[0].destinations[0].traffic
    assert traffic and traffic.limits.connections == 5


@pytest.mark.parametrize(
    ("said", "protocol"),
    [
        ({"loadBalancing": {"type": "Maglev"}}, "TCP"),
        ({"loadBalancing": {"type": "Maglev", "hashOn": [{"type": "SourceIP"}]}}, "TCP"),
        (
            {"loadBalancing": {"type": "Maglev", "hashOn": [{"type": "Header", "name": "a"}]}},
            "HTTP",
        ),
        ({"loadBalancing": {"type": "Latency"}}, "HTTP"),
        ({"circuitLimits": {"connections": 5}}, "TCP"),
        ({"circuitLimits": {"requests": 5}}, "HTTP"),
        ({"outlierDetection": {}}, "TCP"),
        ({"retryConstraint": {}}, "HTTP"),
        ({"sessionPersistence": {"type": "Header", "header": {"name": "a"}}}, "HTTP"),
    ],
)
def test_what_speaks_of_requests_takes_a_silent_port_for_http(
    said: dict[str, object], protocol: str
) -> None:
    text = policy("BackendTrafficPolicy", "a", "Service/s", **said)
    assert spoken(attached(text, service("plain 80"))) == {80: protocol}


def test_only_the_port_that_is_named() -> None:
    assert spoken(attached(limited("a", "Service/s/plain"), TOWN)) == {80: "HTTP"}


def test_what_can_be_judged_nowhere_is_told() -> None:
    reason = "nothing of what is sent to it can be judged: it has no address, or speaks no HTTP"
    for town in (service("plain 80", address="None"), service("tls 443 https", "udp 53")):
        routing = attached(limited("a", "Service/s"), town)
        assert not routing.fronts
        assert said(routing) == f"Invalid Service shop/s: {reason}"
    named = attached(limited("a", "Service/s/db"), TOWN)
    assert said(named) == f"Invalid Service shop/s (db): {reason}"


def test_a_gateways_listener_that_reads_no_requests_is_told() -> None:
    town = """
{kind: Gateway, metadata: {name: edge}, spec: {gatewayClassName: tulle, listeners: [
  {name: http, port: 80, protocol: HTTP}, {name: db, port: 90, protocol: TCP}]}}
"""
    reason = "nothing of what is sent to it can be judged: it speaks no HTTP"
    sealed = attached(limited("a", "Gateway/edge/db"), town)
    assert said(sealed) == f"Invalid Gateway shop/edge (db): {reason}"
    for target in ("Gateway/edge", "Gateway/edge/http"):
        assert said(attached(limited("a", target), town)).startswith("Accepted")
    streams = town.replace("protocol: HTTP", "protocol: TCP")
    assert said(attached(limited("a", "Gateway/edge"), streams)).startswith("Invalid")


def test_what_stands_for_a_gateway_is_left_to_it() -> None:
    world = completed(with_more(POOL, base=world_of(limited("a", "Service/tulle-gateway-edge"))))
    assert ("shop", "tulle-gateway-edge") in world.services
    routing = route(world)
    assert [front.origin.kind for front in routing.fronts.values()] == ["Gateway", "Gateway"]
    (status,) = (told for ref, told in routing.status.items() if ref.kind == "RateLimitPolicy")
    assert status["ancestors"][0]["conditions"][0]["reason"] == "Invalid"


def test_a_route_is_left_alone_and_whom_it_is_not_for_meets_the_policy() -> None:
    route = ObjectRef("HTTPRoute", "far", "r")
    rule = Rule(route, 0, destinations=(Destination(("shop", "s"), 80),))
    web = Server("far", hosts=(VirtualHost("*", ((RequestMatch(), rule),)),), clients=(ADDRESS,))
    as_ever = Server(
        "everybody", protocol="TCP", streams=(Stream((Destination(("shop", "s"), 80),)),)
    )
    front = Front(
        "service/shop/s/80",
        SERVICE,
        ("shop", "s"),
        (ADDRESS,),
        80,
        mesh=True,
        servers=(web, as_ever),
    )
    routing = attached(limited("a", "Service/s"), service("plain 80"), Routing({front.name: front}))
    servers = routing.fronts[front.name].servers
    assert [(server.name, server.protocol) for server in servers] == [
        *(("far", "HTTP"), ("everybody", "HTTP"))
    ]
    limits = [server.hosts[0].entries[0][1].policies.rate_limit for server in servers]
    assert all(limits) and limits[0] is limits[1]
    assert servers[0].hosts[0].entries[0][1].origin == route


def test_what_is_as_before_is_the_same_object() -> None:
    world = world_of(limited("a", "Service/s"), TOWN)
    first = attach(Routing(), world)
    again = attach(Routing(), world, first)
    for name, front in first.routing.fronts.items():
        assert again.routing.fronts[name] is front
