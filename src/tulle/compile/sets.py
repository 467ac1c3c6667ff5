"""Policy sets: for every peer that some rule means, all that is decided on it.

A set is named by its content, so equal ones are one, and a changed one stands beside the old.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tulle import abi
from tulle.abi import Action as Answer
from tulle.abi import Identity, PolicyFlag, PolicyPrefix, RuleId
from tulle.model.verdict import Rule

from .cells import NOBODY, Cell, Decision, Match, Unread, cells
from .identities import NamedPort
from .lines import PROTOCOLS, Line, Span, Term
from .members import NONE, Members
from .named_peers import Packed, flags_of
from .rule_sets import Numbering
from .rules import Action

_FROM_NODE = -2  # as a line: this node always passes
_DNS = (PROTOCOLS["UDP"], PROTOCOLS["TCP"])  # what the kernel reads questions in


class Subject(NamedTuple):
    """All that a set depends on besides its policies."""

    direction: str
    is_host: bool = False
    ports: tuple[NamedPort, ...] = ()  # its own, which names in ingress rules stand for
    unread: Unread = ()  # its own, of which requests are the proxy's to read


class Group(NamedTuple):
    """Peers on which the same is decided."""

    cells: tuple[Cell, ...]
    peers: tuple[int, ...]


class PolicySet(NamedTuple):
    number: int
    digest: bytes  # of all of its content, the number is only 64 bits of it
    entries: Mapping[bytes, bytes]


def groups_of(subject: Subject, lines: Sequence[Line], members: Members) -> list[Group]:
    """What `lines` decide for a subject. A workload's own node always passes."""
    everybody = [position for position, line in enumerate(lines) if line.terms is None]
    usual = cells(list(_matches(lines, everybody, subject.ports)), subject.unread)
    found = [Group(usual, (int(Identity.ANY),))]
    if not subject.is_host:
        passing = Cell(int(PolicyPrefix.ANY), 0, 0, Decision(_FROM_NODE))
        found.append(Group((passing,), (int(Identity.HOST),)))
    by_cells: dict[tuple[Cell, ...], list[int]] = defaultdict(list)
    for (positions, ports), numbers in _by_shape(subject, lines, members).items():
        chosen = sorted({*everybody, *positions})
        by_cells[cells(list(_matches(lines, chosen, ports)), subject.unread)] += numbers
    found += [
        Group(decided, tuple(sorted(numbers)))
        for decided, numbers in by_cells.items()
        if decided != usual
    ]
    return sorted(found, key=lambda group: group.peers)


def _by_shape(
    subject: Subject, lines: Sequence[Line], members: Members
) -> dict[tuple[tuple[int, ...], tuple[NamedPort, ...]], list[int]]:
    """Peers by the lines that mean them and by the ports that names in these stand for."""
    found: dict[tuple[tuple[int, ...], tuple[NamedPort, ...]], list[int]] = defaultdict(list)
    outwards = subject.direction == "egress"
    names = {name for line in lines for name, _ in line.names}
    for number, positions in _meant(lines, members, names if outwards else ()).items():
        ports = subject.ports
        if outwards:
            ports = tuple(port for port in members.ports.get(number, ()) if port[0] in names)
        found[tuple(positions), ports].append(number)
    return found


def _meant(lines: Sequence[Line], members: Members, names: Iterable[str]) -> dict[int, list[int]]:
    """The positions of the lines that mean each peer, and who has a port of one of `names`."""
    found: dict[int, list[int]] = {
        number: [] for name in names for number in members.of.get(Term("port", name), NONE)
    }
    for position, line in enumerate(lines):
        for number in NONE.union(*(members.of.get(term, NONE) for term in line.terms or ())):
            found.setdefault(number, []).append(position)
    return found


