"""Hostnames of listeners and routes: exact, `*.suffix` for one or more labels, or "" for any."""

from __future__ import annotations

from functools import lru_cache

_KNOWN = 16384  # names that are not looked at anew in every pass


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


@lru_cache(maxsize=_KNOWN)
def lineage(name: str) -> tuple[str, ...]:
    """All that covers a name, the most specific first.

    >>> lineage("a.b.example")
    ('a.b.example', '*.b.example', '*.example', '')
    """
    if not name:
        return ("",)
    labels = name.removeprefix("*.").split(".")
    wider = ("*." + ".".join(labels[index:]) for index in range(1, len(labels)))
    return (name, *wider, "")


@lru_cache(maxsize=_KNOWN)
def specificity(name: str) -> tuple[bool, int, str]:
    """Sorts the most specific first: exact before wildcards, long before short, any last."""
    return name.startswith("*.") or not name, -len(name), name


class Names:
    """Hostnames, to be asked whether any of them has hosts in common with another."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._wider: set[str] = set()  # all that covers any of them

    def add(self, name: str) -> None:
        self._names.add(name)
        self._wider.update(lineage(name))

    def meet(self, name: str) -> bool:
        return name in self._wider or not self._names.isdisjoint(lineage(name))
