"""The names that policy sets speak of: what the kernel finds their selectors by."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tulle import abi
from tulle.abi import DnsRulesFlag, NameScope
from tulle.model.kubernetes import ObjectRef
from tulle.model.world import Refusal

from .capacity import Limits, full
from .fqdns import Scope, Trie, glob_of, trie_of
from .lines import Line
from .named_peers import patterns_of, spoken_of
from .parts import Part
from .rule_sets import RuleSet

TOO_MANY = "too many patterns for the same workloads end like it: it means nobody"
UNHEARD = (
    "toFQDNs: means nobody for workloads without a rule for DNS (toPorts.rules.dns): names are "
    "learnt from answers to questions under such a rule"
)


class Spoken(NamedTuple):
    """Of one policy set: what its peers are meant by, and what may be asked for."""

    selectors: Mapping[str, int] = {}  # by pattern
    trie: Trie = Trie()
    asked: Mapping[int, Trie] = {}  # by number of DNS rules

    @property
    def rows(self) -> int:
        return len(self.trie.rows) + sum(len(trie.rows) for trie in self.asked.values())

    @property
    def lost(self) -> frozenset[str]:
        return self.trie.lost.union(*(trie.lost for trie in self.asked.values()))


def spoken_by(
    number: int, lines: Sequence[Line], dns: Iterable[RuleSet], selectors: Mapping[str, int]
) -> Spoken:
    """`dns` are the DNS rules that entries of the set of that number name."""
    meant = {name: selectors[name] for name in patterns_of(lines)}
    asked = {}
    for rules in dns:
        allowed = {name: selectors[name] for part in rules.parts for name in part.layer7.dns or ()}
        asked[rules.number] = trie_of(Scope(NameScope.RULES, rules.number), allowed)
    return Spoken(selectors, trie_of(Scope(NameScope.SET, number), meant), asked)


def refusals(known: Iterable[tuple[Sequence[Line], Spoken]]) -> Iterator[Refusal]:
    """Policies whose names mean nobody: there is no room, or nothing is heard of them."""
    found: set[tuple[ObjectRef, str]] = set()
    for lines, spoken in known:
        if not spoken.selectors:
            continue
        lost = spoken.lost
        for line in lines:
            if ref := line.rule.policy:
                gone = lost.intersection(spoken_of([line])) if lost else ()
                found.update((ref, f"{pattern}: {TOO_MANY}") for pattern in gone)
                if not spoken.asked and patterns_of([line]):
                    found.add((ref, UNHEARD))
    yield from (Refusal(ref, reason) for ref, reason in sorted(found))


class Names:
    """Of all sets that have found room."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._size = 0
        self._odd: set[str] = set()
        self._of: dict[int, Spoken] = {}  # by policy set
        self._asked: dict[int, Trie] = {}
        self.selectors: dict[str, int] = {}

    def problem(self, number: int, spoken: Spoken) -> str:
        """Why there is no room for what a set speaks of; "" if there is."""
        if len({*self._asked, *spoken.asked}) > self._limits["dns_rules"]:
            return full("dns_rules", self._limits)
        if self._size + self._fresh(number, spoken) > self._limits["fqdns"]:
            return full("fqdns", self._limits)
        odd = {name for name in spoken.selectors if glob_of(name) is not None}
        if len(self._odd | odd) > self._limits["globs"]:
            return full("globs", self._limits)
        return ""

    def add(self, number: int, spoken: Spoken) -> None:
        self._size += self._fresh(number, spoken)
        self._odd.update(name for name in spoken.selectors if glob_of(name) is not None)
        self._of[number] = spoken
        self._asked.update(spoken.asked)
        self.selectors.update(spoken.selectors)

    def _fresh(self, number: int, spoken: Spoken) -> int:
        """Rows that are not there yet."""
        own = 0 if number in self._of else len(spoken.trie.rows)
        asked = (trie for rules, trie in spoken.asked.items() if rules not in self._asked)
        return own + sum(len(trie.rows) for trie in asked)

    def rows(self, number: int) -> Mapping[bytes, bytes]:
        """Of a policy set."""
        return self._of[number].trie.rows if number in self._of else {}

    def parts(
        self, dns: Iterable[RuleSet], before: Mapping[Hashable, Part]
    ) -> Iterator[tuple[Hashable, Part]]:
        """Of DNS rules and of odd patterns; the same objects as long as they are the same."""
        fresh: dict[Hashable, Part] = {
            ("dns rules", item.number): _of_rules(item, self._asked[item.number]) for item in dns
        }
        for name in self._odd:
            number = self.selectors[name]
            if (glob := glob_of(name)) is not None:
                fresh["glob", number] = {"globs": {number.to_bytes(4, sys.byteorder): glob}}
        for key, part in fresh.items():
            known = before.get(key)
            yield key, known if known is not None and known == part else part


def _of_rules(rules: RuleSet, trie: Trie) -> Part:
    flags = int(DnsRulesFlag.PASS) if rules.passes or rules.audit else 0
    flags |= int(DnsRulesFlag.AUDIT) if rules.audit else 0
    row = {rules.number.to_bytes(4, sys.byteorder): abi.DnsRules(flags).pack()}
    return {"dns_rules": row, "fqdns": trie.rows}
