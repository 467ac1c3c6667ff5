"""HTTPRoute → entries with their precedence.

The order among matches of one hostname is the API's: exact path, longest prefix, method, number of
headers, number of query parameters, then the oldest route, its name, and the place in it. Regular
expressions, which the API leaves open, come after exact paths and before prefixes.
"""

from __future__ import annotations

from collections.abc import Iterable

from tulle.model.gateway_routes import (
    GRPCHeaderMatch,
    GRPCRoute,
    HTTPHeaderMatch,
    HTTPRetry,
    HTTPRoute,
    HTTPRouteMatch,
    HTTPRouteRule,
    SessionPersistenceSpec,
)
from tulle.model.kubernetes import ObjectRef
from tulle.model.references import duration_ms
from tulle.model.routing import (
    RequestMatch,
    Retry,
    Rule,
    SessionPersistence,
    TextMatch,
    ValueMatch,
)

from ..parts import digest64
from .backends import Backends
from .facts import Asking
from .filters import destinations_of, filters_of
from .forms import Entry, Form, Order, ref_and_age
from .grants import Referrer

_KINDS = {
    "Exact": TextMatch.EXACT,
    "PathPrefix": TextMatch.PREFIX,
    "RegularExpression": TextMatch.REGEX,
}
_LONGEST_BACKOFF_MS = 3_600_000  # Envoy multiplies it, and cannot count beyond 292 years
_PATH_ORDER = (TextMatch.EXACT, TextMatch.REGEX, TextMatch.PREFIX)


def http_form(route: HTTPRoute, asking: Asking) -> Form:
    ref, age = ref_and_age(route)
    backends = Backends(asking, Referrer(route.kind, route.metadata.namespace), "HTTP")
    entries = []
    for index, rule in enumerate(route.spec.rules):
        made = _rule(rule, ref, index, backends)
        for number, match in enumerate(rule.matches or (HTTPRouteMatch(),)):
            request = request_match(match)
            order = (*_order(request), age, index, number)
            entries.append(Entry(order, request, made))
    return form_of(route, ref, entries, backends, asking)


def form_of(
    route: HTTPRoute | GRPCRoute,
    ref: ObjectRef,
    entries: list[Entry],
    backends: Backends,
    asking: Asking,
) -> Form:
    """With its entries in order of precedence."""
    return Form(
        route,
        ref,
        route.spec.hostnames or ("",),
        tuple(sorted(entries, key=lambda entry: entry.order)),
        resolved=backends.resolved,
        services=frozenset(backends.services),
        answers=asking.answers,
    )


def _order(match: RequestMatch) -> Order:
    return (
        _PATH_ORDER.index(match.path_kind),
        -len(match.path),
        not match.method,
        -len(match.headers),
        -len(match.query),
    )


def request_match(match: HTTPRouteMatch) -> RequestMatch:
    """A slash at the end of a prefix means nothing."""
    kind, path = _KINDS[match.path.type], match.path.value
    if kind is TextMatch.PREFIX:
        path = path.rstrip("/") or "/"
    return RequestMatch(
        path,
        kind,
        match.method,
        header_matches(match.headers),
        tuple(ValueMatch(item.name, item.value, _KINDS[item.type]) for item in match.query_params),
    )


def header_matches(
    headers: Iterable[HTTPHeaderMatch | GRPCHeaderMatch],
) -> tuple[ValueMatch, ...]:
    """Of equivalent names only the first counts."""
    found: dict[str, ValueMatch] = {}
    for item in headers:
        name = item.name.lower()
        found.setdefault(name, ValueMatch(name, item.value, _KINDS[item.type]))
    return tuple(found.values())


def _rule(rule: HTTPRouteRule, route: ObjectRef, index: int, backends: Backends) -> Rule:
    filters = filters_of(rule.filters, route, backends)
    if filters is None:
        return Rule(route, index, rule.name)
    times = rule.timeouts
    return Rule(
        route,
        index,
        rule.name,
        filters,
        destinations_of(rule.backend_refs, route, backends),
        timeout_ms=duration_ms(times.request) if times.request else None,
        backend_timeout_ms=duration_ms(times.backend_request) if times.backend_request else None,
        retry=_retry(rule.retry) if rule.retry else None,
        session=session_of(rule.session_persistence, route, index),
    )


def _retry(retry: HTTPRetry) -> Retry:
    return Retry(
        1 if retry.attempts is None else retry.attempts,
        retry.codes,
        min(duration_ms(retry.backoff), _LONGEST_BACKOFF_MS),
    )


def session_of(
    session: SessionPersistenceSpec | None, route: ObjectRef, index: int
) -> SessionPersistence | None:
    """A cookie without a name gets one that no other rule's has."""
    if session is None:
        return None
    if session.header is not None:
        return SessionPersistence("Header", session.header.name)
    cookie = session.cookie
    own = digest64(f"{route}/{index}".encode())
    lasts = cookie is not None and cookie.lifetime_type == "Permanent"
    return SessionPersistence(
        "Cookie",
        (cookie.name if cookie else "") or f"tulle-{own:016x}",
        lifetime_s=-(-duration_ms(session.absolute_timeout) // 1000) if lasts else 0,
        path=cookie.path if cookie else "/",
    )
