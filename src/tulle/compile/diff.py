"""Image × Image → changes, in an order of which every prefix is safe.

What is referred to comes before what refers to it, and nothing is deleted before the last put:
policy sets and backend tables carry new numbers when their content changes, so endpoints and
services flip from the old to the new one each in a single update.

A peer's identity and the sets that speak of it cannot change in one update. So an address whose
identity changes goes there by a crossing: a number that the old sets treat as its old identity and
the new ones as its new identity, from before the first address has it until after the last. No set
speaks of a service's own address, so that one needs no crossing.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import compress
from operator import is_not

from tulle import abi
from tulle.abi import MAPS, Identity

from .ids import CROSSINGS, SPACES
from .parts import DERIVED, Image, flat

Entries = Mapping[bytes, bytes]
Maps = Mapping[str, Entries]
Move = tuple[int, int]  # old and new identity
Place = tuple[str, bytes]  # a map that gives out identities, and a key of it

HOLDERS = ("ipcache", "endpoints")  # maps that give addresses their identities
FIRST_CROSSING = SPACES["identity"].limit


def _place_of(ones: bytes) -> slice:
    """Where a field stands that was packed as all ones."""
    return slice(ones.index(b"\xff"), ones.rindex(b"\xff") + 1)


_PEER = _place_of(abi.PolicyKey(peer=0xFFFFFFFF).pack())


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of one map; no value means deletion."""

    map: str
    key: bytes
    value: bytes | None = None


def diff(have: Image, want: Image, policy_limit: int = MAPS["policy"].max_entries) -> list[Change]:
    """Changes that turn `have` into `want`; parts that are the same object are not looked into.

    Where `policy_limit` leaves crossings no room they have no entries, which denies for a moment.

    >>> diff({"a": {"slots": {b"k": b"1"}}}, {"b": {"slots": {b"k": b"1"}}})
    []
    """
    old, new = map(flat, _different(have, want))
    moves = _moves(old, new, have, want)
    crossings = _crossings(moves, old)
    grafts = list(_grafts(crossings, old, have, want))
    if grafts and _size(have) + _size(want) + len(grafts) > policy_limit:
        grafts = []
    across = {place: crossings[move] for place, move in moves.items()}
    referents = [c for name in DERIVED if name not in HOLDERS for c in _puts(name, old, new)]
    return [
        *grafts,
        *(change for change in referents if change.map != "services"),
        *_departures(across, old, new),
        *_arrivals(across, old, new),
        *(change for change in referents if change.map == "services"),
        *_settled(across, old, new),
        *_deletes(old, new),
        *(Change(item.map, item.key) for item in reversed(grafts)),
    ]


def _different(have: Image, want: Image) -> tuple[Image, Image]:
    """Of both, the parts that are not the same object in the other."""
    if list(have) == list(want):  # as between most passes: then C goes through 10,000 parts
        names = list(compress(have, map(is_not, have.values(), want.values())))
        return {name: have[name] for name in names}, {name: want[name] for name in names}
    return (
        {name: part for name, part in have.items() if want.get(name) is not part},
        {name: part for name, part in want.items() if have.get(name) is not part},
    )


def _size(image: Image) -> int:
    return sum(len(part.get("policy", ())) for part in image.values())


def moves_verdicts(changes: list[Change]) -> bool:
    """Whether connections must be judged again: service changes alone concern new ones only."""
    return any(change.map in ("policy", "ipcache", "endpoints") for change in changes)


def apply(changes: list[Change], maps: Maps) -> dict[str, dict[bytes, bytes]]:
    """The maps after the changes: the law is `apply(diff(a, b), flat(a)) == flat(b)`."""
    result = {name: dict(maps.get(name, {})) for name in DERIVED}
    for change in changes:
        if change.value is None:
            result[change.map].pop(change.key, None)
        else:
            result[change.map][change.key] = change.value
    return result


def _puts(name: str, old: Maps, new: Maps) -> Iterator[Change]:
    before = old[name]
    for key, value in new[name].items():
        if before.get(key) != value:
            yield Change(name, key, value)


def _deletes(old: Maps, new: Maps) -> Iterator[Change]:
    for name in reversed(DERIVED):
        wanted = new[name]
        yield from (Change(name, key) for key in old[name] if key not in wanted)


def _departures(across: Mapping[Place, int], old: Maps, new: Maps) -> Iterator[Change]:
    """Addresses on their crossings, under the old sets."""
    for (name, key), identity in across.items():
        if name == "endpoints":
            before = abi.Endpoint.unpack(old[name][key])
            yield Change(name, key, before._replace(identity=identity).pack())
        else:
            entry = abi.IpcacheEntry.unpack(new[name].get(key) or old[name][key])
            yield Change(name, key, entry._replace(identity=identity).pack())
    for change in _puts("ipcache", old, new):
        if ("ipcache", change.key) not in across and not _was_service(change.key, old):
            yield change


