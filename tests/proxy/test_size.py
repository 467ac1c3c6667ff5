"""A thousand routes: a change of one makes that one anew, and what all cost Envoy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.proxy.client import ask
from tests.proxy.envoy import serving
from tests.proxy.mesh import front, host, rule, services, to, web
from tulle.compile.proxy import Proxied, proxy_image
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Routing, Rule, VirtualHost

COUNT, CHANGES = 1000, 3
MEMORY_MB = 120


def route(number: int, timeout_ms: int = 0) -> Rule:
    """One of a thousand HTTPRoutes, each to a service of its own."""
    name = ObjectRef("HTTPRoute", "shop", f"route-{number}")
    return rule(to(f"s{number}"), origin=name, timeout_ms=timeout_ms)


def of_a_host_each(changed: int = 0) -> list[VirtualHost]:
    return [host((f"/{n}", route(n)), name=f"h{n}.example") for n in range(1, COUNT)] + [
        host(("/0", route(0, changed)), name="h0.example")
    ]


def of_one_host(changed: int = 0) -> list[VirtualHost]:
    return [
        host(*((f"/{n}", route(n, 0 if n else changed)) for n in range(COUNT)), name="a.example")
    ]


PARTS = services({f"s{number}": 1024 + number for number in range(COUNT)})


@pytest.mark.parametrize("hosts", [of_a_host_each, of_one_host])
def test_a_change_of_one(hosts: Callable[[int], list[VirtualHost]]) -> None:
    """The others are the same objects, as with an agent."""
    first = hosts(0)
    edge = front(web(*first), port=80)
    made = proxy_image(Routing({edge.name: edge}), PARTS)
    for number in range(1, CHANGES + 1):
        new = hosts(number)
        if len(new) > 1:
            now = [*first[:-1], new[-1]]
        else:
            now = [VirtualHost("a.example", (new[0].entries[0], *first[0].entries[1:]))]
        other = replace(edge, servers=(web(*now),))
        before, made = made, proxy_image(Routing({edge.name: other}), PARTS, (), made)
        old, all_of_them = routes_of(before), routes_of(made)
        assert len(all_of_them) == COUNT and len(all_of_them.keys() - old.keys()) == 1
        kinds = {kind for kind in made.image if made.image[kind] is not before.image[kind]}
        assert kinds == {"route"}


def routes_of(made: Proxied) -> dict[int, object]:
    """As they were serialised, by their identity."""
    tables = (table for front in made.fronts.values() for _, table in front.tables.values())
    hosts = (host for table in tables for host in table.hosts.values())
    return {id(route): route for host in hosts for _, route in host.entries.values()}


def test_memory(tmp_path: Path) -> None:
    edge = front(web(*of_a_host_each()))
    image = proxy_image(Routing({edge.name: edge}), PARTS).image
    with serving(image, tmp_path) as process:
        assert ask(edge.port, "/7", "h7.example").status == 503  # the route is there
        status = Path(f"/proc/{process}/status").read_text()
        kilobytes = int(status.partition("VmRSS:")[2].split()[0])
    assert kilobytes / 1024 < MEMORY_MB
