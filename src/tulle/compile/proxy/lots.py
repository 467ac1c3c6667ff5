"""Rules of which one backend alone is redirected, mirrored, or gets another path.

Envoy has that for whole routes only. So such a rule becomes a route for each backend, and requests
draw lots. A request draws once: each route takes those below the sum of its own share and of all
before it, the last what is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tulle.model.routing import Destination, Filters, Rule

from .fields import Fields, fraction
from .targets import live


def drawn(rule: Rule) -> Iterator[tuple[Rule, Fields]]:
    """What of the rule is a route of its own, and what its RouteMatch has besides the rule's."""
    destinations = live(rule.destinations)
    if rule.filters.redirect is not None or not any(map(_needs_a_route, destinations)):
        yield rule, {}
        return
    total, below = sum(item.weight for item in destinations), 0
    for item in destinations:
        below += item.weight
        chance = {} if below == total else {"runtime_fraction": fraction(below, total)}
        yield _alone(rule, item), chance


def _needs_a_route(destination: Destination) -> bool:
    """What cannot be reached is answered 500, whatever its filters."""
    filters = destination.filters
    if filters is None or destination.broken:
        return False
    has_path = filters.rewrite is not None and filters.rewrite.path is not None
    is_moved = filters.redirect is not None or has_path
    return is_moved or filters.authorization is not None or bool(filters.mirrors)


def _alone(rule: Rule, destination: Destination) -> Rule:
    """The rule with one destination, whose own filters are the rule's where Envoy wants them."""
    if not _needs_a_route(destination):
        return replace(rule, destinations=(destination,))
    own = destination.filters or Filters()
    common = replace(
        rule.filters,
        redirect=own.redirect,
        rewrite=own.rewrite or rule.filters.rewrite,
        mirrors=(*rule.filters.mirrors, *own.mirrors),
    )
    kept = replace(own, redirect=None, rewrite=None, mirrors=())
    return replace(rule, filters=common, destinations=(replace(destination, filters=kept),))
