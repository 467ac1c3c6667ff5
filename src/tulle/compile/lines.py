"""Policies as lines: the order in which rules count, with peers and ports as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tulle.model.kubernetes import LabelSelector, LabelSelectorRequirement
from tulle.model.verdict import Rule

from .blocks import EVERY_IPV4, EVERY_IPV6, block_name
from .rules import (
    WITH_PORTS,
    Action,
    Cidr,
    Entity,
    Fqdn,
    Layer7,
    Nodes,
    PeerTerm,
    Pods,
    Policy,
    PolicyRule,
    PortTerm,
    Tier,
)

PROTOCOLS: Mapping[str, int] = {"ICMP": 1, "TCP": 6, "UDP": 17, "ICMPv6": 58, "SCTP": 132}
ANY_PROTOCOL = 0
LAST_PORT = 65535

Span = tuple[int, int, int]  # protocol or ANY_PROTOCOL, first and last port
PortName = tuple[str, str]  # name, protocol


class Term(NamedTuple):
    """A question that a policy asks about a peer; equal for equal questions.

    `kind` is "pods" or "nodes" (by labels), "cidr" (of everything) or "world-cidr" (of what is
    outside) by a block's name, "entity", "fqdn" by a pattern of names, or "port" for who has a port
    of that name.
    """

    kind: str
    name: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    expressions: tuple[LabelSelectorRequirement, ...] = ()

    @property
    def keys(self) -> set[str]:
        """Of labels that it asks for."""
        return {key for key, _ in self.labels} | {item.key for item in self.expressions}

    @property
    def selector(self) -> LabelSelector:
        return LabelSelector(dict(self.labels), self.expressions)


class Line(NamedTuple):
    """One rule in one tier. `terms` None is everybody; without `spans` and `names`, no port."""

    rule: Rule
    action: Action
    tier: Tier
    terms: tuple[Term, ...] | None
    spans: tuple[Span, ...]
    names: tuple[PortName, ...]
    reject: bool
    audit: bool
    layer7: Layer7 | None = None
    default: bool = False  # what a policy that isolates denies by


@dataclass(frozen=True, eq=False)
class ParsedPolicy:
    """A policy, read once for as long as it stands; equal only to itself."""

    policy: Policy

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        return tuple(_line(self.policy, item) for item in self.policy.rules)

    @cached_property
    def default(self) -> Line | None:
        """Denies what nothing allows."""
        policy = self.policy
        if not policy.isolates or policy.tier is not Tier.NAMESPACE:
            return None
        rule = Rule(policy.direction, policy.ref, spec=policy.spec)
        everything = ((ANY_PROTOCOL, 0, LAST_PORT),)
        return Line(
            rule,
            Action.DENY,
            policy.tier,
            None,
            everything,
            (),
            policy.reject,
            policy.audit,
            default=True,
        )

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule that it has, its default denial included."""
        default = (self.default.rule,) if self.default else ()
        return (*(line.rule for line in self.lines), *default)

    @cached_property
    def rule_names(self) -> tuple[str, ...]:
        return tuple(f"{rule.direction} {rule}" for rule in self.rules)

    @cached_property
    def reads_requests(self) -> bool:
        """Of what comes in, as HTTP."""
        return self.policy.direction == "ingress" and any(
            line.layer7 is not None and line.layer7.dns is None for line in self.lines
        )

    @cached_property
    def terms(self) -> frozenset[Term]:
        found = {term for line in self.lines for term in line.terms or ()}
        return frozenset(found | {Term("port", name) for name in self.named_peers})

    @cached_property
    def blocks(self) -> tuple[Cidr, ...]:
        return tuple(
            block
            for rule in self.policy.rules
            for term in rule.peers or ()
            if (block := _as_block(term))
        )

    @cached_property
    def named_peers(self) -> frozenset[str]:
        """Names of ports that mean another number at each peer."""
        if self.policy.direction == "ingress":
            return frozenset()
        return frozenset(name for line in self.lines for name, _ in line.names)

    @cached_property
    def named_own(self) -> frozenset[PortName]:
        """Names of ports that mean a number of the subject."""
        if self.policy.direction == "egress":
            return frozenset()
        return frozenset(name for line in self.lines for name in line.names)


