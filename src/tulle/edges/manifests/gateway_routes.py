"""Rules of the Gateway API's routes: those of the CRDs' CEL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import TypeVar

import msgspec

from tulle.compile import regex
from tulle.compile.routes.grpc import path_of
from tulle.model.gateway_routes import (
    GRPCMethodMatch,
    GRPCRoute,
    GRPCRouteMatch,
    GRPCRouteRule,
    HTTPHeaderMatch,
    HTTPPathMatch,
    HTTPQueryParamMatch,
    HTTPRoute,
    HTTPRouteMatch,
    HTTPRouteRule,
    HTTPTimeouts,
    Route,
    SessionPersistenceSpec,
    TLSRoute,
)
from tulle.model.references import ParentReference, duration_ms

from .fields import FieldError, quote
from .gateway import check_unique
from .http_filters import check_backend, check_filters, replaces_prefix
from .syntax import check_visible

R = TypeVar("R", bound=Route)
Rules = Sequence[HTTPRouteRule | GRPCRouteRule]

_MAX_MATCHES = 128
_PATH = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+")
_GRPC_SERVICE = re.compile(r"\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*", re.IGNORECASE)
_GRPC_METHOD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F", "#")
_NOT_AT_THE_END = ("/..", "/.")


def validate_route(route: R) -> R:
    """A status is dropped: Tulle says its own."""
    _check_parents(route.spec.parent_refs)
    if isinstance(route, HTTPRoute):
        _check_rules(route.spec.rules)
        for index, rule in enumerate(route.spec.rules):
            _check_http_rule(rule, "spec", "rules", index)
    elif isinstance(route, GRPCRoute):
        _check_rules(route.spec.rules)
        for number, grpc in enumerate(route.spec.rules):
            _check_grpc_rule(grpc, "spec", "rules", number)
    else:
        for position, ref in enumerate(route.spec.rules[0].backend_refs):
            check_backend(ref, "spec", "rules", 0, "backendRefs", position)
        if isinstance(route, TLSRoute):
            _check_server_names(route)
    return msgspec.structs.replace(route, status=None)


def _check_parents(refs: Sequence[ParentReference]) -> None:
    """Several references to one parent must be told apart by the same of sectionName and port."""
    path = ("spec", "parentRefs")
    for index, ref in enumerate(refs):
        for other in refs[:index]:
            if _parent(ref) != _parent(other):
                continue
            if (ref.section_name, ref.port) == (other.section_name, other.port):
                reason = "names the same parent, sectionName and port as an earlier one"
                raise FieldError(reason, *path, index)
            if bool(ref.section_name) != bool(other.section_name) or (
                (ref.port is None) != (other.port is None)
            ):
                field = "sectionName" if ref.port is None and other.port is None else "port"
                reason = "must be given in all references to one parent, or in none"
                raise FieldError(reason, *path, index, field)


def _parent(ref: ParentReference) -> tuple[str, str, str, str]:
    return ref.group, ref.kind, ref.namespace, ref.name


def _check_server_names(route: TLSRoute) -> None:
    if not route.spec.hostnames and not route.api_version.endswith("/v1alpha2"):
        raise FieldError("needs at least one item", "spec", "hostnames")
    for index, name in enumerate(route.spec.hostnames):
        try:
            ip_address(name)
        except ValueError:
            continue
        raise FieldError(f"{quote(name)} is an IP address", "spec", "hostnames", index)


def _check_rules(rules: Rules) -> None:
    matches = sum(len(rule.matches) for rule in rules)
    if matches > _MAX_MATCHES:
        raise FieldError(f"hold {matches} matches, more than {_MAX_MATCHES}", "spec", "rules")
    seen: dict[str, int] = {}
    for index, rule in enumerate(rules):
        if rule.name and index != (first := seen.setdefault(rule.name, index)):
            reason = f"is the same as that of rules[{first}]"
            raise FieldError(reason, "spec", "rules", index, "name")


def _check_http_rule(rule: HTTPRouteRule, *path: str | int) -> None:
    for index, match in enumerate(rule.matches):
        _check_http_match(match, *path, "matches", index)
    check_filters(rule.filters, *path, "filters")
    for index, item in enumerate(rule.filters):
        if item.type == "RequestRedirect" and rule.backend_refs:
            reason = "RequestRedirect leaves nothing to backendRefs"
            raise FieldError(reason, *path, "filters", index, "type")
    prefixed = replaces_prefix(rule.filters)
    for index, ref in enumerate(rule.backend_refs):
        check_backend(ref, *path, "backendRefs", index)
        check_filters(ref.filters, *path, "backendRefs", index, "filters")
        prefixed = prefixed or replaces_prefix(ref.filters)
    if prefixed and [match.path.type for match in rule.matches] != ["PathPrefix"]:
        reason = "replacePrefixMatch needs exactly one match, with a path of type PathPrefix"
        raise FieldError(reason, *path, "matches")
    _check_times(rule.timeouts, *path, "timeouts")
    if (retry := rule.retry) is not None and len(set(retry.codes)) != len(retry.codes):
        raise FieldError("must not name one twice", *path, "retry", "codes")
    if rule.session_persistence is not None:
        check_session(rule.session_persistence, *path, "sessionPersistence")


def _check_http_match(match: HTTPRouteMatch, *path: str | int) -> None:
    _check_path(match.path, *path, "path", "value")
    headers = [item.name for item in match.headers]
    check_unique(headers, *path, "headers", field="name")
    check_unique([item.name for item in match.query_params], *path, "queryParams", field="name")
    values: dict[str, Sequence[HTTPHeaderMatch | HTTPQueryParamMatch]] = {
        "headers": match.headers,
        "queryParams": match.query_params,
    }
    for name, items in values.items():
        for index, item in enumerate(items):
            if item.type == "RegularExpression":
                _check_regex(item.value, *path, name, index, "value")


def _check_path(match: HTTPPathMatch, *path: str | int) -> None:
    text = match.value
    if match.type == "RegularExpression":
        _check_regex(text, *path)
        return
    if not text.startswith("/"):
        raise FieldError(f"{quote(text)} must start with /", *path)
    for part in _NOT_IN_PATHS:
        if part in text:
            raise FieldError(f"{quote(text)} must not contain {quote(part)}", *path)
    for part in _NOT_AT_THE_END:
        if text.endswith(part):
            raise FieldError(f"{quote(text)} must not end with {quote(part)}", *path)
    if not _PATH.fullmatch(text):
        raise FieldError(f"{quote(text)} holds characters that a path cannot have", *path)


def _check_regex(text: str, *path: str | int) -> None:
    if reason := regex.problem(text):
        raise FieldError(f"{quote(text)} {reason}", *path)


def _check_times(times: HTTPTimeouts, *path: str | int) -> None:
    if not times.request or not times.backend_request:
        return
    whole, part = duration_ms(times.request), duration_ms(times.backend_request)
    if whole and part > whole:
        raise FieldError("is longer than request", *path, "backendRequest")


def check_session(session: SessionPersistenceSpec, *path: str | int) -> None:
    for kind, field, given in (
        ("Cookie", "cookie", session.cookie),
        ("Header", "header", session.header),
    ):
        if (given is not None) != (session.type == kind):
            reason = f"needs type {kind}" if given is not None else f"is required for type {kind}"
            raise FieldError(reason, *path, field)
    if session.cookie is not None:
        check_visible(session.cookie.path, *path, "cookie", "path")
    permanent = session.cookie is not None and session.cookie.lifetime_type == "Permanent"
    if permanent and not session.absolute_timeout:
        reason = "is required for a cookie with lifetimeType Permanent"
        raise FieldError(reason, *path, "absoluteTimeout")


def _check_grpc_rule(rule: GRPCRouteRule, *path: str | int) -> None:
    for index, match in enumerate(rule.matches):
        _check_grpc_match(match, *path, "matches", index)
    check_filters(rule.filters, *path, "filters")
    for index, ref in enumerate(rule.backend_refs):
        check_backend(ref, *path, "backendRefs", index)
        check_filters(ref.filters, *path, "backendRefs", index, "filters")
    if rule.session_persistence is not None:
        check_session(rule.session_persistence, *path, "sessionPersistence")


def _check_grpc_match(match: GRPCRouteMatch, *path: str | int) -> None:
    if match.method is not None:
        _check_method(match.method, *path, "method")
    headers = [item.name for item in match.headers]
    check_unique(headers, *path, "headers", field="name")
    for index, item in enumerate(match.headers):
        if item.type == "RegularExpression":
            _check_regex(item.value, *path, "headers", index, "value")


def _check_method(match: GRPCMethodMatch, *path: str | int) -> None:
    if not match.service and not match.method:
        raise FieldError("needs at least one of service and method", *path)
    for name, text, pattern in (
        ("service", match.service, _GRPC_SERVICE),
        ("method", match.method, _GRPC_METHOD),
    ):
        if text and match.type == "RegularExpression":
            _check_regex(text, *path, name)
        elif text and not pattern.fullmatch(text):
            raise FieldError(f"{quote(text)} is not the name of a gRPC {name}", *path, name)
    if match.type == "RegularExpression":
        _check_regex(path_of(match)[0], *path)  # of both, as the proxy gets it
