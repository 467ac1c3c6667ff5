"""What a request must be like."""

from __future__ import annotations

from tulle.model.routing import RequestMatch, TextMatch, ValueMatch

from .fields import Fields, regex


def match_of(match: RequestMatch) -> Fields:
    """A RouteMatch."""
    headers = [_header(item) for item in match.headers]
    if match.method:
        headers.append({"name": ":method", "string_match": {"exact": match.method}})
    return {
        **_path(match),
        "headers": headers,
        "query_parameters": [_parameter(item) for item in match.query],
    }


def prefix_of(match: RequestMatch) -> str:
    """What the match's prefix covers of a path, "" for all paths: without the last slash."""
    return match.path.rstrip("/") if match.path_kind is TextMatch.PREFIX else ""


def _path(match: RequestMatch) -> Fields:
    if match.path_kind is TextMatch.EXACT:
        return {"path": match.path}
    if match.path_kind is TextMatch.REGEX:
        return {"safe_regex": regex(match.path)}
    prefix = prefix_of(match)
    return {"path_separated_prefix": prefix} if prefix else {"prefix": "/"}


def _header(match: ValueMatch) -> Fields:
    if match.kind is TextMatch.PRESENT:
        return {"name": match.name, "present_match": True}
    return {"name": match.name, "string_match": _text(match)}


def _parameter(match: ValueMatch) -> Fields:
    if match.kind is TextMatch.PRESENT:
        return {"name": match.name, "present_match": True}
    return {"name": match.name, "string_match": _text(match)}


def _text(match: ValueMatch) -> Fields:
    if match.kind is TextMatch.REGEX:
        return {"safe_regex": regex(match.value)}
    return {"exact": match.value}
