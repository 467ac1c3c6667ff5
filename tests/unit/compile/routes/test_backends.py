"""backendRefs: what makes one good, and what is said of one that is not."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.compile.routes.worlds import (
    GATEWAY,
    POOL,
    SERVICES,
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
    world_of,
)
from tulle.compile.routes import route
from tulle.model.kubernetes import ObjectMeta, Service, ServicePort, ServiceSpec
from tulle.model.routing import AppProtocol, Destination

IMPORT = {"group": "multicluster.x-k8s.io", "kind": "ServiceImport"}

_SPEAKING = """
apiVersion: v1
kind: Service
metadata: {name: s, namespace: shop}
spec: {selector: {a: b}, ports: [{port: 80, protocol: PROTOCOL, appProtocol: "APP"}]}
"""


def grant(
    kind: str = "HTTPRoute", source: str = "shop", name: str = "", to: str = "Service"
) -> Any:
    target = {"group": "", "kind": to} | ({"name": name} if name else {})
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "g", "namespace": "away"},
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": source}],
            "to": [target],
        },
    }


def destinations(found: Any) -> tuple[Destination, ...]:
    ((_, rule),) = hosts(found)["*"].entries
    made: tuple[Destination, ...] = rule.destinations
    return made


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        ({"name": "web", "port": 80}, ""),
        ({"name": "web", "port": 8080}, ""),
        ({"name": "none", "port": 80}, "BackendNotFound"),
        ({"name": "web", "port": 81}, "BackendNotFound"),
        ({"name": "far", "namespace": "away", "port": 80}, "RefNotPermitted"),
        ({"name": "x", "kind": "Bucket", "group": "a.example"}, "InvalidKind"),
        ({"name": "x", "kind": "Pod"}, "InvalidKind"),
        ({"name": "web", "port": 80, **IMPORT}, "BackendNotFound"),
        ({"name": "shared", "port": 80, **IMPORT}, ""),
        ({"name": "shared", "port": 81, **IMPORT}, "BackendNotFound"),
        ({"name": "clusterset/shared", "port": 80}, "BackendNotFound"),
        ({"name": "shared", "namespace": "away", "port": 80, **IMPORT}, "RefNotPermitted"),
    ],
)
def test_references(ref: dict[str, Any], reason: str) -> None:
    good = {"name": "api", "port": 80, "weight": 3}
    world = world_of(POOL, SERVICES, GATEWAY, http_route(rules=[{"backendRefs": [ref, good]}]))
    key = ("shop", "clusterset/shared")
    stands = Service(ObjectMeta(key[1], key[0]), ServiceSpec((ServicePort(80),)))
    found = route(completed(replace(world, services={**world.services, key: stands})))
    expected = ("False", reason) if reason else ("True", "ResolvedRefs")
    assert condition(of_route(found), "ResolvedRefs") == expected
    assert condition(of_route(found), "Accepted") == ("True", "Accepted")
    broken, kept = destinations(found)
    assert bool(broken.broken) == bool(reason)
    assert (kept.broken, kept.weight) == ("", 3)


@pytest.mark.parametrize(
    ("given", "permitted"),
    [
        (grant(), True),
        (grant(name="far"), True),
        (grant(name="other"), False),
        (grant(kind="GRPCRoute"), False),
        (grant(source="else"), False),
        (grant(to="Secret"), False),
    ],
)
def test_grants(given: Any, permitted: bool) -> None:
    ref = {"name": "far", "namespace": "away", "port": 80}
    found = routed(GATEWAY, given, http_route(rules=[{"backendRefs": [ref]}]))
    assert condition(of_route(found), "ResolvedRefs")[0] == ("True" if permitted else "False")
    (only,) = destinations(found)
    assert (only.broken == "") == permitted


@pytest.mark.parametrize(
    ("kind", "app", "expected"),
    [
        ("HTTPRoute", "", AppProtocol.HTTP1),
        ("HTTPRoute", "http", AppProtocol.HTTP1),
        ("HTTPRoute", "kubernetes.io/h2c", AppProtocol.HTTP2),
        ("HTTPRoute", "kubernetes.io/ws", AppProtocol.WEBSOCKET),
        ("HTTPRoute", "kubernetes.io/wss", None),  # there is no BackendTLSPolicy
        ("HTTPRoute", "HTTPS", None),
        ("HTTPRoute", "redis", None),
        ("GRPCRoute", "", AppProtocol.HTTP2),
        ("GRPCRoute", "kubernetes.io/h2c", AppProtocol.HTTP2),
        ("GRPCRoute", "kubernetes.io/ws", None),
    ],
)
def test_application_protocols(kind: str, app: str, expected: AppProtocol | None) -> None:
    text = _SPEAKING.replace("APP", app).replace("PROTOCOL", "TCP")
    rules = [{"backendRefs": [{"name": "s", "port": 80}]}]
    found = routed(GATEWAY, text, a_route(kind, rules=rules))
    (only,) = destinations(found)
    said = condition(of_route(found, kind=kind), "ResolvedRefs")
    if expected is None:
        assert only.broken
        assert said == ("False", "UnsupportedProtocol")
    else:
        assert only.protocol is expected
        assert said == ("True", "ResolvedRefs")


@pytest.mark.parametrize("kind", ["TCPRoute", "UDPRoute"])
def test_streams_need_a_port_of_their_protocol(kind: str) -> None:
    own, other = ("TCP", "UDP") if kind == "TCPRoute" else ("UDP", "TCP")
    rules = [{"backendRefs": [{"name": "s", "port": 80}]}]
    for protocol, good in ((own, True), (other, False)):
        text = _SPEAKING.replace("PROTOCOL", protocol).replace("APP", "")
        found = routed(gateway(listener("a", 90, own)), text, a_route(kind, rules=rules))
        said = condition(of_route(found, kind=kind), "ResolvedRefs")
        assert said == (("True", "ResolvedRefs") if good else ("False", "BackendNotFound"))
        name = f"gateway/shop/gw/90{'/UDP' if own == 'UDP' else ''}"
        ((stream,),) = [server.streams for server in found.fronts[name].servers]
        assert (stream.destinations[0].broken == "") == good
        assert stream.destinations[0].protocol is (AppProtocol[own] if good else AppProtocol.HTTP1)


def test_all_that_is_wrong_is_said() -> None:
    refs = [{"name": "none", "port": 80}, {"name": "web", "port": 81}]
    said = of_route(routed(GATEWAY, http_route(rules=[{"backendRefs": refs}])))
    message = next(item for item in said["conditions"] if item["type"] == "ResolvedRefs")["message"]
    assert message == "there is no Service shop/none; Service shop/web has no TCP port 81"
    assert front(routed(GATEWAY)).servers[0].hosts == ()
