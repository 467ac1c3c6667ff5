"""Rules of which one backend alone is redirected, or gets another path.

Envoy has that for whole routes only. So such a rule becomes a route for each backend, and requests
draw lots: the first takes its share, the next its share of the rest, the last what is left.
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
    rest = sum(item.weight for item in destinations)
    for item in destinations:
        is_last = item is destinations[-1]
        chance = {} if is_last else {"runtime_fraction": fraction(item.weight, rest)}
        rest -= item.weight
        yield _alone(rule, item), chance


def _needs_a_route(destination: Destination) -> bool:
    """What cannot be reached is answered 500, whatever its filters."""
    filters = destination.filters
    if filters is None or destination.broken:
        return False
    has_path = filters.rewrite is not None and filters.rewrite.path is not None
    return filters.redirect is not None or has_path or filters.authorization is not None


def _alone(rule: Rule, destination: Destination) -> Rule:
    """The rule with one destination, whose own filters are the rule's where Envoy wants them."""
    if not _needs_a_route(destination):
        return replace(rule, destinations=(destination,))
    own = destination.filters or Filters()
    common = replace(
        rule.filters, redirect=own.redirect, rewrite=own.rewrite or rule.filters.rewrite
    )
    kept = replace(own, redirect=None, rewrite=None)
    return replace(rule, filters=common, destinations=(replace(destination, filters=kept),))
