"""Which rule a request meets, as the Gateway API words it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from tulle.compile.explain.requests import (
    Request,
    best_hostname,
    changed_path,
    covers,
    front_at,
    front_of,
    location,
    matches,
    meet,
)
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import (
    Destination,
    Filters,
    Front,
    PathChange,
    Redirect,
    RequestMatch,
    Routing,
    Rule,
    Server,
    Stream,
    TextMatch,
    ValueMatch,
    VirtualHost,
)

ROUTE = ObjectRef("HTTPRoute", "shop", "web")
GATEWAY = ObjectRef("Gateway", "shop", "front")
VIP = ip_address("192.0.2.10")


def rule(index: int) -> Rule:
    return Rule(ROUTE, index)


def front(*servers: Server, port: int = 80) -> Front:
    name = f"gateway/shop/front/{port}"
    return Front(name, GATEWAY, ("shop", "tulle-gateway-front"), (VIP,), port, servers=servers)


def test_the_first_match_of_the_most_specific_host_is_taken() -> None:
    exact = VirtualHost(
        "www.shop.test",
        (
            (RequestMatch("/cart", TextMatch.EXACT), rule(0)),
            (RequestMatch("/"), rule(1)),
            (RequestMatch("/never"), rule(2)),
        ),
    )
    wild = VirtualHost("*.shop.test", ((RequestMatch("/"), rule(3)),))
    found = front(Server("web", hosts=(wild, exact)))

    def met(host: str, path: str) -> int | None:
        rule = meet(found, Request(path=path, host=host)).rule
        return rule.index if rule else None

    assert met("www.shop.test", "/cart") == 0
    assert met("WWW.shop.test", "/cart/1") == 1
    assert met("www.shop.test", "/never") == 1
    assert met("a.b.shop.test", "/cart") == 3
    assert met("shop.test", "/cart") is None


def test_only_the_most_specific_listener_answers() -> None:
    hosts = (VirtualHost("*", ((RequestMatch("/"), rule(0)),)),)
    found = front(Server("any", hosts=hosts), Server("empty", "www.shop.test"))
    assert meet(found, Request(host="www.shop.test")).rule is None
    assert meet(found, Request(host="www.shop.test")).server == found.servers[1]
    assert meet(found, Request(host="other.test")).rule == rule(0)


def test_a_connection_is_passed_on_by_its_name() -> None:
    to = (Destination(("shop", "tls"), 443),)
    exact, any_name = Stream(to, ROUTE, 0, ("tls.shop.test",)), Stream(to, ROUTE, 1)
    found = front(Server("tls", protocol="TLS", streams=(exact, any_name)))
    assert meet(found, Request(host="tls.shop.test")).stream is exact
    assert meet(found, Request(host="other.test")).stream is any_name


def test_a_front_is_found_by_address_and_by_service() -> None:
    one, two = front(), front(port=443)
    routing = Routing({item.name: item for item in (one, two)})
    assert front_at(routing, VIP, 443, "TCP") is two
    assert front_at(routing, VIP, 443, "UDP") is None
    assert front_at(routing, ip_address("192.0.2.11"), 443, "TCP") is None
    assert front_of(routing, ("shop", "tulle-gateway-front"), 80, "TCP") is one
    assert front_of(routing, ("shop", "tulle-gateway-front"), 81, "TCP") is None


@pytest.mark.parametrize(
    ("match", "request_", "held"),
    [
        (RequestMatch("/a"), Request(path="/a"), True),
        (RequestMatch("/a"), Request(path="/a?x=1"), True),
        (RequestMatch("/a"), Request(path="/a/b"), True),
        (RequestMatch("/a"), Request(path="/ab"), False),
        (RequestMatch("/a/"), Request(path="/a"), True),
        (RequestMatch("/"), Request(path="/x"), True),
        (RequestMatch("/a", TextMatch.EXACT), Request(path="/a/"), False),
        (RequestMatch("/[a-c]+", TextMatch.REGEX), Request(path="/abc"), True),
        (RequestMatch("/[a-c]+", TextMatch.REGEX), Request(path="/abcd"), False),
        (RequestMatch(r"/\pN+", TextMatch.REGEX), Request(path="/12"), True),  # RE2's alone
        (RequestMatch("/(a+)+", TextMatch.REGEX), Request(path="/" + "a" * 99 + "b"), False),
        (RequestMatch(method="PUT"), Request("PUT"), True),
        (RequestMatch(method="PUT"), Request("GET"), False),
    ],
)
def test_paths_and_methods(match: RequestMatch, request_: Request, held: bool) -> None:
    assert matches(match, request_) is held


@pytest.mark.parametrize(
    ("match", "held"),
    [
        (ValueMatch("X-Tier", "gold"), True),
        (ValueMatch("x-tier", "silver"), False),
        (ValueMatch("x-tier", "go.d", TextMatch.REGEX), True),
        (ValueMatch("x-tier", "go", TextMatch.REGEX), False),
        (ValueMatch("x-tier", kind=TextMatch.PRESENT), True),
        (ValueMatch("x-none", kind=TextMatch.PRESENT), False),
        (ValueMatch("x-two", "1,2"), True),
        (ValueMatch("host", "shop.test"), True),
    ],
)
def test_headers(match: ValueMatch, held: bool) -> None:
    headers = (("X-tier", "gold"), ("X-Two", "1"), ("x-two", "2"))
    asked = Request(host="shop.test", headers=headers)
    assert matches(RequestMatch(headers=(match,)), asked) is held


@pytest.mark.parametrize(
    ("query", "held"), [("id=1", True), ("id=2&id=1", False), ("ID=1", False), ("", False)]
)
def test_the_first_parameter_of_a_name_counts(query: str, held: bool) -> None:
    match = RequestMatch(query=(ValueMatch("id", "1"),))
    assert matches(match, Request(path=f"/?{query}")) is held


def test_hostnames() -> None:
    assert covers("*.shop.test", "a.b.shop.test")
    assert not covers("*.shop.test", ".shop.test")
    assert best_hostname(["", "*.test", "*.shop.test"], "www.shop.test") == "*.shop.test"
    assert best_hostname(["*.a.shop.test", "a.shop.test"], "a.shop.test") == "a.shop.test"
    assert best_hostname(["a.test"], "b.test") is None


@pytest.mark.parametrize(
    ("change", "path", "expected"),
    [
        (None, "/api/v1?x=1", "/api/v1?x=1"),
        (PathChange("/new", False), "/api/v1?x=1", "/new?x=1"),
        (PathChange("/new", True), "/api/v1", "/new/v1"),
        (PathChange("/new/", True), "/api/v1", "/new/v1"),
        (PathChange("/new", True), "/api", "/new"),
        (PathChange("/", True), "/api/v1", "/v1"),
        (PathChange("/", True), "/api", "/"),
    ],
)
def test_paths_are_changed(change: PathChange | None, path: str, expected: str) -> None:
    assert changed_path(change, RequestMatch("/api"), path) == expected


@pytest.mark.parametrize(
    ("redirect", "port", "protocol", "expected"),
    [
        (Redirect(scheme="https"), 80, "HTTP", "https://shop.test/a?b=c"),
        (Redirect(scheme="https", port=8443), 80, "HTTP", "https://shop.test:8443/a?b=c"),
        (Redirect(hostname="new.test"), 8080, "HTTP", "http://new.test:8080/a?b=c"),
        (Redirect(hostname="new.test"), 443, "HTTPS", "https://new.test/a?b=c"),
        (Redirect(path=PathChange("/x", False)), 80, "HTTP", "http://shop.test/x?b=c"),
        (Redirect(scheme="http"), 443, "HTTPS", "http://shop.test/a?b=c"),
    ],
)
def test_where_redirects_lead(redirect: Redirect, port: int, protocol: str, expected: str) -> None:
    made = Rule(ROUTE, 0, filters=Filters(redirect=redirect))
    host = VirtualHost("*", ((RequestMatch("/"), made),))
    found = front(Server("web", protocol=protocol, hosts=(host,)), port=port)  # type: ignore[arg-type]
    asked = Request(path="/a?b=c", host="shop.test")
    assert location(redirect, meet(found, asked), asked) == expected
