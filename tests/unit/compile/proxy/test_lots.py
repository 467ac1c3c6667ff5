"""Rules of which one backend is redirected or rewritten become routes that draw lots."""

from __future__ import annotations

from dataclasses import replace

from tulle.compile.proxy.fields import fraction
from tulle.compile.proxy.lots import drawn
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import (
    Destination,
    Filters,
    HeaderEdit,
    Mirror,
    PathChange,
    Redirect,
    Rewrite,
    Rule,
)

ROUTE = ObjectRef("HTTPRoute", "shop", "web")
PATH = Rewrite("inner.test", PathChange("/new", False))


def to(name: str, weight: int = 1, **fields: Filters) -> Destination:
    return Destination(("shop", name), 80, weight, **fields)  # type: ignore[arg-type]


def test_other_rules_stay_one_route() -> None:
    host = Filters(rewrite=Rewrite("inner.test"), request=HeaderEdit(remove=("x",)))
    for made in (
        Rule(ROUTE, 0),
        Rule(ROUTE, 0, destinations=(to("one"), to("two", filters=host))),
        Rule(
            ROUTE, 0, destinations=(replace(to("one", filters=Filters(rewrite=PATH)), broken="x"),)
        ),
    ):
        assert list(drawn(made)) == [(made, {})]


def test_a_route_takes_what_is_below_its_share_and_those_before() -> None:
    own = Filters(rewrite=PATH, request=HeaderEdit(remove=("x",)))
    backends = (to("one", 5), to("two", 3, filters=own), to("none", 0), to("three", 2))
    routes = list(drawn(Rule(ROUTE, 0, destinations=backends)))
    assert [chance for _, chance in routes] == [
        {"runtime_fraction": fraction(5, 10)},
        {"runtime_fraction": fraction(8, 10)},
        {},
    ]
    one, two, three = (rule for rule, _ in routes)
    assert (one.destinations, three.destinations) == ((backends[0],), (backends[3],))
    assert (one.filters.rewrite, two.filters.rewrite) == (None, PATH)
    assert two.destinations[0].filters == Filters(request=HeaderEdit(remove=("x",)))


def test_a_backend_that_is_mirrored() -> None:
    both = Mirror(to("every")), Mirror(to("own"))
    own = to("one", filters=Filters(mirrors=both[1:]))
    rule = Rule(ROUTE, 0, filters=Filters(mirrors=both[:1]), destinations=(own, to("two")))
    first, second = (part for part, _ in drawn(rule))
    assert (first.filters.mirrors, second.filters.mirrors) == (both, both[:1])


def test_a_backend_that_is_redirected() -> None:
    away = Redirect(hostname="new.test")
    both = (to("one", filters=Filters(redirect=away)), to("two"))
    first, second = (rule for rule, _ in drawn(Rule(ROUTE, 0, destinations=both)))
    assert (first.filters.redirect, second.filters.redirect) == (away, None)
