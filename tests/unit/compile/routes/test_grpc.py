from typing import Any

import pytest

from tests.unit.compile.routes.worlds import (
    GATEWAY,
    a_route,
    condition,
    hosts,
    http_route,
    of_listener,
    of_route,
    order,
    routed,
)
from tulle.model.routing import AppProtocol, TextMatch

_TO = {"backendRefs": [{"name": "web", "port": 80}]}


def grpc(name: str = "r", *matches: dict[str, Any], **spec: Any) -> dict[str, Any]:
    rules = [{"matches": [match] if match else [], **_TO} for match in matches or ({},)]
    return a_route("GRPCRoute", name, rules=rules, **spec)


def method(service: str = "", name: str = "", kind: str = "Exact") -> dict[str, Any]:
    given = {"service": service, "method": name}
    return {"method": {"type": kind, **{key: text for key, text in given.items() if text}}}


@pytest.mark.parametrize(
    ("match", "path", "kind"),
    [
        ({}, "/", TextMatch.PREFIX),
        (method("a.B", "Get"), "/a.B/Get", TextMatch.EXACT),
        (method("a.B"), "/a.B", TextMatch.PREFIX),
        (method("", "Get"), "/[^/]+/Get", TextMatch.REGEX),
        (method("a.*", "G.t", "RegularExpression"), "/(?:a.*)/(?:G.t)", TextMatch.REGEX),
        (method("a.*", "", "RegularExpression"), "/(?:a.*)/[^/]+", TextMatch.REGEX),
    ],
)
def test_a_method_is_a_path(match: dict[str, Any], path: str, kind: TextMatch) -> None:
    ((found, rule),) = hosts(routed(GATEWAY, grpc("r", match)))["*"].entries
    assert (found.path, found.path_kind) == (path, kind)
    assert rule.destinations[0].protocol is AppProtocol.HTTP2


def test_precedence() -> None:
    found = routed(
        GATEWAY,
        grpc(
            "r",
            {},
            method("", "Get"),
            {"headers": [{"name": "x", "value": "1"}]},
            method("a.B"),
            method("a.B", "Get"),
            method("a.Longer"),
        ),
    )
    assert order(hosts(found)["*"]) == [f"r/{index}" for index in (5, 4, 3, 1, 2, 0)]


@pytest.mark.parametrize("older", ["GRPCRoute", "HTTPRoute"])
def test_of_two_kinds_with_a_hostname_in_common_the_older_route_stays(older: str) -> None:
    times = {older: "2024-01-01T00:00:00Z"}
    later = "2024-02-01T00:00:00Z"
    found = routed(
        GATEWAY,
        grpc("g", hostnames=["*.example"], created=times.get("GRPCRoute", later)),
        http_route(
            "h", hostnames=["a.example"], rules=[_TO], created=times.get("HTTPRoute", later)
        ),
        http_route("other", hostnames=["b.other"], rules=[_TO], created=later),
    )
    said = {
        "GRPCRoute": condition(of_route(found, "g", "GRPCRoute"), "Accepted"),
        "HTTPRoute": condition(of_route(found, "h"), "Accepted"),
    }
    assert said.pop(older) == ("True", "Accepted")
    assert set(said.values()) == {("False", "HostnameConflict")}
    assert condition(of_route(found, "other"), "Accepted") == ("True", "Accepted")
    assert of_listener(found, "http")["attachedRoutes"] == 2
