"""Edits of headers. Envoy removes before it adds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tulle.model.routing import Filters, HeaderEdit

from .fields import Fields, literal

HOST = "host"  # Envoy refuses to edit it as a header: `host_of` says what it becomes


def edits(filters: Filters, hidden: Iterable[str] = ()) -> Fields:
    """Of a Route, or of one of its weighted clusters. `hidden` headers of answers are removed."""
    return {
        "request_headers_to_add": list(_options(filters.request)),
        "request_headers_to_remove": _removed(filters.request),
        "response_headers_to_add": list(_options(filters.response)),
        "response_headers_to_remove": [*_removed(filters.response), *hidden],
    }


def host_of(filters: Filters) -> str:
    """The host that backends see; "": the client's. A request has exactly one."""
    if filters.rewrite is not None and filters.rewrite.hostname:
        return filters.rewrite.hostname
    given = (*filters.request.set, *filters.request.add)
    return next((value for name, value in given if name.lower() == HOST), "")


def _options(edit: HeaderEdit) -> Iterator[Fields]:
    for pairs, action in (
        (edit.set, "OVERWRITE_IF_EXISTS_OR_ADD"),
        (edit.add, "APPEND_IF_EXISTS_OR_ADD"),
    ):
        for name, text in pairs:
            if name.lower() != HOST:
                yield {
                    "header": {"key": name, "value": literal(text)},
                    "append_action": action,
                    "keep_empty_value": True,
                }


def _removed(edit: HeaderEdit) -> list[str]:
    return [name for name in edit.remove if name.lower() != HOST]
