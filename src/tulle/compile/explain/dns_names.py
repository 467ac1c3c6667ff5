"""Which names a pattern means, as Cilium documents it: by regular expressions."""

from __future__ import annotations

import re
from functools import lru_cache

from tulle.model.cilium import FQDNSelector

_CHARACTER = "[-a-z0-9_]"


def selects(selector: FQDNSelector, name: str) -> bool:
    """`name` is in lower case, without the root's dot."""
    if selector.match_name:
        return selector.match_name.lower().removesuffix(".") == name
    return matches(selector.match_pattern, name)


def matches(pattern: str, name: str) -> bool:
    """`*` alone is every name, `**.` in front one label or more, else `*` a part of a label.

    >>> matches("*.example.com", "www.example.com"), matches("*.example.com", "example.com")
    (True, False)
    """
    if not name:
        return pattern == "*"  # the root, which has no label
    return _expression(pattern.lower().removesuffix(".")).fullmatch(name) is not None


@lru_cache(maxsize=4096)
def _expression(pattern: str) -> re.Pattern[str]:
    if pattern == "*":
        return re.compile(rf"{_CHARACTER}+(\.{_CHARACTER}+)*")
    front, rest = "", pattern
    if pattern.startswith("**."):
        front, rest = rf"({_CHARACTER}+\.)+", pattern[3:]
    parts = re.split(r"\*+", rest)
    return re.compile(front + f"{_CHARACTER}*".join(map(re.escape, parts)))
