"""Image × Image → changes, in an order of which every prefix is safe.

What is referred to comes before what refers to it, and nothing is deleted before the last put:
policy sets and backend tables carry new numbers when their content changes, so endpoints and
services flip from the old to the new one each in a single update.

A peer's identity and the sets that speak of it cannot change in one update. So an address whose
identity changes goes there by a crossing: a number that the old sets treat as its old identity and
the new ones as its new identity, from before the first address has it until after the last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tulle import abi
from tulle.abi import MAPS, Identity

from .image import DERIVED, Image

Entries = Mapping[bytes, bytes]
Crossings = Mapping[tuple[int, int], int]  # old and new identity → the number in between
Place = tuple[str, bytes]  # a map that gives out identities, and a key of it

IDENTITY_LIMIT = 1 << 24
HOLDERS = ("ipcache", "endpoints")  # maps that give addresses their identities


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of one map; no value means deletion."""

    map: str
    key: bytes
    value: bytes | None = None


def diff(have: Image, want: Image, policy_limit: int = MAPS["policy"].max_entries) -> list[Change]:
    """Changes that turn `have` into `want`.

    Where `policy_limit` leaves crossings no room they have no entries, which denies for a moment.

    >>> diff({"slots": {b"k": b"1"}}, {"slots": {b"k": b"1"}})
    []
    """
    moves = _moves(have, want)
    crossings = _crossings(moves, have, want)
    grafts = list(_grafts(crossings, have, want))
    if sum(len(image.get("policy", {})) for image in (have, want)) + len(grafts) > policy_limit:
        grafts = []
    across = {place: crossings[move] for place, move in moves.items()}
    referents = [c for name in DERIVED if name not in HOLDERS for c in _puts(name, have, want)]
    return [
        *grafts,
        *(change for change in referents if change.map != "services"),
        *_departures(across, have, want),
        *_arrivals(across, have, want),
        *(change for change in referents if change.map == "services"),
        *_settled(across, want),
        *_deletes(have, want),
        *(Change(item.map, item.key) for item in reversed(grafts)),
    ]


def moves_verdicts(changes: list[Change]) -> bool:
    """Whether connections must be judged again: service changes alone concern new ones only."""
    return any(change.map in ("policy", "ipcache", "endpoints") for change in changes)


def apply(changes: list[Change], image: Image) -> dict[str, dict[bytes, bytes]]:
    """The image after the changes: the law is `apply(diff(a, b), a) == b`."""
    result = {name: dict(image.get(name, {})) for name in DERIVED}
    for change in changes:
        if change.value is None:
            result[change.map].pop(change.key, None)
        else:
            result[change.map][change.key] = change.value
    return result


def _puts(name: str, have: Image, want: Image) -> Iterator[Change]:
    before = have.get(name, {})
    for key, value in want.get(name, {}).items():
        if before.get(key) != value:
            yield Change(name, key, value)


def _deletes(have: Image, want: Image) -> Iterator[Change]:
    for name in reversed(DERIVED):
        wanted = want.get(name, {})
        yield from (Change(name, key) for key in have.get(name, {}) if key not in wanted)


def _departures(across: Mapping[Place, int], have: Image, want: Image) -> Iterator[Change]:
    """Addresses on their crossings, under the old sets."""
    for (name, key), identity in across.items():
        if name == "endpoints":
            old = abi.Endpoint.unpack(have[name][key])
            yield Change(name, key, old._replace(identity=identity).pack())
        else:
            yield Change(name, key, abi.IpcacheEntry(identity).pack())
    yield from (
        change for change in _puts("ipcache", have, want) if ("ipcache", change.key) not in across
    )


def _arrivals(across: Mapping[Place, int], have: Image, want: Image) -> Iterator[Change]:
    """Endpoints under the new sets, those that are crossing still on their crossings."""
    for change in _puts("endpoints", have, want):
        identity = across.get(("endpoints", change.key))
        if identity is None or change.value is None:
            yield change
            continue
        new = abi.Endpoint.unpack(change.value)._replace(identity=identity)
        old = abi.Endpoint.unpack(have["endpoints"][change.key])
        if new != old._replace(identity=identity):
            yield Change("endpoints", change.key, new.pack())


