"""How the routes of a listener are merged by hostname."""

from tests.unit.compile.routes.worlds import (
    GATEWAY,
    front,
    gateway,
    hosts,
    http_route,
    listener,
    order,
    routed,
    with_paths,
)
from tulle.compile.routes.hosts import Hosts
from tulle.model.routing import Routing


def test_exact_names_then_wildcards_then_any() -> None:
    found = routed(
        GATEWAY,
        http_route("any", rules=with_paths("/")),
        http_route("wide", hostnames=["*.example"], rules=with_paths("/")),
        http_route("wider", hostnames=["*.b.example"], rules=with_paths("/")),
        http_route("one", hostnames=["a.b.example"], rules=with_paths("/")),
    )
    assert list(hosts(found)) == ["a.b.example", "*.b.example", "*.example", "*"]


def test_what_a_more_specific_route_leaves_goes_to_the_next() -> None:
    found = routed(
        GATEWAY,
        http_route("any", rules=with_paths("/long/path")),
        http_route("wide", hostnames=["*.example"], rules=with_paths("/b")),
        http_route("one", hostnames=["a.example"], rules=with_paths("/a")),
    )
    by_name = {name: order(host) for name, host in hosts(found).items()}
    assert by_name == {
        "a.example": ["one/0", "wide/0", "any/0"],
        "*.example": ["wide/0", "any/0"],
        "*": ["any/0"],
    }


def test_the_hostname_of_the_route_decides_not_what_is_left_of_it() -> None:
    """GatewayRouteHostnameIntersectionPrecedence."""
    found = routed(
        gateway(listener(hostname="abc.example.com")),
        http_route("old", created="2024-01-01T00:00:00Z", hostnames=["*.example.com"],
                   rules=with_paths("/long/path")),
        http_route("new", created="2024-02-01T00:00:00Z", hostnames=["abc.example.com"],
                   rules=with_paths("/l")),
    )  # fmt: skip
    assert {name: order(host) for name, host in hosts(found).items()} == {
        "abc.example.com": ["new/0", "old/0"]
    }


def test_hostnames_outside_of_the_listeners_are_ignored() -> None:
    found = routed(
        gateway(listener(hostname="*.example.com")),
        http_route(hostnames=["test.example.com", "test.example.net"], rules=with_paths("/")),
        http_route("any", rules=with_paths("/any")),
    )
    assert list(hosts(found)) == ["test.example.com", "*.example.com"]


def test_a_route_counts_once_for_a_host_that_two_of_its_names_mean() -> None:
    found = routed(GATEWAY, http_route(hostnames=["a.example", "*.example"], rules=with_paths("/")))
    assert order(hosts(found)["a.example"]) == ["r/0"]


def test_what_is_never_reached_is_left_out() -> None:
    found = routed(
        GATEWAY,
        http_route("any", rules=with_paths("/any")),
        http_route("all", hostnames=["a.example"], rules=with_paths("/", "/first")),
        http_route("some", hostnames=["b.example"], rules=with_paths({"method": "GET"})),
    )
    assert order(hosts(found)["a.example"]) == ["all/1", "all/0"]
    assert order(hosts(found)["b.example"]) == ["some/0", "any/0"]


def test_each_listener_has_its_own_routes() -> None:
    """Listener isolation (GEP-3567)."""
    found = routed(
        gateway(listener("all"), listener("one", hostname="a.example")),
        http_route("all", parentRefs=[{"name": "gw", "sectionName": "all"}], rules=with_paths("/")),
        http_route("one", parentRefs=[{"name": "gw", "sectionName": "one"}], rules=with_paths("/")),
    )
    servers = {item.name: item for item in front(found).servers}
    assert {name: item.hostname for name, item in servers.items()} == {
        "all": "",
        "one": "a.example",
    }
    for name, server in servers.items():
        assert [order(host) for host in server.hosts] == [[f"{name}/0"]]


def test_hosts_that_nothing_has_changed_in_are_the_same_objects() -> None:
    first: Routing = routed(GATEWAY, http_route(hostnames=["a.example"], rules=with_paths("/")))
    made = first.memo.hosts  # type: ignore[attr-defined]
    assert isinstance(made, Hosts)
    assert hosts(first)["a.example"] in [host for _, host in made._made.values()]
