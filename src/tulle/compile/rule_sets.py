"""Rule sets: by which rules requests of connections are judged, and where.

The kernel matches peer and port, as for any rule. What it can hold (`http`) it judges in packets:
there a number goes by what the rules say, as that of any set. The rest goes to the proxy's listener
of the set's number, which goes by the rules' names: so a changed rule changes the listener in
place. In both, connections that stand come under the new rule with their next request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from tulle.model.verdict import Rule

from .cells import NOBODY, Decision
from .http import Held, hold
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
    """What meets one of the parts is allowed; with `audit` all is, and what meets none is told.

    With `passes` all is, as another rule allows it: questions are read to learn from the answers.
    """

    number: int
    name: str
    parts: tuple[Part, ...]
    audit: bool = False
    held: Held | None = None  # the kernel judges by it
    why: str = ""  # not
    passes: bool = False

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of its rules of requests, in the order in which the kernel counts them."""
        return tuple(
            f"{part.rule}.{rule.place}" for part in self.parts for rule in part.layer7.http
        )


class Numbering:
    """The rule sets that the decisions on some lines come to; `made` has those asked for."""

    def __init__(
        self, lines: Sequence[Line], allocator: Allocator, *, host: bool, stream: bool
    ) -> None:
        """`host`: they select the node itself; `stream`: the kernel judges what it can."""
        self._lines, self._host, self._stream = lines, host, stream
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
        """Of the DNS rules that questions have to meet, or are only read for."""
        key = decision._replace(audit=NOBODY)
        if key not in self._dns:
            self._dns[key] = self._rule_set(decision, dns=True)
        return self._dns[key].number

    def find(self, decision: Decision) -> RuleSet | None:
        """None if every request is allowed or none."""
        if not decision.asked:
            return None
        key = decision._replace(line=NOBODY if decision.shadows else decision.line, audit=NOBODY)
        if key not in self._known:
            self._known[key] = self._rule_set(decision, dns=False)
        return self._known[key]

    def _rule_set(self, decision: Decision, dns: bool) -> RuleSet:
        lines = [self._lines[position] for position in decision.asked]
        passes = any(line.layer7 is None for line in lines)
        parts = tuple(
            Part(line.rule, line.layer7)
            for line in lines
            if line.layer7 is not None and (line.layer7.dns is not None) is dns
        )
        words = [
            *(["dns"] if dns else []),
            *(part.name for part in parts),
            *(["audit"] if decision.shadows else []),
            *(["passes"] if dns and passes else []),
        ]
        found = hold(
            self._stream and not dns,
            [(str(part.rule), part.layer7) for part in parts],
            audit=decision.shadows,
            outgoing=any(part.rule.direction == "egress" for part in parts),
            host=self._host,
            unread=decision.unread,
        )
        held, why = (None, found) if isinstance(found, str) else (found, "")
        words += [held.digest] if held else []
        name = hashlib.blake2b("\n".join(words).encode(), digest_size=16).hexdigest()
        number = self._allocator.get(KIND, name)
        return RuleSet(number, name, parts, decision.shadows, held, why, passes)