def _settled(across: Mapping[Place, int], want: Image) -> Iterator[Change]:
    """Off the crossings; what is not wanted at all is deleted later, when its cover has settled."""
    for (name, key), identity in across.items():
        value = want.get(name, {}).get(key)
        if value is not None and _identity(name, value) != identity:
            yield Change(name, key, value)


def _identity(name: str, value: bytes) -> int:
    entry = abi.Endpoint if name == "endpoints" else abi.IpcacheEntry
    return entry.unpack(value).identity


def _moves(have: Image, want: Image) -> dict[Place, tuple[int, int]]:
    """Old and new identity of every address and prefix whose identity changes."""
    found: dict[Place, tuple[int, int]] = {}
    before, after = (image.get("endpoints", {}) for image in (have, want))
    for key in before.keys() & after.keys():
        move = _identity("endpoints", before[key]), _identity("endpoints", after[key])
        found["endpoints", key] = move
    before, after = (image.get("ipcache", {}) for image in (have, want))
    olds, news = _Prefixes(before), _Prefixes(after)
    for key in before.keys() | after.keys():
        if before.get(key) != after.get(key):
            found["ipcache", key] = olds.identity(key), news.identity(key)
    return {place: found[place] for place in sorted(found) if len(set(found[place])) == 2}


class _Prefixes:
    """The longest match among an ipcache's prefixes."""

    def __init__(self, ipcache: Entries) -> None:
        self._ipcache = ipcache
        self._lengths = sorted({abi.IpcacheKey.unpack(key).prefixlen for key in ipcache})[::-1]

    def identity(self, key: bytes) -> int:
        """What a prefix's addresses have: its own identity, else that of the next around it."""
        length, raw = abi.IpcacheKey.unpack(key)
        number = int.from_bytes(raw, "big")
        for bits in (bits for bits in self._lengths if bits <= length):
            network = number >> (128 - bits) << (128 - bits)
            value = self._ipcache.get(abi.IpcacheKey(bits, network.to_bytes(16, "big")).pack())
            if value is not None:
                return abi.IpcacheEntry.unpack(value).identity
        return Identity.WORLD


def _crossings(moves: Mapping[Place, tuple[int, int]], have: Image, want: Image) -> Crossings:
    """A number for each pair; a new identity that comes from one old one is its own crossing."""
    pairs = sorted(set(moves.values()))
    if not pairs:
        return {}
    busy = _in_use(have) | _in_use(want)
    free = (number for number in range(IDENTITY_LIMIT - 1, 0, -1) if number not in busy)
    origins: dict[int, set[int]] = defaultdict(set)
    for old, new in pairs:
        origins[new].add(old)
    known = _in_use(have) | {int(item) for item in Identity}
    return {
        (old, new): new if new not in known and len(origins[new]) == 1 else next(free)
        for old, new in pairs
    }


def _in_use(image: Image) -> set[int]:
    held = {_identity(name, value) for name in HOLDERS for value in image.get(name, {}).values()}
    return held | {abi.PolicyKey.unpack(key).peer for key in image.get("policy", {})}


def _grafts(crossings: Crossings, have: Image, want: Image) -> Iterator[Change]:
    """Each set's entries for a crossing: the old identity's in old sets, the new one's in new.

    A set that no endpoint refers to is not in force: an apply that was interrupted left it.
    """
    if not crossings:
        return
    entries = map(abi.Endpoint.unpack, have.get("endpoints", {}).values())
    in_force = {number for item in entries for number in (item.ingress_set, item.egress_set)}
    of_old = _by_peer(have.get("policy", {}))
    of_new = _by_peer(want.get("policy", {}))
    for (old, new), between in crossings.items():
        for key, value in of_old[old]:
            if key.set in in_force:
                yield Change("policy", key._replace(peer=between).pack(), value)
        for key, value in of_new[new] if between != new else ():
            if key.set not in in_force:
                yield Change("policy", key._replace(peer=between).pack(), value)


def _by_peer(policy: Entries) -> dict[int, list[tuple[abi.PolicyKey, bytes]]]:
    found: dict[int, list[tuple[abi.PolicyKey, bytes]]] = defaultdict(list)
    for raw, value in policy.items():
        key = abi.PolicyKey.unpack(raw)
        found[key.peer].append((key, value))
    return found
