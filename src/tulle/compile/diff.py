"""Image × Image → changes, in an order of which every prefix is safe.

What is referred to comes before what refers to it, and nothing is deleted before the last put:
policy sets and backend tables carry new numbers when their content changes, so endpoints and
services flip from the old to the new one each in a single update.

All identities change before any set does. A new identity that only refines an old one (a policy
began to look at one more label) is unknown to the sets still in force: until the sets have flipped
too, it is given the old one's entries there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tulle import abi

from .image import DERIVED, Image

Entries = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of one map; no value means deletion."""

    map: str
    key: bytes
    value: bytes | None = None


def diff(have: Image, want: Image) -> list[Change]:
    """Changes that turn `have` into `want`.

    >>> diff({"slots": {b"k": b"1"}}, {"slots": {b"k": b"1"}})
    []
    """
    grafts = list(_grafts(have, want))
    puts = [
        change
        for name in DERIVED
        for change in (
            *(_renamed(have, want) if name == "endpoints" else ()),
            *_puts(name, have.get(name, {}), want.get(name, {})),
        )
    ]
    deletes = [
        Change(name, key)
        for name in reversed(DERIVED)
        for key in have.get(name, {})
        if key not in want.get(name, {})
    ]
    return grafts + puts + [Change(item.map, item.key) for item in reversed(grafts)] + deletes


def _puts(name: str, have: Entries, want: Entries) -> Iterator[Change]:
    return (Change(name, key, value) for key, value in want.items() if have.get(key) != value)


def _renamed(have: Image, want: Image) -> Iterator[Change]:
    """Endpoints under their new identity, still with their old sets."""
    before = have.get("endpoints", {})
    for key, value in want.get("endpoints", {}).items():
        if key not in before:
            continue
        old, new = abi.Endpoint.unpack(before[key]), abi.Endpoint.unpack(value)
        between = old._replace(identity=new.identity)
        if between not in (old, new):
            yield Change("endpoints", key, between.pack())


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


def _grafts(have: Image, want: Image) -> Iterator[Change]:
    ancestors = _refined(have, want)
    if not ancestors:
        return
    by_peer: dict[int, list[tuple[abi.PolicyKey, bytes]]] = defaultdict(list)
    for raw, value in have.get("policy", {}).items():
        key = abi.PolicyKey.unpack(raw)
        by_peer[key.peer].append((key, value))
    for new, old in ancestors.items():
        for key, value in by_peer[old]:
            grafted = key._replace(peer=new).pack()
            if grafted not in want.get("policy", {}) and grafted not in have.get("policy", {}):
                yield Change("policy", grafted, value)


def _refined(have: Image, want: Image) -> dict[int, int]:
    """New identity → the one old identity that all its addresses had."""
    before, after = _identities(have), _identities(want)
    known = set(before.values())
    origins: dict[int, set[int]] = defaultdict(set)
    for address, identity in after.items():
        if identity not in known and address in before:
            origins[identity].add(before[address])
    return {new: olds.pop() for new, olds in origins.items() if len(olds) == 1}


def _identities(image: Image) -> Mapping[bytes, int]:
    found = {
        b"e" + key: abi.Endpoint.unpack(value).identity
        for key, value in image.get("endpoints", {}).items()
    }
    for key, value in image.get("ipcache", {}).items():
        found[b"c" + key] = abi.IpcacheEntry.unpack(value).identity
    return found
