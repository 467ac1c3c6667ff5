"""Rule sets: what of connections is for the node's proxy to judge, and by which rules.

The kernel matches peer and port, as for any rule, and sends the connection to the listener of the
set's number. A number goes by the rules' names, not by what they say: so a changed rule changes the
listener in place, and connections that stand come under the new rule with their next request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from tulle.model.verdict import Rule

from .cells import NOBODY, Decision
from .ids import Allocator
from .lines import Line
from .rules import Layer7

KIND = "rule set"  # of ids


class Part(NamedTuple):
    """What one rule allows."""

    rule: Rule
    layer7: Layer7

    @property
    def name(self) -> str:
        return f"{self.rule.direction} {self.rule}.{self.layer7.place}"


class RuleSet(NamedTuple):
    """What meets one of the parts is allowed; with `audit` all is, and what meets none is told."""

    number: int
    name: str
    parts: tuple[Part, ...]
    audit: bool = False


class Numbering:
    """The rule sets that the decisions on some lines come to; `made` has those asked for."""

    def __init__(self, lines: Sequence[Line], allocator: Allocator) -> None:
        self._lines = lines
        self._allocator = allocator
        self._known: dict[Decision, RuleSet] = {}
        self._dns: dict[Decision, RuleSet] = {}

    @property
    def made(self) -> tuple[RuleSet, ...]:
        return tuple(self._known.values())

    @property
    def dns(self) -> tuple[RuleSet, ...]:
        """Those that the kernel judges questions by."""
        return tuple(self._dns.values())

    def dns_number(self, decision: Decision) -> int:
        """Of the DNS rules that questions have to meet; 0 if they are only audited."""
        if decision.shadows:
            return 0
        key = decision._replace(audit=NOBODY)
        if key not in self._dns:
            self._dns[key] = self._rule_set(decision, dns=True)
        return self._dns[key].number

    def number(self, decision: Decision) -> int:
        """0 if every request is allowed or none."""
        if not decision.asked:
            return 0
        key = decision._replace(line=NOBODY if decision.shadows else decision.line, audit=NOBODY)
        if key not in self._known:
            self._known[key] = self._rule_set(decision, dns=False)
        return self._known[key].number

    def _rule_set(self, decision: Decision, dns: bool) -> RuleSet:
        lines = [self._lines[position] for position in decision.asked]
        parts = tuple(
            Part(line.rule, line.layer7)
            for line in lines
            if line.layer7 is not None and (line.layer7.dns is not None) is dns
        )
        words = [
            *(["dns"] if dns else []),
            *(part.name for part in parts),
            *(["audit"] if decision.shadows else []),
        ]
        name = hashlib.blake2b("\n".join(words).encode(), digest_size=16).hexdigest()
        return RuleSet(self._allocator.get(KIND, name), name, parts, decision.shadows)
