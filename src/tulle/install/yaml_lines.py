"""Values as YAML that reads well and never changes by itself: for files that are committed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_NOT_TEXT = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def scalar(value: Any) -> str:
    """
    >>> scalar("a/b"), scalar("on"), scalar("1"), scalar(True), scalar([])
    ('a/b', '"on"', '"1"', 'true', '[]')
    """
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    return json.dumps(value, ensure_ascii=False)


def is_block(value: Any) -> bool:
    """Whether it takes lines of its own."""
    return isinstance(value, dict | list) and bool(value)


def lines(value: Any) -> Iterator[str]:
    """Of a mapping or a list that is not empty, without indentation."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from entry(scalar(key), item, lines)
    else:
        for item in value:
            yield from bullet(item, lines)


def entry(key: str, item: Any, inner: Any) -> Iterator[str]:
    """`key: item`; `inner` gives the lines of what is below."""
    if not is_block(item):
        yield f"{key}: {scalar(item)}"
        return
    yield f"{key}:"
    yield from (f"  {line}" for line in inner(item))


def bullet(item: Any, inner: Any) -> Iterator[str]:
    """`- item`."""
    if not is_block(item):
        yield f"- {scalar(item)}"
        return
    mark = "- "
    for line in inner(item):
        yield mark + line
        mark = "  "
