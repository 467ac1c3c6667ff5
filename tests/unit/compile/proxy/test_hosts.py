"""Who answers for a hostname, on a port of several servers."""

from __future__ import annotations

import pytest

from tulle.compile.proxy.hosts import covers, owner_of, shares_behind, shares_of
from tulle.model.routing import Server, VirtualHost


def server(name: str, hostname: str, *hosts: str) -> Server:
    return Server(name, hostname, hosts=tuple(map(VirtualHost, hosts)))


@pytest.mark.parametrize(
    ("hostname", "name", "expected"),
    [
        ("", "a.example", True),
        ("", "*", True),
        ("a.example", "a.example", True),
        ("a.example", "b.example", False),
        ("*.example", "a.example", True),
        ("*.example", "a.b.example", True),
        ("*.example", "*.example", True),
        ("*.example", "*.a.example", True),
        ("*.example", "example", False),
        ("*.example", "aexample", False),
        ("*.a.example", "*.example", False),
        ("*.example", "*", False),
        ("a.example", "*.example", False),
    ],
)
def test_covers(hostname: str, name: str, expected: bool) -> None:
    assert covers(hostname, name) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.b.example", "exact"),
        ("c.b.example", "longer"),
        ("c.example", "shorter"),
        ("example", "any"),
        ("*.b.example", "longer"),
        ("*", "any"),
    ],
)
def test_the_most_specific_owns_it(name: str, expected: str) -> None:
    servers = [
        server("any", ""),
        server("shorter", "*.example"),
        server("longer", "*.b.example"),
        server("exact", "a.b.example"),
    ]
    found = owner_of(name, servers)
    assert found is not None
    assert found.name == expected


def test_nobody_owns_what_nobody_names() -> None:
    assert owner_of("b.example", [server("a", "a.example")]) is None


def shown(shares: object) -> dict[str, str]:
    return {
        share.domain: "routes" if share.host else share.answer
        for share in shares  # type: ignore[attr-defined]
    }


def test_a_route_of_a_less_specific_server_is_no_way_in() -> None:
    """Its host belongs to another one, which answers 404 where it has no route."""
    servers = [
        server("any", "", "*", "a.example", "x.b.example"),
        server("exact", "a.example"),
        server("wide", "*.b.example", "y.b.example"),
    ]
    assert shown(shares_of(servers)) == {
        "*": "routes",
        "a.example": "not found",
        "y.b.example": "routes",
        "*.b.example": "not found",
    }


def test_each_domain_once() -> None:
    servers = [server("one", "a.example", "a.example"), server("two", "a.example", "a.example")]
    assert shown(shares_of(servers)) == {"a.example": "routes"}


def test_behind_tls_the_hosts_of_others_are_misdirected() -> None:
    servers = [
        server("any", "", "*"),
        server("a", "a.example", "a.example"),
        server("wide", "*.example", "b.example"),
    ]
    assert shown(shares_behind(servers[1], servers)) == {
        "a.example": "routes",
        "*": "misdirected",
        "*.example": "misdirected",
    }
    assert shown(shares_behind(servers[0], servers)) == {
        "*": "routes",
        "a.example": "misdirected",
        "*.example": "misdirected",
    }


def test_behind_tls_what_nobody_has_is_not_found() -> None:
    servers = [server("a", "a.example", "a.example"), server("b", "b.example")]
    assert shown(shares_behind(servers[0], servers)) == {
        "a.example": "routes",
        "b.example": "misdirected",
    }
