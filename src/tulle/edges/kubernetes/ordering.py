"""Which events are old news: told a second time, or overtaken by a later one. Pure.

Versions are decimal and grow with each change of whatever object (Kubernetes promises so from 1.35
on, and has always done so). Where one is not decimal nothing is known of order: it is admitted.
"""

from __future__ import annotations

from collections.abc import Mapping

from .wire import Key

TOMBSTONES = 4096


def number_of(version: str) -> int | None:
    """
    >>> number_of("1023"), number_of("W/7"), number_of("")
    (1023, None, None)
    """
    return int(version) if version.isascii() and version.isdecimal() else None


def later(one: str, other: str) -> str:
    """Of two versions the one to go on from; `other` if their order is not known."""
    a, b = number_of(one), number_of(other)
    return one if a is not None and b is not None and a > b else other or one


class Fence:
    """The version of each object, and of the last that were deleted."""

    def __init__(self) -> None:
        self._held: dict[Key, int] = {}
        self._buried: dict[Key, int] = {}  # oldest first
        self._floor = -1

    def restart(self, told: Mapping[Key, str], version: str) -> None:
        """A whole list is the truth, also one that is older than what was known before.

        What comes later is later than the list's own version.
        """
        self._held = {}
        for key, at in told.items():
            if (number := number_of(at)) is not None:
                self._held[key] = number
        self._buried.clear()
        self._floor = -1 if (floor := number_of(version)) is None else floor

    def admits(self, key: Key, version: str) -> bool:
        """Whether this is news; it is held from then on."""
        number = number_of(version)
        if number is None:
            self._held.pop(key, None)
            return True
        if number <= self._last(key):
            return False
        self._buried.pop(key, None)
        self._held[key] = number
        return True

    def dropped(self, key: Key, version: str) -> bool:
        """Whether its deletion is news; it is remembered for a while."""
        number = number_of(version)
        if number is None:
            self._held.pop(key, None)
            return True
        held = self._held.get(key)
        # A server may call a deletion by the version of what it deleted.
        if number <= self._last(key) and number != held:
            return False  # told before, or another of its name has been made since
        self._held.pop(key, None)
        self._buried.pop(key, None)
        self._buried[key] = number
        if len(self._buried) > TOMBSTONES:
            del self._buried[next(iter(self._buried))]
        return True

    def _last(self, key: Key) -> int:
        held = self._held.get(key)
        return held if held is not None else self._buried.get(key, self._floor)
