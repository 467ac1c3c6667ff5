"""What `tulle get rungs` shows: on which rung each rule stands, and what forces it there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tulle.compile.isolation import Isolation
from tulle.compile.rule_sets import RuleSet
from tulle.model.verdict import Rule

from .agent import Agent, Pass

Json = dict[str, Any]
PACKET = "addresses, protocol and port decide it"
DNS = "the kernel judges its questions in their packets"
STREAM = "the kernel judges its requests at the server's socket"


def rungs(_: Agent, now: Pass) -> list[Json]:
    """A row for each rule and each place where it stands."""
    isolation = now.compiled.memo.isolation
    sets = [*_for_requests(isolation), *isolation.dns.values()]
    reading = {part.rule for item in sets for part in item.parts}
    plain = {
        rule
        for rule in now.compiled.rules.values()
        if rule.policy is not None and rule not in reading
    }
    rows = [_row(rule, str(rule), 1, PACKET, 0) for rule in plain]
    rows += [row for item in sets for row in _of(item)]
    return sorted(rows, key=lambda row: (row["rule"], row["set"]))


def _for_requests(isolation: Isolation) -> Iterable[RuleSet]:
    """One may be the proxy's for several reasons, each on a port of its own."""
    made = (item for known in isolation.known.values() for item in known.rule_sets)
    found = {(item.number, item.why): item for item in made if item.number in isolation.rule_sets}
    return found.values()


def _of(item: RuleSet) -> Iterator[Json]:
    rung, why = (2, STREAM) if item.held else (3, item.why)
    for part in item.parts:
        if part.layer7.dns is not None:
            rung, why = 2, DNS
        yield _row(part.rule, f"{part.rule}.{part.layer7.place}", rung, why, item.number)


def _row(rule: Rule, name: str, rung: int, why: str, number: int) -> Json:
    assert rule.policy is not None
    namespace = rule.policy.namespace
    return {"namespace": namespace, "rule": name, "rung": rung, "why": why, "set": number}
