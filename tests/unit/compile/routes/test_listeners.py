"""Listeners: kinds, conflicts, overlaps; those of ListenerSets too."""

import time
from typing import Any

import pytest

from tests.unit.compile.routes.worlds import (
    condition,
    front,
    gateway,
    listener,
    of_gateway,
    of_listener,
    routed,
    world_of,
)
from tulle.compile.routes.gateways import owned_gateways
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Routing

_TLS = {"mode": "Passthrough"}
_CERTIFICATE = {"certificateRefs": [{"name": "none"}]}


def listener_set(name: str, *listeners: Any, created: str = "", namespace: str = "shop") -> Any:
    metadata = {"name": name, "namespace": namespace, "generation": 2}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ListenerSet",
        "metadata": metadata | ({"creationTimestamp": created} if created else {}),
        "spec": {"parentRef": {"name": "gw", "namespace": "shop"}, "listeners": list(listeners)},
    }


def of_set(routing: Routing, name: str, namespace: str = "shop") -> Any:
    return routing.status[ObjectRef("ListenerSet", namespace, name)]


@pytest.mark.parametrize(
    ("protocol", "more", "kinds"),
    [
        ("HTTP", {}, ["HTTPRoute", "GRPCRoute"]),
        ("HTTPS", {"tls": _CERTIFICATE}, ["HTTPRoute", "GRPCRoute"]),
        ("TLS", {"tls": _TLS}, ["TLSRoute"]),
        ("TLS", {"tls": _CERTIFICATE}, ["TLSRoute", "TCPRoute"]),
        ("TCP", {}, ["TCPRoute"]),
        ("UDP", {}, ["UDPRoute"]),
        ("acme.example/quic", {}, []),
    ],
)
def test_kinds_follow_from_the_protocol(protocol: str, more: Any, kinds: list[str]) -> None:
    found = of_listener(routed(gateway(listener("a", 80, protocol, **more))), "a")
    assert [item["kind"] for item in found["supportedKinds"]] == kinds


@pytest.mark.parametrize(
    ("wanted", "kinds", "resolved"),
    [
        ([{"kind": "HTTPRoute"}], ["HTTPRoute"], ("True", "ResolvedRefs")),
        ([{"kind": "HTTPRoute"}, {"kind": "Magic"}], ["HTTPRoute"], ("False", "InvalidRouteKinds")),
        ([{"kind": "TLSRoute"}], [], ("False", "InvalidRouteKinds")),
        ([{"kind": "HTTPRoute", "group": "a.example"}], [], ("False", "InvalidRouteKinds")),
    ],
)
def test_kinds_that_are_wished_for(wanted: Any, kinds: list[str], resolved: Any) -> None:
    found = of_listener(routed(gateway(listener(allowedRoutes={"kinds": wanted}))), "http")
    assert [item["kind"] for item in found["supportedKinds"]] == kinds
    assert condition(found, "ResolvedRefs") == resolved
    assert condition(found, "Programmed")[0] == ("True" if kinds else "False")


def test_a_gateway_is_accepted_as_long_as_one_listener_is() -> None:
    unknown = listener("odd", 81, "acme.example/quic")
    found = routed(gateway(listener(), unknown))
    assert condition(of_gateway(found), "Accepted") == ("True", "ListenersNotValid")
    assert condition(of_listener(found, "odd"), "Accepted") == ("False", "UnsupportedProtocol")
    alone = routed(gateway(unknown))
    assert condition(of_gateway(alone), "Accepted") == ("False", "ListenersNotValid")
    assert condition(of_gateway(alone), "Programmed") == ("False", "Invalid")
    assert not alone.fronts


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (("HTTP", {}), ("HTTP", {"hostname": "a.example"}), ""),
        (("HTTP", {}), ("TCP", {}), "ProtocolConflict"),
        (("HTTP", {}), ("HTTPS", {"tls": _CERTIFICATE}), "ProtocolConflict"),
        (("HTTP", {}), ("UDP", {}), ""),
        (("TCP", {}), ("UDP", {}), ""),
        (("TCP", {}), ("TLS", {"tls": _TLS}), "ProtocolConflict"),
        (("HTTPS", {"tls": _CERTIFICATE}), ("TLS", {"tls": _TLS}), "ProtocolConflict"),
        (
            ("HTTPS", {"tls": _CERTIFICATE, "hostname": "a.example"}),
            ("TLS", {"tls": _TLS, "hostname": "b.example"}),
            "",
        ),
    ],
)
def test_conflicts_within_a_gateway_hit_both(one: Any, other: Any, reason: str) -> None:
    listeners = [
        listener(name, 90, kind, **more) for name, (kind, more) in (("a", one), ("b", other))
    ]
    found = routed(gateway(listener(), *listeners))
    for name in "ab":
        said = of_listener(found, name)
        expected = ("True", reason) if reason else ("False", "NoConflicts")
        assert condition(said, "Conflicted") == expected
        if reason:
            assert condition(said, "Accepted") == ("False", "Invalid")
            assert condition(said, "Programmed")[0] == "False"
    assert ("gateway/shop/gw/90" in found.fronts) == (not reason)
    assert condition(of_gateway(found), "Accepted") == (
        ("True", "ListenersNotValid") if reason else ("True", "Accepted")
    )


