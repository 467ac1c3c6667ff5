"""What is done to a rule's requests before they are routed: tokens, authorization, faults.

A route brings its own chain of filters along. So one bad set of keys takes no other route down, a
new policy changes no listener, and there is nothing that has to arrive before something else.
"""

from __future__ import annotations

from collections.abc import Iterator

from tulle import xds
from tulle.model.routing import ExternalAuthorization, Rule

from .authorization import authorization_filter, target_of_authorization
from .faults import fault_filter
from .fields import Fields, extension
from .targets import Scene, Target, live
from .tokens import targets_of_tokens, token_filter

FILTER = "envoy.filters.http.filter_chain"

_TYPES = "envoy.extensions.filters.http.filter_chain.v3"


def idle() -> Fields:
    """The filter as it stands in every chain."""
    return xds.any_of(f"{_TYPES}.FilterChainConfig")


def chain_of(rule: Rule, scene: Scene) -> Fields:
    """Per-filter configuration of a route, by name; empty if nothing is done."""
    filters = [extension(name, config) for name, config in _filters(rule, scene)]
    if not filters:
        return {}
    chain: Fields = {"filters": filters}
    return {FILTER: xds.any_of(f"{_TYPES}.FilterChainConfigPerRoute", filter_chain=chain)}


def targets_of_guards(rule: Rule, scene: Scene) -> Iterator[Target]:
    """Whom they ask."""
    if rule.policies.tokens is not None:
        yield from targets_of_tokens(rule.policies.tokens, scene)
    for authorization in _authorizations(rule):
        if (target := target_of_authorization(authorization, scene)) is not None:
            yield target


def _authorizations(rule: Rule) -> Iterator[ExternalAuthorization]:
    """The policy's, then the route's own, then that of its backend (GEP-1494)."""
    reached = (item.filters for item in live(rule.destinations) if not item.broken)
    filters = (rule.filters, *(item for item in reached if item is not None))
    for authorization in (rule.policies.authorization, *(item.authorization for item in filters)):
        if authorization is not None:
            yield authorization


def _filters(rule: Rule, scene: Scene) -> Iterator[tuple[str, Fields]]:
    """Who may not pass is told so before anything is done on purpose."""
    if rule.policies.tokens is not None:
        yield "tokens", token_filter(rule.policies.tokens, scene)
    for index, authorization in enumerate(_authorizations(rule)):
        yield f"authorization-{index}", authorization_filter(authorization, scene)
    if rule.policies.fault is not None:
        yield "fault", fault_filter(rule.policies.fault)
