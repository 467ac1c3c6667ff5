"""Services that the maps have no room for are left out whole, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..capacity import Limits, full
from ..parts import Part

PartKey = tuple[str, str, str]  # SERVICE or HOST_PORT, namespace, name
SERVICE, HOST_PORT = "service", "hostPort"


@dataclass(frozen=True, slots=True)
class Room:
    """Entries that all parts would need in each map, and which parts find no room, with why."""

    needed: Mapping[str, int] = field(default_factory=dict)
    cut: Mapping[PartKey, str] = field(default_factory=dict)


def room_for(
    parts: Callable[[], Mapping[PartKey, Part]],
    changes: Iterable[tuple[Part, Part]],
    limits: Limits,
    before: Room,
) -> Room:
    """`changes` are parts as they were and as they are; one that came or went is an empty one.

    All `parts` are asked for only if they do not fit. Services go before host ports, and each in
    the order of its name.
    """
    needed = Counter(before.needed)
    for old, new in changes:
        needed.subtract({name: len(rows) for name, rows in old.items()})
        needed.update({name: len(rows) for name, rows in new.items()})
    if all(count <= limits[name] for name, count in needed.items()):
        return Room(needed, {} if before.cut else before.cut)  # the same object while it is empty
    everything = parts()
    used: Counter[str] = Counter()
    cut: dict[PartKey, str] = {}
    for key in sorted(everything, key=lambda item: (item[0] != SERVICE, item)):
        sizes = {name: len(rows) for name, rows in everything[key].items()}
        over = next((n for n, size in sizes.items() if used[n] + size > limits[n]), None)
        if over is None:
            used.update(sizes)
        else:
            cut[key] = full(over, limits)
    return Room(needed, cut)
