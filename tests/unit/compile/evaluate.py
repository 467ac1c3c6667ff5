"""bpf/lib/judge.h in Python: what the kernel would decide from the raw bytes of an image.

It works on the maps as they are at any moment, also half-way through a list of changes.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from tulle import abi
from tulle.abi import Action, Identity, PolicyPrefix, PolicySet, Reason, RuleId
from tulle.compile import Compiled, Image
from tulle.model.verdict import Flow, Rule, Verdict
from tulle.model.world import IPAddress

PROTOCOLS = {"ICMP": 1, "TCP": 6, "UDP": 17, "ICMPv6": 58, "SCTP": 132}
Ruling = tuple[int, int, int]  # reason, egress rule, ingress rule


def evaluate(image: Image, flow: Flow) -> Ruling:
    """`judge_located`: the verdict on a new connection."""
    if identity_of(image, flow.dst) == Identity.SERVICE:
        return Reason.NO_SERVICE_PORT, RuleId.NONE, RuleId.NONE
    reason, egress = judge_egress(image, flow)
    if reason != Reason.ALLOWED:
        return reason, egress, RuleId.NONE
    reason, ingress = judge_ingress(image, flow)
    return reason, egress, ingress


def judge_egress(image: Image, flow: Flow) -> tuple[int, int]:
    """Reason and rule of the source's side; allowed by no rule if it is no workload."""
    source = _endpoint(image, flow.src)
    return _judge(image, source and source.egress_set, identity_of(image, flow.dst), flow)


def judge_ingress(image: Image, flow: Flow) -> tuple[int, int]:
    """Reason and rule of the destination's side; allowed by no rule if it is no workload."""
    destination = _endpoint(image, flow.dst)
    return _judge(
        image, destination and destination.ingress_set, identity_of(image, flow.src), flow
    )


def verdict_of(compiled: Compiled, ruling: Ruling) -> Verdict:
    """A ruling in `explain`'s words, which names only the side that denies."""
    reason, egress, ingress = ruling
    denied_at_ingress = reason == Reason.POLICY_DENIED and ingress != RuleId.NONE
    return Verdict(
        Reason(reason),
        None if denied_at_ingress else _rule(compiled, egress, "egress"),
        _rule(compiled, ingress, "ingress"),
    )


def _rule(compiled: Compiled, number: int, direction: str) -> Rule | None:
    if number == RuleId.NONE:
        return None
    rule = compiled.rules[number]
    return rule if rule.policy else replace(rule, direction=direction)


def _bits(address: IPAddress) -> bytes:
    mapped = isinstance(address, IPv4Address)
    return bytes(10) + b"\xff\xff" + address.packed if mapped else address.packed


def _endpoint(image: Image, address: IPAddress) -> abi.Endpoint | None:
    raw = image["endpoints"].get(_bits(address))
    return abi.Endpoint.unpack(raw) if raw else None


def identity_of(image: Image, address: IPAddress) -> int:
    """A workload's own identity, else that of the longest prefix around the address."""
    endpoint = _endpoint(image, address)
    if endpoint:
        return endpoint.identity
    number = int.from_bytes(_bits(address), "big")
    best, identity = -1, int(Identity.WORLD)
    for raw, value in image["ipcache"].items():
        key = abi.IpcacheKey.unpack(raw)
        differing = number ^ int.from_bytes(key.addr, "big")
        if differing >> (128 - key.prefixlen) == 0 and key.prefixlen > best:
            best, identity = key.prefixlen, abi.IpcacheEntry.unpack(value).identity
    return identity


def _judge(image: Image, number: int | None, peer: int, flow: Flow) -> tuple[int, int]:
    if number is None:
        return Reason.ALLOWED, RuleId.NONE
    if number == PolicySet.OPEN:
        return Reason.ALLOWED, RuleId.NOT_ISOLATED
    found = [
        entry
        for candidate in (peer, Identity.ANY)
        if (entry := _longest(image, number, candidate, flow))
    ]
    if not found:
        return Reason.NO_POLICY, RuleId.NONE
    entry = min(found, key=lambda item: item.order)
    allowed = entry.action == Action.ALLOW
    return Reason.ALLOWED if allowed else Reason.POLICY_DENIED, entry.rule


def _longest(image: Image, number: int, peer: int, flow: Flow) -> abi.PolicyEntry | None:
    protocol = PROTOCOLS[flow.protocol]
    for length in range(PolicyPrefix.FULL, PolicyPrefix.PORT - 1, -1):
        port = flow.dport >> (PolicyPrefix.FULL - length) << (PolicyPrefix.FULL - length)
        raw = image["policy"].get(abi.PolicyKey(length, number, peer, protocol, port).pack())
        if raw:
            return abi.PolicyEntry.unpack(raw)
    raw = image["policy"].get(abi.PolicyKey(PolicyPrefix.ANY, number, peer).pack())
    return abi.PolicyEntry.unpack(raw) if raw else None
