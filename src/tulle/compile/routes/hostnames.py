"""Hostnames of listeners and routes: exact, `*.suffix` for one or more labels, or "" for any."""

from __future__ import annotations

from collections.abc import Iterator


def covers(general: str, name: str) -> bool:
    """Whether every host that `name` means is one that `general` means.

    >>> [covers("*.a.example", name) for name in ("b.a.example", "*.b.a.example", "a.example")]
    [True, True, False]
    """
    if not general or general == name:
        return True
    return general.startswith("*.") and name.endswith(general[1:])


def intersection(one: str, other: str) -> str | None:
    """What both mean; None: nothing."""
    if covers(one, other):
        return other
    return one if covers(other, one) else None


def lineage(name: str) -> Iterator[str]:
    """All that covers a name, the most specific first.

    >>> list(lineage("a.b.example"))
    ['a.b.example', '*.b.example', '*.example', '']
    """
    if not name:
        yield ""
        return
    yield name
    labels = name.removeprefix("*.").split(".")
    for index in range(1, len(labels)):
        yield "*." + ".".join(labels[index:])
    yield ""


def specificity(name: str) -> tuple[bool, int, str]:
    """Sorts the most specific first: exact before wildcards, long before short, any last."""
    return name.startswith("*.") or not name, -len(name), name