def test_overlapping_names_on_a_port_are_told() -> None:
    names = {"foo": "foo.example.com", "bar": "bar.bar.example.com", "wild": "*.example.com"}
    names["other"] = "example.com"
    listeners = [
        listener(name, 443, "HTTPS", hostname=host, tls=_CERTIFICATE)
        for name, host in names.items()
    ]
    apart = listener("apart", 444, "HTTPS", hostname="foo.example.com", tls=_CERTIFICATE)
    found = routed(gateway(*listeners, apart))
    for name in ("foo", "bar", "wild"):
        said = condition(of_listener(found, name), "OverlappingTLSConfig")
        assert said == ("True", "OverlappingHostnames")
    for name in ("other", "apart"):
        assert condition(of_listener(found, name), "OverlappingTLSConfig") == ("", "")


@pytest.mark.parametrize(
    ("namespaces", "namespace", "allowed"),
    [
        (None, "shop", False),
        ({"from": "None"}, "shop", False),
        ({"from": "Same"}, "shop", True),
        ({"from": "Same"}, "away", False),
        ({"from": "All"}, "away", True),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "x"}}}, "away", True),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "y"}}}, "away", False),
        ({"from": "Selector"}, "away", False),
    ],
)
def test_who_may_add_listeners(namespaces: Any, namespace: str, allowed: bool) -> None:
    spec = {} if namespaces is None else {"allowedListeners": {"namespaces": namespaces}}
    labelled = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "away", "labels": {"team": "x"}},
    }
    more = listener_set("more", listener("b", 8080), namespace=namespace)
    found = routed(gateway(listener(), **spec), more, labelled)
    said = of_set(found, "more", namespace)
    assert condition(said, "Accepted") == (
        ("True", "Accepted") if allowed else ("False", "NotAllowed")
    )
    assert of_gateway(found)["attachedListenerSets"] == int(allowed)
    assert ("gateway/shop/gw/8080" in found.fronts) == allowed


def test_an_earlier_object_keeps_its_listeners() -> None:
    found = routed(
        gateway(listener(hostname="a.example"), allowedListeners={"namespaces": {"from": "Same"}}),
        listener_set(
            "young", listener("x", hostname="b.example"), listener("y", hostname="c.example"),
            created="2024-02-01T00:00:00Z",
        ),
        listener_set(
            "old", listener("x", hostname="a.example"), listener("y", hostname="b.example"),
            created="2024-01-01T00:00:00Z",
        ),
        listener_set("worst", listener("x", 80, "TCP"), created="2023-01-01T00:00:00Z"),
    )  # fmt: skip
    assert condition(of_listener(found, "http"), "Conflicted") == ("False", "NoConflicts")

    def entries(name: str) -> dict[str, tuple[str, str]]:
        listed = of_set(found, name)["listeners"]
        return {item["name"]: condition(item, "Conflicted") for item in listed}

    lost, kept = ("True", "HostnameConflict"), ("False", "NoConflicts")
    assert entries("old") == {"x": lost, "y": kept}
    assert entries("young") == {"x": lost, "y": kept}
    assert entries("worst") == {"x": ("True", "ProtocolConflict")}
    assert condition(of_set(found, "old"), "Accepted") == ("True", "ListenersNotValid")
    assert condition(of_set(found, "old"), "Programmed") == ("True", "Programmed")
    assert condition(of_set(found, "worst"), "Accepted") == ("False", "ListenersNotValid")
    assert condition(of_set(found, "worst"), "Programmed") == ("False", "ListenersNotValid")
    assert of_gateway(found)["attachedListenerSets"] == 2
    names = [server.name for server in front(found).servers]
    assert names == ["http", "shop/old/y", "shop/young/y"]


def test_thousands_of_listeners_are_told_apart_in_time() -> None:
    sets = [
        listener_set(f"s{number}", *(
            listener(f"l{index}", 443, "HTTPS", hostname=f"h{index}.s{number}.example",
                     tls=_CERTIFICATE)
            for index in range(64)
        ))
        for number in range(32)
    ]  # fmt: skip
    world = world_of(gateway(listener(), allowedListeners={"namespaces": {"from": "Same"}}), *sets)
    began = time.process_time()
    (owned,) = owned_gateways(world).values()
    assert time.process_time() - began < 1  # about 0.05 on a quiet machine
    assert all(spot.accepted.holds for spot in owned.all_spots())
