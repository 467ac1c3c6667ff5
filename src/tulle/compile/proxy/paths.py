"""Changes of a request's path, in redirects and rewrites (Gateway API, HTTPPathModifier)."""

from __future__ import annotations

from tulle.model.routing import PathChange, RequestMatch

from .fields import Fields, quoted, regex
from .matches import prefix_of


def path_fields(change: PathChange | None, match: RequestMatch) -> Fields:
    """Of a RouteAction or a RedirectAction; the query stays.

    A prefix is replaced by whole elements: /foo by /xyz makes /xyz/bar of /foo/bar, and / of it
    makes /bar. Slashes at the end of either do not count.
    """
    if change is None:
        return {}
    if not change.prefix:
        return _regex("^.*$", change.value)
    prefix, new = prefix_of(match), change.value.rstrip("/")
    if new:
        return {"prefix_rewrite": new if prefix else f"{new}/"}
    return _regex(f"^{quoted(prefix)}/*", "/") if prefix else {}


def _regex(pattern: str, text: str) -> Fields:
    substitution = text.replace("\\", "\\\\")  # \1 would be a group
    return {"regex_rewrite": {"pattern": regex(pattern), "substitution": substitution}}
