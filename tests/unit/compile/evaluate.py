"""bpf/lib/judge.h in Python: what the kernel would decide from the raw bytes of its maps.

It works on the maps as they are at any moment, also half-way through a list of changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from tulle import abi
from tulle.abi import (
    Action,
    EndpointFlag,
    Identity,
    PolicyPrefix,
    PolicySet,
    Reason,
    RuleId,
    ServiceFlag,
)
from tulle.compile import Compiled
from tulle.compile.parts import packed
from tulle.model.proxy import RULES_ADDRESSES
from tulle.model.verdict import Flow, RequestRule, Rule, Verdict
from tulle.model.world import IPAddress

PROTOCOLS = {"ICMP": 1, "TCP": 6, "UDP": 17, "ICMPv6": 58, "SCTP": 132}
Maps = Mapping[str, Mapping[bytes, bytes]]


class Ruling(NamedTuple):
    """What `judge_located` leaves in a verdict."""

    reason: int
    egress: int = int(RuleId.NONE)
    ingress: int = int(RuleId.NONE)
    audit: int = int(RuleId.NONE)
    action: int = int(Action.ALLOW)
    listeners: tuple[int, ...] = ()  # of the proxy, which judge requests, egress first


def evaluate(maps: Maps, flow: Flow) -> Ruling:
    """`judge_located`: the verdict on a new connection."""
    if flow.dst in RULES_ADDRESSES or flow.src in RULES_ADDRESSES:
        return Ruling(Reason.NO_SERVICE_PORT)
    if _is_front(maps, flow):
        return Ruling(Reason.PROXIED)
    if Identity.SERVICE in (identity_of(maps, flow.dst), identity_of(maps, flow.src)):
        return Ruling(Reason.NO_SERVICE_PORT)
    egress = judge_egress(maps, flow)
    if egress.reason != Reason.ALLOWED:
        return egress
    ingress = judge_ingress(maps, flow)
    audit = egress.audit or ingress.audit
    if ingress.reason != Reason.ALLOWED:
        return ingress._replace(audit=audit)
    listeners = egress.listeners + ingress.listeners
    return ingress._replace(egress=egress.egress, audit=audit, listeners=listeners)


def _is_front(maps: Maps, flow: Flow) -> bool:
    """Whether the destination is the proxy's: a service's address, or the node's own."""
    endpoint = _endpoint(maps, flow.dst)
    if endpoint and not endpoint.flags & EndpointFlag.HOST:
        return False
    key = abi.ServiceKey(packed(flow.dst), flow.dport, PROTOCOLS[flow.protocol]).pack()
    row = maps["services"].get(key)
    return bool(row and abi.Service.unpack(row).flags & ServiceFlag.PROXY)


def judge_egress(maps: Maps, flow: Flow) -> Ruling:
    """Of the source's side; allowed by no rule if it is not of this node."""
    source = _endpoint(maps, flow.src)
    number = source.egress_set if source else 0
    if not _is_subject(source, number):
        return Ruling(Reason.ALLOWED)
    reason, entry = _judge(maps, number, identity_of(maps, flow.dst), flow)
    return Ruling(
        reason,
        egress=entry.rule,
        audit=entry.audit_rule,
        action=entry.action,
        listeners=(entry.proxy,) if entry.proxy else (),
    )


def judge_ingress(maps: Maps, flow: Flow) -> Ruling:
    """Of the destination's side; allowed by no rule if it is not of this node."""
    destination = _endpoint(maps, flow.dst)
    number = destination.ingress_set if destination else 0
    if not _is_subject(destination, number):
        return Ruling(Reason.ALLOWED)
    reason, entry = _judge(maps, number, identity_of(maps, flow.src), flow)
    return Ruling(
        reason,
        ingress=entry.rule,
        audit=entry.audit_rule,
        action=entry.action,
        listeners=(entry.proxy,) if entry.proxy else (),
    )


def verdict_of(compiled: Compiled, ruling: Ruling) -> Verdict:
    """A ruling in `explain`'s words, which names only the side that denies."""
    return Verdict(
        Reason(ruling.reason),
        _rule(compiled, ruling.egress, "egress"),
        _rule(compiled, ruling.ingress, "ingress"),
        _rule(compiled, ruling.audit, ""),
        ruling.action == Action.REJECT,
        _requests(compiled, ruling, audit=False),
        _requests(compiled, ruling, audit=True),
    )


def _requests(compiled: Compiled, ruling: Ruling, audit: bool) -> tuple[RequestRule, ...]:
    known = compiled.memo.isolation.rule_sets
    return tuple(
        RequestRule(part.rule, part.layer7.place)
        for number in ruling.listeners
        if known[number].audit is audit
        for part in known[number].parts
    )


def _rule(compiled: Compiled, number: int, direction: str) -> Rule | None:
    if number == RuleId.NONE:
        return None
    rule = compiled.rules[number]
    return rule if rule.policy else replace(rule, direction=direction)


def _endpoint(maps: Maps, address: IPAddress) -> abi.Endpoint | None:
    raw = maps["endpoints"].get(packed(address))
    return abi.Endpoint.unpack(raw) if raw else None


def _is_subject(end: abi.Endpoint | None, number: int) -> bool:
    """The host is one only if a policy selects it."""
    if end is None:
        return False
    selected = number != PolicySet.OPEN
    return bool(end.flags & EndpointFlag.WORKLOAD or (end.flags & EndpointFlag.HOST and selected))


def identity_of(maps: Maps, address: IPAddress) -> int:
    """An endpoint's own identity, else that of the longest prefix around the address."""
    endpoint = _endpoint(maps, address)
    if endpoint:
        return endpoint.identity
    number = int.from_bytes(packed(address), "big")
    best, identity = -1, int(Identity.WORLD)
    for raw, value in maps["ipcache"].items():
        key = abi.IpcacheKey.unpack(raw)
        differing = number ^ int.from_bytes(key.addr, "big")
        if differing >> (128 - key.prefixlen) == 0 and key.prefixlen > best:
            best, identity = key.prefixlen, abi.IpcacheEntry.unpack(value).identity
    return identity


def _judge(maps: Maps, number: int, peer: int, flow: Flow) -> tuple[int, abi.PolicyEntry]:
    if number == PolicySet.OPEN:
        return Reason.ALLOWED, abi.PolicyEntry(RuleId.NOT_ISOLATED, Action.ALLOW)
    entry = _longest(maps, number, peer, flow) or _longest(maps, number, Identity.ANY, flow)
    if entry is None:
        return Reason.NO_POLICY, abi.PolicyEntry(action=Action.ALLOW)
    allowed = entry.action == Action.ALLOW
    return Reason.ALLOWED if allowed else Reason.POLICY_DENIED, entry


def _longest(maps: Maps, number: int, peer: int, flow: Flow) -> abi.PolicyEntry | None:
    protocol = PROTOCOLS[flow.protocol]
    for length in range(PolicyPrefix.FULL, PolicyPrefix.PORT - 1, -1):
        port = flow.dport >> (PolicyPrefix.FULL - length) << (PolicyPrefix.FULL - length)
        raw = maps["policy"].get(abi.PolicyKey(length, number, peer, protocol, port).pack())
        if raw:
            return abi.PolicyEntry.unpack(raw)
    raw = maps["policy"].get(abi.PolicyKey(PolicyPrefix.ANY, number, peer).pack())
    return abi.PolicyEntry.unpack(raw) if raw else None