def in_order(policies: Iterable[ParsedPolicy]) -> list[Line]:
    """The lines of policies that select one subject, of which the first that matches decides.

    One that passes on leaves it to the next tier. `policies` are in order of their names.
    """
    by_tier: dict[Tier, list[ParsedPolicy]] = {tier: [] for tier in Tier}
    for item in policies:
        by_tier[item.policy.tier].append(item)
    lines = list(_ranked(by_tier[Tier.ADMIN]))
    within = [line for item in by_tier[Tier.NAMESPACE] for line in item.lines]
    lines += [line for line in within if line.action is Action.DENY]
    allowing = [line for line in within if line.action is Action.ALLOW]
    lines += sorted(allowing, key=lambda line: line.layer7 is not None)
    lines += _defaults([item.default for item in by_tier[Tier.NAMESPACE] if item.default])
    return [*lines, *_ranked(by_tier[Tier.BASELINE])]


def _defaults(defaults: list[Line]) -> Iterator[Line]:
    """The first, and the first that is in force if that one is only audited."""
    in_force = [line for line in defaults if not line.audit]
    if defaults and defaults[0].audit:
        yield defaults[0]
    if in_force:
        yield in_force[0]._replace(reject=any(line.reject for line in in_force))


def _ranked(policies: Iterable[ParsedPolicy]) -> Iterator[Line]:
    for item in sorted(policies, key=lambda item: item.policy.priority):
        yield from item.lines


def _line(policy: Policy, item: PolicyRule) -> Line:
    terms = None if item.peers is None else tuple(dict.fromkeys(map(_term, item.peers)))
    if terms is not None and Term("entity", Entity.ALL.value) in terms:
        terms = None
    spans: list[Span] = []
    names: list[PortName] = []
    for port in (PortTerm(),) if item.ports is None else item.ports:
        if isinstance(port.port, str):
            protocols = (port.protocol,) if port.protocol else WITH_PORTS
            names += [(port.port, protocol) for protocol in protocols]
        else:
            spans += _spans(port.protocol, port.port, port.end_port)
    return Line(
        item.rule,
        item.action,
        policy.tier,
        terms,
        tuple(spans),
        tuple(names),
        policy.reject,
        policy.audit,
        item.layer7,
    )


def _spans(protocol: str, first: int | None, last: int | None) -> Iterator[Span]:
    if first is None:
        yield PROTOCOLS[protocol] if protocol else ANY_PROTOCOL, 0, LAST_PORT
        return
    for name in (protocol,) if protocol else WITH_PORTS:
        yield PROTOCOLS[name], first, last or first


def _term(peer: PeerTerm) -> Term:
    match peer:
        case Pods(selector):
            return _of_labels("pods", selector)
        case Nodes(selector):
            return _of_labels("nodes", selector)
        case Fqdn(pattern):
            return Term("fqdn", pattern)
        case Cidr():
            return Term("cidr" if peer.managed else "world-cidr", block_name(peer))
        case Entity.WORLD_IPV4 | Entity.WORLD_IPV6:
            block = _as_block(peer)
            assert block
            return Term("world-cidr", block_name(block))
        case _:
            return Term("entity", peer.value)


def _of_labels(kind: str, selector: LabelSelector) -> Term:
    labels = tuple(sorted(selector.match_labels.items()))
    return Term(kind, "", labels, selector.match_expressions)


def _as_block(peer: PeerTerm) -> Cidr | None:
    match peer:
        case Cidr():
            return peer
        case Entity.WORLD_IPV4:
            return Cidr(EVERY_IPV4, managed=False)
        case Entity.WORLD_IPV6:
            return Cidr(EVERY_IPV6, managed=False)
        case _:
            return None
