"""What a policy set says of names: entries that hold for what a workload has learnt from DNS.

A peer that a name means has an entry of its own besides, by its address. Only where that leaves
it to what comes last, or to rules of layer 7, may a name allow more: so the two together are what
one decision through all rules would be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tulle import abi
from tulle.abi import Action as Answer
from tulle.abi import PolicyFlag, RuleId
from tulle.model.verdict import Rule

from .cells import NOBODY, Cell, Decision, Match, cells
from .lines import Line, Term
from .rules import Action, Tier

FQDN = "fqdn"  # kind of term
Packed = tuple[int, int, int, bytes]  # prefix, protocol, port, entry


def patterns_of(lines: Sequence[Line]) -> list[str]:
    """Every pattern that some line means peers by."""
    return sorted({term.name for line in lines for term in line.terms or () if term.kind == FQDN})


def spoken_of(lines: Sequence[Line]) -> list[str]:
    """Those, and the patterns of names that may be asked for."""
    asked = {name for line in lines if line.layer7 for name in line.layer7.dns or ()}
    return sorted({*patterns_of(lines), *asked})


def entries_of(
    lines: Sequence[Line], selectors: Mapping[str, int], numbers: Mapping[Rule, int]
) -> list[tuple[int, tuple[Packed, ...]]]:
    """For each selector what it allows. Lines in audit mode come last: they allow nothing."""
    found = []
    for pattern in patterns_of(lines):
        meant = [
            Match(position, line._replace(audit=False), line.spans)
            for position, line in enumerate(lines)
            if Term(FQDN, pattern) in (line.terms or ())
        ]
        meant.sort(key=lambda match: lines[match.position].audit)
        shape = tuple(_packed(cell, lines, numbers) for cell in cells(meant))
        found.append((selectors[pattern], shape))
    return found


def _packed(cell: Cell, lines: Sequence[Line], numbers: Mapping[Rule, int]) -> Packed:
    position = cell.decision.line
    rule, answer, flags = int(RuleId.NONE), Answer.DENY, 0
    if position != NOBODY:
        rule = numbers[lines[position].rule]
        if lines[position].audit:
            flags = int(PolicyFlag.AUDITED)
        else:
            answer = Answer.ALLOW
    return cell.prefix, cell.protocol, cell.port, abi.PolicyEntry(rule, answer, flags=flags).pack()


def flags_of(decision: Decision, lines: Sequence[Line]) -> int:
    """Whether names may overturn a decision on an address, in sets that have some."""
    return sum(_flags(decision, lines))


def _flags(decision: Decision, lines: Sequence[Line]) -> Iterator[int]:
    asked = bool(decision.asked) and not decision.shadows
    if asked or _is_late(decision.line, lines):
        yield int(PolicyFlag.NAMES)
    if _is_late(decision.audit, lines):
        yield int(PolicyFlag.AUDIT_NAMES)


def _is_late(position: int, lines: Sequence[Line]) -> bool:
    """Whether a line denies where no rule that allows was met before."""
    if position < 0:
        return False
    line = lines[position]
    return line.action is Action.DENY and (line.default or line.tier is Tier.BASELINE)
