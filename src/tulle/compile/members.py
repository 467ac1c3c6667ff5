"""Which identities there are, and which of them each question of a policy means.

Both follow from before by what has come and gone, not by looking at everybody again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from tulle.abi import Identity

from .identities import Matching, NamedPort, Peer
from .ids import Allocator
from .lines import Term

_ALWAYS = {int(Identity.HOST): "reserved:host", int(Identity.SERVICE): "reserved:service"}
_NOBODY: frozenset[Peer] = frozenset()
NONE: frozenset[int] = frozenset()


class Census(NamedTuple):
    """The peers of each part of the world, how many parts have each, and its number."""

    parts: Mapping[str, frozenset[Peer]] = {}
    counts: Mapping[Peer, int] = {}
    numbers: Mapping[Peer, int] = {}
    names: Mapping[int, str] = _ALWAYS


class Turnover(NamedTuple):
    """Peers that have come, and gone, since the census before, with their numbers."""

    came: Mapping[Peer, int]
    went: Mapping[Peer, int]


def count(
    parts: Mapping[str, frozenset[Peer]], before: Census, allocator: Allocator
) -> tuple[Census, Turnover]:
    changed = {name: peers for name, peers in parts.items() if before.parts.get(name) is not peers}
    lost = before.parts.keys() - parts.keys()
    if not changed and not lost:
        allocator.keep("identity")
        return before, Turnover({}, {})
    counts, touched = dict(before.counts), set[Peer]()
    for name in (*changed, *lost):
        old, new = before.parts.get(name, _NOBODY), parts.get(name, _NOBODY)
        touched |= old ^ new
        for peer in new - old:
            counts[peer] = counts.get(peer, 0) + 1
        for peer in old - new:
            counts[peer] -= 1
    for peer in touched:
        if not counts[peer]:
            del counts[peer]
    known = before.numbers
    went = {peer: known[peer] for peer in touched if peer in known and peer not in counts}
    fresh = {peer for peer in touched if peer in counts and peer not in known}
    if before.parts:
        allocator.keep("identity", [peer.name for peer in went if peer.reserved is None])
    came = {
        peer: allocator.get("identity", peer.name) if peer.reserved is None else peer.reserved
        for peer in sorted(fresh, key=lambda peer: peer.name)
    }
    if not came and not went:
        return before._replace(parts=parts, counts=counts), Turnover({}, {})
    numbers, names = dict(before.numbers), dict(before.names)
    for peer, number in went.items():
        del numbers[peer], names[number]
    numbers.update(came)
    names.update((number, peer.name) for peer, number in came.items())
    return Census(parts, counts, numbers, names), Turnover(came, went)


class Members(NamedTuple):
    """The numbers that each term means, and the named ports of those that have some."""

    matching: Matching = Matching(())
    of: Mapping[Term, frozenset[int]] = {}
    ports: Mapping[int, tuple[NamedPort, ...]] = {}


def members_of(matching: Matching, census: Census, turnover: Turnover, before: Members) -> Members:
    """`before` itself if nothing has changed."""
    came, went = turnover
    if matching is before.matching and not came and not went:
        return before
    known = matching.terms & before.matching.terms
    found = {term: numbers for term, numbers in before.of.items() if term in known}
    if fresh := matching.terms - known:
        found |= _sorted_out(Matching(fresh), census.numbers)
    gone, new = _sorted_out(matching, went), _sorted_out(matching, came)
    for term in (gone.keys() | new.keys()) & known:
        found[term] = found.get(term, NONE) - gone.get(term, NONE) | new.get(term, NONE)
        if not found[term]:
            del found[term]
    ports = before.ports
    if any(peer.ports for peer in (*came, *went)):
        leaving = set(went.values())
        ports = {number: named for number, named in ports.items() if number not in leaving}
        ports.update((number, peer.ports) for peer, number in came.items() if peer.ports)
    return Members(matching, found, ports)


def _sorted_out(matching: Matching, peers: Mapping[Peer, int]) -> dict[Term, frozenset[int]]:
    found: dict[Term, list[int]] = defaultdict(list)
    for peer, number in peers.items():
        for term in matching.of(peer):
            found[term].append(number)
    return {term: frozenset(numbers) for term, numbers in found.items()}
