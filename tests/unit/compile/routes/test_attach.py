"""Which listeners a route is attached to, and what its status says."""

from typing import Any

import pytest

from tests.unit.compile.routes.worlds import (
    GATEWAY,
    TO_WEB,
    a_route,
    condition,
    gateway,
    hosts,
    http_route,
    listener,
    of_listener,
    of_route,
    routed,
)
from tulle.model.kubernetes import ObjectRef

_NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "away", "labels": {"team": "x"}},
}


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        ({}, "Accepted"),
        ({"sectionName": "a"}, "Accepted"),
        ({"port": 8080}, "Accepted"),
        ({"sectionName": "b", "port": 8080}, "Accepted"),
        ({"sectionName": "a", "port": 8080}, "NoMatchingParent"),
        ({"sectionName": "none"}, "NoMatchingParent"),
        ({"port": 81}, "NoMatchingParent"),
        ({"sectionName": "tls"}, "NotAllowedByListeners"),
    ],
)
def test_listeners_are_meant_by_name_and_port(ref: dict[str, Any], reason: str) -> None:
    tls = listener("tls", 443, "TLS", tls={"mode": "Passthrough"})
    found = routed(
        gateway(listener("a"), listener("b", 8080), tls),
        http_route(parentRefs=[{"name": "gw", **ref}], rules=TO_WEB),
    )
    expected = ("True" if reason == "Accepted" else "False", reason)
    assert condition(of_route(found), "Accepted") == expected
    assert condition(of_route(found), "ResolvedRefs") == ("True", "ResolvedRefs")
    attached = {name: of_listener(found, name)["attachedRoutes"] for name in ("a", "b", "tls")}
    assert (sum(attached.values()) > 0) == (reason == "Accepted")


def test_a_listener_that_is_not_there_is_named() -> None:
    ref = {"name": "gw", "sectionName": "none", "port": 81}
    found = routed(gateway(listener("a")), http_route(parentRefs=[ref], rules=TO_WEB))
    (accepted, _) = of_route(found)["conditions"]
    assert accepted["message"] == "there is no listener named none with port 81"


@pytest.mark.parametrize(
    ("namespaces", "allowed"),
    [
        ({"from": "Same"}, False),
        ({"from": "All"}, True),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "x"}}}, True),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "y"}}}, False),
        ({"from": "Selector", "selector": {}}, True),
        ({"from": "Selector"}, False),
    ],
)
def test_namespaces(namespaces: dict[str, Any], allowed: bool) -> None:
    found = routed(
        gateway(listener(allowedRoutes={"namespaces": namespaces})),
        _NAMESPACE,
        http_route("r", "away", rules=[{"backendRefs": [{"name": "far", "port": 80}]}]),
    )
    said = found.status[ObjectRef("HTTPRoute", "away", "r")]["parents"][0]
    expected = ("True", "Accepted") if allowed else ("False", "NotAllowedByListeners")
    assert condition(said, "Accepted") == expected


@pytest.mark.parametrize(
    ("listener_name", "names", "attached"),
    [
        ("", [], True),
        ("a.example", [], True),
        ("", ["a.example"], True),
        ("a.example", ["*.example"], True),
        ("*.example", ["b.example", "a.other"], True),
        ("*.example", ["example"], False),
        ("a.example", ["b.example"], False),
    ],
)
def test_hostnames(listener_name: str, names: list[str], attached: bool) -> None:
    given = {"hostname": listener_name} if listener_name else {}
    found = routed(gateway(listener(**given)), http_route(hostnames=names, rules=TO_WEB))
    expected = ("True", "Accepted") if attached else ("False", "NoMatchingListenerHostname")
    assert condition(of_route(found), "Accepted") == expected
    assert of_listener(found, "http")["attachedRoutes"] == int(attached)


def test_one_listener_of_several_is_enough() -> None:
    found = routed(
        gateway(listener("a", hostname="a.example"), listener("b", hostname="b.example")),
        http_route(hostnames=["b.example"], rules=TO_WEB),
    )
    assert condition(of_route(found), "Accepted") == ("True", "Accepted")
    assert of_listener(found, "a")["attachedRoutes"] == 0
    assert of_listener(found, "b")["attachedRoutes"] == 1


def test_each_reference_has_its_own_entry_as_it_is_written() -> None:
    refs = [{"name": "gw", "sectionName": "http"}, {"name": "gw", "sectionName": "none"}]
    found = routed(GATEWAY, http_route(parentRefs=refs, rules=TO_WEB, generation=7))
    said = [of_route(found, at=index) for index in range(2)]
    group = "gateway.networking.k8s.io"
    assert said[0]["parentRef"] == {
        "group": group,
        "kind": "Gateway",
        "name": "gw",
        "sectionName": "http",
    }
    assert [condition(item, "Accepted")[1] for item in said] == ["Accepted", "NoMatchingParent"]
    assert {item["controllerName"] for item in said} == {"tulle.io/gateway-controller"}
    assert {c["observedGeneration"] for item in said for c in item["conditions"]} == {7}


def test_of_what_is_not_ours_nothing_is_said() -> None:
    other = gateway(listener(), gatewayClassName="other")
    found = routed(other, http_route(rules=TO_WEB), http_route("s", parentRefs=[{"name": "no"}]))
    assert not found.status
    assert not found.fronts


def test_default_gateways() -> None:
    found = routed(
        gateway(listener(), defaultScope="All"),
        http_route(parentRefs=[], useDefaultGateways="All", rules=TO_WEB),
        http_route("not", parentRefs=[], rules=TO_WEB),
    )
    assert condition(of_route(found), "Accepted") == ("True", "Accepted")
    assert ObjectRef("HTTPRoute", "shop", "not") not in found.status
    assert "*" in hosts(found)


def test_a_listener_set_is_a_parent() -> None:
    more = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ListenerSet",
        "metadata": {"name": "more", "namespace": "shop"},
        "spec": {"parentRef": {"name": "gw"}, "listeners": [listener("http", 8080)]},
    }
    allowed = gateway(listener(), allowedListeners={"namespaces": {"from": "Same"}})
    refs = [{"name": "more", "kind": "ListenerSet"}]
    found = routed(allowed, more, http_route(parentRefs=refs, rules=TO_WEB))
    assert condition(of_route(found), "Accepted") == ("True", "Accepted")
    assert of_listener(found, "http")["attachedRoutes"] == 0
    assert "*" in hosts(found, 8080)
    not_allowed = routed(GATEWAY, more, http_route(parentRefs=refs, rules=TO_WEB))
    assert condition(of_route(not_allowed), "Accepted") == ("False", "NoMatchingParent")


@pytest.mark.parametrize("kind", ["TCPRoute", "UDPRoute", "TLSRoute"])
def test_kinds_go_to_their_protocols(kind: str) -> None:
    more = {"hostnames": ["a.example"]} if kind == "TLSRoute" else {}
    ports = {"TCPRoute": "tcp", "UDPRoute": "udp", "TLSRoute": "tls"}
    found = routed(
        gateway(
            listener("tcp", 90, "TCP"),
            listener("udp", 90, "UDP"),
            listener("tls", 91, "TLS", tls={"mode": "Passthrough"}),
        ),
        a_route(kind, rules=TO_WEB, **more),
    )
    attached = {name: of_listener(found, name)["attachedRoutes"] for name in ports.values()}
    assert attached == {name: int(name == ports[kind]) for name in ports.values()}
