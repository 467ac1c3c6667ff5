"""GRPCRoute → entries with their precedence.

A service and a method are a path: /SERVICE/METHOD. Precedence goes by the characters of the
service, then of the method, then by the number of headers.
"""

from __future__ import annotations

import re

from tulle.model.gateway_routes import GRPCMethodMatch, GRPCRoute, GRPCRouteMatch, GRPCRouteRule
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import RequestMatch, Rule, TextMatch

from .backends import Backends
from .facts import Asking
from .filters import destinations_of, filters_of
from .forms import Entry, Form, Order, ref_and_age
from .grants import Referrer
from .http import form_of, header_matches, session_of

_ANY = "[^/]+"


def grpc_form(route: GRPCRoute, asking: Asking) -> Form:
    ref, age = ref_and_age(route)
    backends = Backends(asking, Referrer(route.kind, route.metadata.namespace), "GRPC")
    entries = []
    for index, rule in enumerate(route.spec.rules):
        made = _rule(rule, ref, index, backends)
        for number, match in enumerate(rule.matches or (GRPCRouteMatch(),)):
            order = (*_order(match), age, index, number)
            entries.append(Entry(order, _request_match(match), made))
    return form_of(route, ref, entries, backends, asking)


def _order(match: GRPCRouteMatch) -> Order:
    method = match.method or GRPCMethodMatch()
    exact = method.type == "Exact"
    return not exact, -len(method.service), -len(method.method), -len(match.headers)


def _request_match(match: GRPCRouteMatch) -> RequestMatch:
    path, kind = path_of(match.method or GRPCMethodMatch())
    return RequestMatch(path, kind, headers=header_matches(match.headers))


def path_of(match: GRPCMethodMatch) -> tuple[str, TextMatch]:
    """Of the requests that are meant."""
    service, method = match.service, match.method
    if match.type == "RegularExpression":
        return f"/{_group(service)}/{_group(method)}", TextMatch.REGEX
    if service and method:
        return f"/{service}/{method}", TextMatch.EXACT
    if service:
        return f"/{service}", TextMatch.PREFIX
    if method:
        return f"/{_ANY}/{re.escape(method)}", TextMatch.REGEX
    return "/", TextMatch.PREFIX


def _group(pattern: str) -> str:
    return f"(?:{pattern})" if pattern else _ANY


def _rule(rule: GRPCRouteRule, route: ObjectRef, index: int, backends: Backends) -> Rule:
    filters = filters_of(rule.filters, route, backends)
    if filters is None:
        return Rule(route, index, rule.name)
    destinations = destinations_of(rule.backend_refs, route, backends)
    session = session_of(rule.session_persistence, route, index)
    return Rule(route, index, rule.name, filters, destinations, session=session)
