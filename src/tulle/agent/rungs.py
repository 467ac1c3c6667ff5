"""What `tulle get rungs` shows: on which rung each rule stands, and what forces it there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tulle.compile.isolation import Isolation
from tulle.compile.rule_sets import RuleSet
from tulle.model.bandwidth import UNLIMITED
from tulle.model.kubernetes import OBSERVE_LABEL
from tulle.model.verdict import Rule
from tulle.model.world import Workload

from .agent import Agent, Pass
from .homes import LABEL
from .routed_rungs import routed

Json = dict[str, Any]
PACKET = "addresses, protocol and port decide it"
DNS = "the kernel judges its questions in their packets"
NAMES = "the kernel learns the addresses of its names from DNS answers"
STREAM = "the kernel judges its requests in their packets"
NOT_SHORT = "this node was not started with --short-circuit"
ALONE = "no other workload of this node takes part"
SHORT = "TCP with others of this node that take part goes from socket to socket"
SHORT_BUT = f"{SHORT}, where no rule of layer 7 reads it"


def rungs(_: Agent, now: Pass) -> list[Json]:
    """A row for each rule and each place where it stands, and for each workload's short circuit."""
    isolation = now.compiled.memo.isolation
    sets = [*_for_requests(isolation), *isolation.dns.values()]
    reading = {part.rule for item in sets for part in item.parts}
    named = by_names(isolation)
    plain = {
        rule
        for rule in now.compiled.rules.values()
        if rule.policy is not None and rule not in reading
    }
    rows = [
        _row(rule, str(rule), *((2, NAMES) if rule in named else (1, PACKET))) for rule in plain
    ]
    rows += [row for item in sets for row in _of(item)]
    rows += [_line(of.namespace, name, 3, why) for (of, name), why in routed(now.routing).items()]
    rows.sort(key=lambda row: (row["rule"], row["set"]))
    return [*rows, *short_circuits(now)]


def by_names(isolation: Isolation) -> set[Rule]:
    """Rules whose peers have names of DNS."""
    return {
        line.rule
        for known in isolation.known.values()
        for line in known.lines
        if any(term.kind == "fqdn" for term in line.terms or ())
    }


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


def _row(rule: Rule, name: str, rung: int, why: str, number: int = 0) -> Json:
    assert rule.policy is not None
    return _line(rule.policy.namespace, name, rung, why, number)


def _line(namespace: str, name: str, rung: int, why: str, number: int = 0) -> Json:
    return {"namespace": namespace, "rule": name, "rung": rung, "why": why, "set": number}


# --- from socket to socket ---


def short_circuits(now: Pass) -> Iterator[Json]:
    """Which workloads take part, and what keeps the others; one row where nobody was asked to."""
    world, isolation = now.world, now.compiled.memo.isolation
    if not world.settings.short_circuit:
        yield _short("", "short circuit", NOT_SHORT)
        return
    reading = {item.content.number for item in isolation.known.values() if item.rule_sets}
    read = {who for who, numbers in isolation.sets.items() if reading.intersection(numbers)}
    kept = {key: _kept(item) for key, item in world.workloads.items()}
    for key, why in sorted(kept.items()):
        others = any(not reason for other, reason in kept.items() if other != key)
        why = why or ("" if others else ALONE)
        words = why or (SHORT_BUT if key in read else SHORT)
        yield _short(key[0], f"short circuit of {key[0]}/{key[1]}", words, takes_part=not why)


def _kept(workload: Workload) -> str:
    """What keeps a workload of this node from taking part; "" if nothing does."""
    if workload.labels.get(LABEL) == "false":
        return f"its label {LABEL} is false"
    if workload.labels.get(OBSERVE_LABEL) == "http":
        return f"its label {OBSERVE_LABEL} is http: what it says is read on its way"
    if workload.bandwidth != UNLIMITED:
        return "its bandwidth is limited"
    return "" if workload.ifindex else "it has no interface of its own"


def _short(namespace: str, name: str, why: str, *, takes_part: bool = False) -> Json:
    return _line(namespace, name, 2 if takes_part else 1, why)