def _arrivals(across: Mapping[Place, int], old: Maps, new: Maps) -> Iterator[Change]:
    """Endpoints under the new sets, those that are crossing still on their crossings."""
    for change in _puts("endpoints", old, new):
        identity = across.get(("endpoints", change.key))
        if identity is None or change.value is None:
            yield change
            continue
        after = abi.Endpoint.unpack(change.value)._replace(identity=identity)
        before = abi.Endpoint.unpack(old["endpoints"][change.key])
        if after != before._replace(identity=identity):
            yield Change("endpoints", change.key, after.pack())


def _settled(across: Mapping[Place, int], old: Maps, new: Maps) -> Iterator[Change]:
    """Off the crossings; what is not wanted at all is deleted later, when its cover has settled."""
    for name, key in across:
        value = new[name].get(key)
        if value is not None:
            yield Change(name, key, value)
    yield from (item for item in _puts("ipcache", old, new) if _was_service(item.key, old))


def _was_service(key: bytes, old: Maps) -> bool:
    value = old["ipcache"].get(key)
    return value is not None and _identity("ipcache", value) == Identity.SERVICE


def _identity(name: str, value: bytes) -> int:
    entry = abi.Endpoint if name == "endpoints" else abi.IpcacheEntry
    return entry.unpack(value).identity


def _moves(old: Maps, new: Maps, have: Image, want: Image) -> dict[Place, Move]:
    """Old and new identity of every address and prefix whose identity changes."""
    found: dict[Place, Move] = {}
    before, after = old["endpoints"], new["endpoints"]
    for key in before.keys() & after.keys():
        if before[key] != after[key]:
            move = _identity("endpoints", before[key]), _identity("endpoints", after[key])
            found["endpoints", key] = move
    before, after = old["ipcache"], new["ipcache"]
    changed = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    if any(not _is_service(key, before, after) for key in changed):
        olds, news = _Prefixes(have), _Prefixes(want)
        for key in changed:
            if not _is_service(key, before, after):
                found["ipcache", key] = olds.identity(key), news.identity(key)
    return {place: found[place] for place in sorted(found) if len(set(found[place])) == 2}


def _is_service(key: bytes, before: Entries, after: Entries) -> bool:
    """Whether a prefix is, or was, a service's own address."""
    return any(
        _identity("ipcache", entries[key]) == Identity.SERVICE
        for entries in (before, after)
        if key in entries
    )


class _Prefixes:
    """The longest match among an ipcache's prefixes."""

    def __init__(self, image: Image) -> None:
        self._entries: dict[bytes, bytes] = {}
        for part in image.values():
            self._entries.update(part.get("ipcache", {}))
        lengths = {abi.IpcacheKey.unpack(key).prefixlen for key in self._entries}
        self._lengths = sorted(lengths, reverse=True)

    def identity(self, key: bytes) -> int:
        """What a prefix's addresses have: its own identity, else that of the next around it."""
        length, raw = abi.IpcacheKey.unpack(key)
        number = int.from_bytes(raw, "big")
        for bits in (bits for bits in self._lengths if bits <= length):
            network = number >> (128 - bits) << (128 - bits)
            value = self._entries.get(abi.IpcacheKey(bits, network.to_bytes(16, "big")).pack())
            if value is not None:
                return abi.IpcacheEntry.unpack(value).identity
        return Identity.WORLD


def _crossings(moves: Mapping[Place, Move], old: Maps) -> dict[Move, int]:
    """A number for each pair, that no image wants; but an interrupted apply may have left some."""
    if not moves:
        return {}
    busy = {_identity(name, value) for name in HOLDERS for value in old[name].values()}
    busy |= {abi.PolicyKey.unpack(key).peer for key in old["policy"]}
    numbers = range(FIRST_CROSSING, FIRST_CROSSING + CROSSINGS)
    free = (number for number in numbers if number not in busy)
    return {move: next(free) for move in sorted(set(moves.values()))}


def _grafts(crossings: Mapping[Move, int], old: Maps, have: Image, want: Image) -> Iterator[Change]:
    """Each set's entries for a crossing: the old identity's in old sets, the new one's in others.

    Sets that no changing endpoint is under may speak of either. One that no endpoint is under is
    not in force: an apply that was interrupted left it.
    """
    if not crossings:
        return
    entries = map(abi.Endpoint.unpack, old["endpoints"].values())
    leaving = {number for item in entries for number in (item.ingress_set, item.egress_set)}
    of_old = _by_peer(have if leaving - {0} else {}, {move[0] for move in crossings})
    of_new = _by_peer(want, {move[1] for move in crossings})
    for (before, after), between in crossings.items():
        for key, value in of_old[before]:
            if key.set in leaving:
                yield Change("policy", key._replace(peer=between).pack(), value)
        for key, value in of_new[after]:
            if key.set not in leaving:
                yield Change("policy", key._replace(peer=between).pack(), value)


def _by_peer(image: Image, peers: Iterable[int]) -> dict[int, list[tuple[abi.PolicyKey, bytes]]]:
    """All entries that speak of some of the peers."""
    wanted = {number.to_bytes(4, sys.byteorder) for number in peers}
    found: dict[int, list[tuple[abi.PolicyKey, bytes]]] = defaultdict(list)
    for part in image.values():
        for raw, value in part.get("policy", {}).items():
            if raw[_PEER] in wanted:
                key = abi.PolicyKey.unpack(raw)
                found[key.peer].append((key, value))
    return found
