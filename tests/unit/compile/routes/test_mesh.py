"""Routes on Services (GAMMA)."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from tests.unit.compile.routes.test_backends import grant
from tests.unit.compile.routes.worlds import (
    GATEWAY,
    POOL,
    SERVICES,
    TO_WEB,
    a_route,
    completed,
    condition,
    http_route,
    of_route,
    order,
    routed,
    with_paths,
    world_of,
)
from tulle.compile.routes import route
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import AppProtocol, Destination, Front, Routing, Stream, proxied_of
from tulle.model.world import Workload, World

_PARENT = {"name": "web", "group": "", "kind": "Service"}


def on_web(kind: str = "HTTPRoute", name: str = "r", namespace: str = "shop", **spec: Any) -> Any:
    ref = _PARENT | ({"namespace": "shop"} if namespace != "shop" else {}) | spec.pop("ref", {})
    spec.setdefault("rules", TO_WEB)
    return a_route(kind, name, namespace, parentRefs=[ref], **spec)


def front_of(routing: Routing, port: int = 80, name: str = "web") -> Front:
    return routing.fronts[f"service/shop/{name}/{port}"]


def workload(namespace: str, name: str, address: str) -> Workload:
    return Workload(namespace, name, {}, (ip_address(address),), 7)


def inhabited(*texts: Any) -> World:
    """With a workload in `shop` and two in `away`."""
    people = [
        workload("shop", "s", "10.1.0.1"),
        workload("away", "b", "10.1.0.3"),
        workload("away", "a", "10.1.0.2"),
    ]
    world = completed(world_of(POOL, SERVICES, *texts))
    return replace(world, workloads={item.key: item for item in people})


def test_a_producers_route_holds_for_everybody_on_all_ports() -> None:
    found = routed(on_web(hostnames=["ignored.example"]))
    assert condition(of_route(found), "Accepted") == ("True", "Accepted")
    assert of_route(found)["parentRef"] == _PARENT
    for port in (80, 8080):
        front = front_of(found, port)
        assert front.mesh
        assert front.service == ("shop", "web")
        assert front.origin == ObjectRef("Service", "shop", "web")
        assert {item.version for item in front.addresses} == {4}
        (server,) = front.servers
        assert (server.protocol, server.clients) == ("HTTP", ())
        assert {host.hostname: order(host) for host in server.hosts} == {"*": ["r/0"]}
    assert proxied_of(found.fronts.values()) == {
        (("shop", "web"), address, item.port, "TCP")
        for item in found.fronts.values()
        for address in item.addresses
    }
    assert {item.port for item in found.fronts.values()} == {80, 8080}


@pytest.mark.parametrize(
    ("ref", "ports"),
    [
        ({"port": 80}, [80]),
        ({"sectionName": "two"}, [8080]),
        ({"sectionName": "two", "port": 8080}, [8080]),
        ({"sectionName": "two", "port": 80}, []),
        ({"port": 81}, []),
    ],
)
def test_one_port(ref: dict[str, Any], ports: list[int]) -> None:
    found = routed(on_web(ref=ref))
    assert [front.port for front in found.fronts.values()] == ports
    expected = ("True", "Accepted") if ports else ("False", "NoMatchingParent")
    assert condition(of_route(found), "Accepted") == expected


def test_a_port_that_is_not_there_is_named() -> None:
    found = routed(on_web(ref={"sectionName": "two", "port": 80}))
    (accepted, _) = of_route(found)["conditions"]
    assert accepted["message"] == "the Service has no TCP port 80 named two"


def test_a_consumers_route_holds_for_its_namespace() -> None:
    consumer = on_web(name="c", namespace="away", rules=with_paths("/c"))
    consumer["spec"]["rules"][0]["backendRefs"][0]["namespace"] = "shop"
    found = route(inhabited(consumer))
    said = found.status[ObjectRef("HTTPRoute", "away", "c")]["parents"][0]
    assert condition(said, "Accepted") == ("True", "Accepted")
    assert condition(said, "ResolvedRefs") == ("True", "ResolvedRefs")  # without a grant
    theirs, others = front_of(found).servers
    assert [str(item) for item in theirs.clients] == ["10.1.0.2", "10.1.0.3"]
    assert [order(host) for host in theirs.hosts] == [["c/0"]]
    own = Destination(("shop", "web"), 80, protocol=AppProtocol.TCP)
    assert (others.protocol, others.clients) == ("TCP", ())
    assert others.streams == (Stream((own,)),)


_FAR = {"name": "far", "namespace": "away", "port": 80}
IN_ITS_OWN_NAME = (
    {"type": "RequestMirror", "requestMirror": {"backendRef": _FAR}},
    {"type": "ExternalAuth", "externalAuth": {"protocol": "HTTP", "backendRef": _FAR, "http": {}}},
)


@pytest.mark.parametrize("asks", IN_ITS_OWN_NAME, ids=lambda item: str(item["type"]))
@pytest.mark.parametrize("given", [(), (grant(),)], ids=["without", "with a grant"])
def test_whom_the_proxy_asks_in_its_own_name_has_to_permit_it(
    asks: dict[str, Any], given: tuple[Any, ...]
) -> None:
    """There policies see the proxy, and not the client, whom they might not let through."""
    found = route(inhabited(on_web(rules=[{**TO_WEB[0], "filters": [asks]}]), *given))
    ((_, rule),) = front_of(found).servers[0].hosts[0].entries
    mirrors, asked = rule.filters.mirrors, rule.filters.authorization
    reached = [item.destination for item in mirrors] + ([asked.destination] if asked else [])
    assert [item.service for item in reached if not item.broken] == [("away", "far")] * len(given)
    told = ("True", "ResolvedRefs") if given else ("False", "RefNotPermitted")
    assert condition(of_route(found), "ResolvedRefs") == told


def test_consumers_have_their_own_routes_alone() -> None:
    found = route(inhabited(on_web(name="p"), on_web(name="c", namespace="away")))
    theirs, others = front_of(found).servers
    assert [order(host) for host in theirs.hosts] == [["c/0"]]
    assert [order(host) for host in others.hosts] == [["p/0"]]


def test_a_consumer_that_has_no_workloads_here_changes_nothing() -> None:
    world = inhabited(on_web(name="c", namespace="away"))
    empty = replace(world, workloads={})
    assert not route(empty).fronts
    first = route(empty)
    later = route(world, first)
    assert later.fronts == route(world).fronts != {}
    assert not route(empty, later).fronts


def test_where_workloads_are_means_nothing_without_consumers() -> None:
    world = inhabited(on_web())
    first = route(world)
    assert route(replace(world, workloads={}), first) is first


@pytest.mark.parametrize(
    ("kinds", "wins"),
    [
        (["HTTPRoute", "GRPCRoute"], "GRPCRoute"),
        (["TCPRoute", "HTTPRoute"], "HTTPRoute"),
        (["TLSRoute", "TCPRoute"], "TLSRoute"),
    ],
)
def test_one_kind_of_route_for_a_port(kinds: list[str], wins: str) -> None:
    more = {"TLSRoute": {"hostnames": ["a.example"]}}
    found = routed(*(on_web(kind, **more.get(kind, {})) for kind in kinds))
    for kind in kinds:
        said = condition(of_route(found, kind=kind), "Accepted")
        assert said == (("True", "Accepted") if kind == wins else ("False", "Conflicted"))
    (server,) = front_of(found).servers
    assert server.protocol == {"GRPCRoute": "HTTP", "HTTPRoute": "HTTP"}.get(wins, "TLS")


def test_datagrams() -> None:
    service = """
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: shop}
spec: {selector: {a: b}, ports: [{port: 53, protocol: UDP}]}
"""
    to_dns = [{"backendRefs": [{"name": "dns", "port": 53}]}]
    on_dns = a_route("UDPRoute", parentRefs=[{**_PARENT, "name": "dns"}], rules=to_dns)
    found = routed(service, on_dns)
    front = found.fronts["service/shop/dns/53/UDP"]
    assert (front.protocol, front.servers[0].protocol) == ("UDP", "UDP")
    assert condition(of_route(found, kind="UDPRoute"), "Accepted") == ("True", "Accepted")


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        ({"name": "none"}, None),
        ({"name": "tulle-gateway-gw"}, None),
        ({"name": "headless"}, "NoMatchingParent"),
    ],
)
def test_what_is_no_parent(ref: dict[str, str], reason: str | None) -> None:
    headless = """
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: shop}
spec: {clusterIP: None, selector: {a: b}, ports: [{port: 80}]}
"""
    found = routed(GATEWAY, headless, on_web(ref=ref))
    assert [name for name in found.fronts if name.startswith("service/")] == []
    if reason is None:
        assert ObjectRef("HTTPRoute", "shop", "r") not in found.status
    else:
        assert condition(of_route(found), "Accepted") == ("False", reason)


def test_a_gateway_and_a_service_as_parents_of_one_route() -> None:
    refs = [_PARENT, {"name": "gw"}]
    away = {"backendRefs": [{"name": "far", "namespace": "away", "port": 80}]}
    found = routed(GATEWAY, http_route(parentRefs=refs, rules=[away]))
    said = [of_route(found, at=index) for index in range(2)]
    assert [item["parentRef"]["kind"] for item in said] == ["Service", "Gateway"]
    assert [condition(item, "ResolvedRefs")[1] for item in said] == [
        "ResolvedRefs",
        "RefNotPermitted",
    ]
