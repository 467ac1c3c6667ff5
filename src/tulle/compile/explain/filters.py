"""What the rule of a route does to a request, in words."""

from __future__ import annotations

from collections.abc import Iterator

from tulle.model.routing import (
    Destination,
    Filters,
    HeaderEdit,
    Mirror,
    PathChange,
    RequestMatch,
    Rule,
    TextMatch,
    ValueMatch,
)

_SIGNS = {TextMatch.EXACT: "=", TextMatch.PREFIX: "=^", TextMatch.REGEX: "=~"}


def filters_in_words(rule: Rule) -> list[str]:
    return [
        *_filters(rule.filters),
        *(
            f"to {_target(item)}: {words}"
            for item in rule.destinations
            if item.filters
            for words in _filters(item.filters)
        ),
        *_resilience(rule),
    ]


def match_in_words(match: RequestMatch) -> str:
    """
    >>> match_in_words(RequestMatch("/a", method="GET", headers=(ValueMatch("x-tier", "gold"),)))
    'GET path prefix /a, header x-tier=gold'
    """
    kinds = {TextMatch.EXACT: "path", TextMatch.REGEX: "path =~"}
    path = f"{kinds.get(match.path_kind, 'path prefix')} {match.path}"
    values = [f"header {_value(item)}" for item in match.headers]
    values += [f"query {_value(item)}" for item in match.query]
    return ", ".join([f"{match.method} {path}".strip(), *values])


def _value(match: ValueMatch) -> str:
    if match.kind is TextMatch.PRESENT:
        return match.name
    return f"{match.name}{_SIGNS[match.kind]}{match.value}"


def _filters(filters: Filters) -> Iterator[str]:
    yield from _edits("request", filters.request)
    yield from _edits("response", filters.response)
    if filters.rewrite:
        if filters.rewrite.hostname:
            yield f"rewrites the host to {filters.rewrite.hostname}"
        yield from _path("rewrites", filters.rewrite.path)
    if filters.redirect:
        yield f"redirects with {filters.redirect.status}"
    yield from map(_mirror, filters.mirrors)
    if filters.cors:
        yield f"CORS for {', '.join(filters.cors.allow_origins) or 'no origin'}"


def _edits(what: str, edit: HeaderEdit) -> Iterator[str]:
    for verb, values in (("sets", edit.set), ("adds", edit.add)):
        for name, value in values:
            yield f"{verb} {what} header {name}: {value}"
    for name in edit.remove:
        yield f"removes {what} header {name}"


def _path(verb: str, change: PathChange | None) -> Iterator[str]:
    if change:
        yield f"{verb} the path{' prefix' if change.prefix else ''} to {change.value}"


def _mirror(mirror: Mirror) -> str:
    every = mirror.numerator >= mirror.denominator
    share = "" if every else f"{mirror.numerator}/{mirror.denominator} of the requests "
    return f"mirrors {share}to {_target(mirror.destination)}"


def _target(destination: Destination) -> str:
    namespace, name = destination.service
    return f"{namespace}/{name}:{destination.port}"


def _resilience(rule: Rule) -> Iterator[str]:
    times = {"timeout": rule.timeout_ms, "backend timeout": rule.backend_timeout_ms}
    for name, time_ms in times.items():
        if time_ms is not None:
            yield f"{name} {_time(time_ms)}"
    if rule.retry:
        on = ", ".join(map(str, rule.retry.codes)) or "connection errors"
        yield f"retries at most {rule.retry.attempts} × on {on}"
    if rule.session:
        yield f"keeps a client at its backend by {rule.session.kind.lower()} {rule.session.name}"
    held = rule.policies
    for policy in (held.rate_limit, held.tokens, held.authorization, held.fault):
        if policy:
            yield f"under {policy.origin}"
    for item in rule.destinations:
        if item.traffic:
            yield f"to {_target(item)}: under {item.traffic.origin}"


def _time(time_ms: int) -> str:
    return f"{time_ms} ms" if time_ms else "none"