def _matches(
    lines: Sequence[Line], positions: Iterable[int], ports: Iterable[NamedPort]
) -> Iterator[Match]:
    numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for name, protocol, number in ports:
        numbers[name, protocol].append(number)
    for position in positions:
        line = lines[position]
        named: list[Span] = [
            (PROTOCOLS[protocol], number, number)
            for name, protocol in line.names
            for number in numbers.get((name, protocol), ())
        ]
        yield Match(position, line, (*line.spans, *named))


def packed_set(
    groups: Sequence[Group],
    lines: Sequence[Line],
    numbers: Mapping[Rule, int],
    listeners: Numbering,
    named: Sequence[tuple[int, tuple[Packed, ...]]] = (),
) -> PolicySet:
    """`numbers` has every rule of the lines; `named` is what selectors of names allow besides."""
    packed = [
        [_packed(cell, lines, numbers, listeners, bool(named)) for cell in group.cells]
        for group in groups
    ]
    digest = hashlib.blake2b(repr(named).encode() if named else b"")
    for group, shape in zip(groups, packed, strict=True):
        digest.update(repr((shape, len(group.peers))).encode())
        digest.update(array("I", group.peers).tobytes())
    whole = digest.digest()
    number = int.from_bytes(whole[:8], "little") or 1
    entries = {
        abi.PolicyKey(prefix, number, peer, protocol, port).pack(): value
        for group, shape in zip(groups, packed, strict=True)
        for peer in group.peers
        for prefix, protocol, port, value in shape
    }
    for selector, cells_of in named:
        for prefix, protocol, port, value in cells_of:
            entries[abi.PolicyKey(prefix, number, selector, protocol, port).pack()] = value
    return PolicySet(number, whole, entries)


def _packed(
    cell: Cell,
    lines: Sequence[Line],
    numbers: Mapping[Rule, int],
    listeners: Numbering,
    has_names: bool,
) -> Packed:
    decider, audit = cell.decision.line, cell.decision.audit
    audited = int(RuleId.NONE) if audit == NOBODY else numbers[lines[audit].rule]
    rule, answer = int(RuleId.NOT_ISOLATED), Answer.ALLOW
    if decider == _FROM_NODE:
        rule = int(RuleId.HOST)
    elif decider != NOBODY:
        line = lines[decider]
        rule = numbers[line.rule]
        if line.action is Action.DENY:
            answer = Answer.REJECT if line.reject else Answer.DENY
    further, flags = _further(cell, lines, listeners)
    flags |= flags_of(cell.decision, lines) if has_names else 0
    entry = abi.PolicyEntry(rule, answer, audited, further, flags)
    return cell.prefix, cell.protocol, cell.port, entry.pack()


def _further(cell: Cell, lines: Sequence[Line], listeners: Numbering) -> tuple[int, int]:
    """The number of the rules of layer 7, and whether they are the kernel's.

    Of UDP and TCP the kernel reads the questions, of TCP only where no other rule of layer 7 reads
    it. What comes by another protocol falls, by name, unless everything may be asked for.
    """
    asked = [line.layer7 for line in map(lines.__getitem__, cell.decision.asked) if line.layer7]
    is_dns = [item.dns is not None for item in asked]
    if any(is_dns) and (cell.protocol == PROTOCOLS["UDP"] or all(is_dns)):
        every = any("*" in (item.dns or ()) for item in asked)
        if cell.protocol not in _DNS and (cell.decision.shadows or every):
            return 0, 0
        return listeners.dns_number(cell.decision), int(PolicyFlag.DNS)
    found = listeners.find(cell.decision)
    if found is None:
        return 0, 0
    return found.number, int(PolicyFlag.HELD) if found.held else 0


def closed(rule: int) -> PolicySet:
    """Denies everything, by a rule of this number."""
    digest = hashlib.blake2b(rule.to_bytes(4, "little")).digest()
    number = int.from_bytes(digest[:8], "little") or 1
    key = abi.PolicyKey(PolicyPrefix.ANY, number, Identity.ANY).pack()
    return PolicySet(number, digest, {key: abi.PolicyEntry(rule, Answer.DENY).pack()})
