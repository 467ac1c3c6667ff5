"""Whether the kernel's maps still hold what was put into them: a stranger may have changed some.

Looks while passes go on, a little at a time, and so never keeps a change waiting.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from tulle.compile.diff import Change
from tulle.compile.parts import DERIVED, Image

Entry = tuple[str, bytes]  # map, key
Item = TypeVar("Item")
_AT_ONCE = 2000  # entries, about a millisecond's work
_PAUSE_S = 0.004


class Entries(Protocol):
    def items(self) -> Iterable[tuple[bytes, bytes]]: ...


class Drift:
    def __init__(self) -> None:
        self._meanwhile: set[Entry] | None = None

    def begin(self) -> None:
        """To be called when the image is in force and no change is being applied."""
        self._meanwhile = set()

    def note(self, changes: Iterable[Change]) -> None:
        """To be called before changes are applied: of these entries a look would be wrong."""
        if self._meanwhile is not None:
            self._meanwhile.update((change.map, change.key) for change in changes)

    def look(self, maps: Mapping[str, Entries], image: Image) -> set[Entry]:
        """Entries that are not as in `image`, which was in force at `begin`. Raises KernelError."""
        found: set[Entry] = set()
        parts = _by_map(image)
        for name in DERIVED:
            wanted: dict[bytes, bytes] = {}
            for entries in _leisurely(parts.pop(name, ())):
                wanted.update(entries)
            counts = name == "rules"  # its values are the kernel's own
            for key, value in _leisurely(maps[name].items()):
                known = wanted.pop(key, None)
                if known is None or (known != value and not counts):
                    found.add((name, key))
            found.update((name, key) for key in wanted)
        meanwhile, self._meanwhile = self._meanwhile, None
        return found - (meanwhile or set())


def _leisurely(items: Iterable[Item]) -> Iterator[Item]:
    """Python runs one thread at a time: lets the others go first after every millisecond."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _AT_ONCE == 0:
            time.sleep(_PAUSE_S)


def _by_map(image: Image) -> dict[str, list[Mapping[bytes, bytes]]]:
    """Few parts have something in each map."""
    found: dict[str, list[Mapping[bytes, bytes]]] = {}
    for part in _leisurely(list(image.values())):
        for name, entries in part.items():
            found.setdefault(name, []).append(entries)
    return found
