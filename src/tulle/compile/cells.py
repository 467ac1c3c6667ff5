"""Lines → cells: what is decided on each protocol and port, as prefixes for the kernel's trie.

The kernel asks for one peer at a time, so a peer's cells must cover everything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from tulle.abi import PolicyPrefix

from .lines import ANY_PROTOCOL, LAST_PORT, PROTOCOLS, Line, Span
from .rules import Action, Tier

NOBODY = -1  # as a line: none decides


class Decision(NamedTuple):
    """Positions of lines: what decides, and what would deny if no policy were in audit mode.

    `asked` are those of which each request must meet one. If what decides is none of them, they
    would be asked if no policy were in audit mode.
    """

    line: int
    audit: int = NOBODY
    asked: tuple[int, ...] = ()
    unread: str = ""  # why the kernel does not read their requests there

    @property
    def shadows(self) -> bool:
        return self.line not in self.asked


class Cell(NamedTuple):
    """A key of the policy map without set and peer, and what is decided there."""

    prefix: int
    protocol: int
    port: int
    decision: Decision


class Match(NamedTuple):
    """A line that is about some peer, with the ports that it means there."""

    position: int
    line: Line
    spans: tuple[Span, ...]


Range = tuple[int, int]
Unread = tuple[tuple[int, str], ...]  # ports, with what each speaks and who says so
Shared = tuple[int, int, tuple[int, ...]]  # first and last port, lines of layer 7
Piece = tuple[int, int, int, tuple[int, ...]]  # first, last port, line that decides, asked ones
Judged = tuple[int, int, Decision]


def cells(matches: Sequence[Match], unread: Unread = ()) -> tuple[Cell, ...]:
    """All that is decided on one peer; the same for lines that decide the same.

    `unread` are TCP ports of the subject whose requests the kernel does not read.
    """
    protocols = {span[0] for match in matches for span in match.spans} - {ANY_PROTOCOL}
    protocols |= {PROTOCOLS["TCP"]} if unread else set()
    ((_, _, rest),) = _judged(matches, ANY_PROTOCOL)
    found = [Cell(int(PolicyPrefix.ANY), 0, 0, rest)]
    for protocol in sorted(protocols):
        judged: Iterable[Judged] = _judged(matches, protocol)
        if unread and protocol == PROTOCOLS["TCP"]:
            judged = _apart(judged, unread)
        found += _as_prefixes(protocol, tuple(judged), rest)
    return tuple(found)


def _apart(judged: Iterable[Judged], unread: Unread) -> Iterator[Judged]:
    """Each of `unread`, in order, by itself where requests are asked for."""
    for first, last, decision in judged:
        if decision.asked:
            for port, why in unread:
                if first <= port <= last:
                    if first < port:
                        yield first, port - 1, decision
                    yield port, port, decision._replace(unread=why)
                    first = port + 1
        if first <= last:
            yield first, last, decision


def _judged(matches: Sequence[Match], protocol: int) -> list[Judged]:
    """Ranges of ports with neighbours that differ, from 0 to the last."""
    in_force = [match for match in matches if not match.line.audit]
    pieces = _painted(in_force, protocol)
    judged = [(first, last, Decision(line, asked=asked)) for first, last, line, asked in pieces]
    if len(in_force) != len(matches):
        lines = {match.position: match.line for match in matches}
        strict = _painted(matches, protocol)
        judged = list(_with_audit(pieces, strict, lines))
    return _merged(judged)


def _painted(matches: Sequence[Match], protocol: int) -> list[Piece]:
    """Each line takes what the lines before it left, and those of layer 7 share what they take."""
    free: list[Range] = [(0, LAST_PORT)]
    passed: list[Range] = []
    done: list[Piece] = []
    shared: list[Shared] = []
    tier = Tier.ADMIN
    for match in matches:
        if match.line.tier is not tier:
            if tier is Tier.ADMIN:
                free, passed = free + passed, []
            tier = match.line.tier
        for of, first, last in match.spans:
            if of in (protocol, ANY_PROTOCOL):
                free, taken = _cut(free, first, last)
                if match.line.layer7 is not None:
                    shared = list(_joined(shared, first, last, match.position))
                    shared += [(start, end, (match.position,)) for start, end in taken]
                elif match.line.action is Action.PASS:
                    passed += taken
                else:
                    done += [(start, end, match.position, ()) for start, end in taken]
        if not free and not passed and not shared:
            break
    done += [(first, last, asked[0], asked) for first, last, asked in shared]
    done += [(first, last, NOBODY, ()) for first, last in free + passed]
    return sorted(_heard(done, matches) if protocol == PROTOCOLS["UDP"] else done)


def _heard(pieces: Iterable[Piece], matches: Sequence[Match]) -> Iterator[Piece]:
    """As in Cilium, what a plain rule allows is read all the same where another is for DNS."""
    lines = {match.position: match.line for match in matches}
    dns = [item for item in matches if item.line.layer7 and item.line.layer7.dns is not None]
    for first, last, line, asked in pieces:
        if asked or line == NOBODY or lines[line].action is not Action.ALLOW:
            yield first, last, line, asked
            continue
        shared: list[Shared] = [(first, last, (line,))]
        for match in dns:
            for of, start, end in match.spans:
                if of in (PROTOCOLS["UDP"], ANY_PROTOCOL):
                    shared = list(_joined(shared, start, end, match.position))
        for start, end, heard in shared:
            yield start, end, line, heard if len(heard) > 1 else ()


def _joined(shared: Iterable[Shared], first: int, last: int, position: int) -> Iterator[Shared]:
    """What lines of layer 7 have taken, with one more that is about first..last."""
    for start, end, asked in shared:
        if position in asked:
            yield start, end, asked
            continue
        left, taken = _cut([(start, end)], first, last)
        yield from ((a, b, asked) for a, b in left)
        yield from ((a, b, (*asked, position)) for a, b in taken)


def _cut(free: list[Range], first: int, last: int) -> tuple[list[Range], list[Range]]:
    """What is left of some ranges, and what first..last takes of them."""
    left: list[Range] = []
    taken: list[Range] = []
    for start, end in free:
        if end < first or last < start:
            left.append((start, end))
            continue
        taken.append((max(start, first), min(end, last)))
        if start < first:
            left.append((start, first - 1))
        if last < end:
            left.append((last + 1, end))
    return left, taken


def _with_audit(
    pieces: Sequence[Piece], strict: Sequence[Piece], lines: dict[int, Line]
) -> Iterator[Judged]:
    def denies(position: int) -> bool:
        return position != NOBODY and lines[position].action is Action.DENY

    starts = sorted({piece[0] for piece in (*pieces, *strict)})
    ends = [*(start - 1 for start in starts[1:]), LAST_PORT]
    mine, theirs = iter(pieces), iter(strict)
    now, would = next(mine), next(theirs)
    for first, last in zip(starts, ends, strict=True):
        if now[1] < first:
            now = next(mine)
        if would[1] < first:
            would = next(theirs)
        audited = denies(would[2]) and not denies(now[2])
        asked = now[3] if denies(now[2]) or now[3] else would[3]
        yield first, last, Decision(now[2], would[2] if audited else NOBODY, asked)


def _merged(judged: Iterable[Judged]) -> list[Judged]:
    found: list[Judged] = []
    for first, last, decision in judged:
        if found and found[-1][2] == decision:
            found[-1] = found[-1][0], last, decision
        else:
            found.append((first, last, decision))
    return found


def _as_prefixes(protocol: int, judged: Sequence[Judged], rest: Decision) -> Iterator[Cell]:
    """The fewest prefixes: what most of them would say is said once for the whole protocol."""
    prefixes: dict[Decision, list[tuple[int, int]]] = defaultdict(list)
    for first, last, decision in judged:
        prefixes[decision] += port_prefixes(first, last)
    base, best = rest, len(prefixes[rest])
    for decision, needed in prefixes.items():
        if len(needed) - 1 > best:
            base, best = decision, len(needed) - 1
    if base != rest:
        yield Cell(int(PolicyPrefix.PORT), protocol, 0, base)
    for decision, needed in prefixes.items():
        if decision != base:
            for port, bits in needed:
                yield Cell(int(PolicyPrefix.PORT) + bits, protocol, port, decision)


@lru_cache(maxsize=1024)
def port_prefixes(first: int, last: int) -> tuple[tuple[int, int], ...]:
    """The fewest (port, leading bits) that cover first..last exactly.

    >>> port_prefixes(80, 83), port_prefixes(1, 2)
    (((80, 14),), ((1, 16), (2, 16)))
    """
    found = []
    while first <= last:
        size = first & -first or 1 << 16
        while size > last - first + 1:
            size >>= 1
        found.append((first, 17 - size.bit_length()))
        first += size
    return tuple(found)
