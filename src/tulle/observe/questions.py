"""DNS that the kernel has heard → flows, in the words of Hubble's flow.proto.

One flow when a question is asked, and one when its answer has come, if that is believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tulle.abi import DnsEvent, NameLimit, Reason
from tulle.compile.explain.dns_names import matches
from tulle.compile.parts import unpacked
from tulle.compile.rule_sets import RuleSet
from tulle.model.dns import name_of
from tulle.model.world import IPAddress

from .flows import PROTOCOLS, FlowDict, endpoint, timestamp
from .names import Names
from .reasons import name_of as reason_name
from .requests import EVENT_ACCESS_LOG

_ANSWER, _RCODE = 0x8000, 15
TYPES = {  # IANA's
    **{1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA"},
    **{33: "SRV", 64: "SVCB", 65: "HTTPS", 255: "ANY"},
}
CODES = {1: "Format Error", 2: "Server Failure", 3: "Non-Existent Domain", 5: "Query Refused"}


@dataclass(frozen=True, slots=True)
class Asked:
    """An event as it came, and the DNS rules that were in force then."""

    raw: bytes
    rule_sets: Mapping[int, RuleSet]

    def flow(self, names: Names) -> FlowDict:
        event = DnsEvent.unpack(self.raw)
        rules = self.rule_sets.get(event.rules)
        client, resolver = unpacked(event.client), unpacked(event.resolver)
        ends = [(client, event.port), (resolver, event.resolver_port)]
        if event.flags & _ANSWER:
            ends.reverse()
        (source, sport), (destination, dport) = ends
        flow: FlowDict = {
            "time": timestamp(event.time_ns + names.clock_offset_ns),
            "verdict": _verdict(event),
        }
        if event.reason >= Reason.DROP:
            flow["drop_reason_desc"] = "POLICY_DENIED"
        flow |= {
            "IP": {
                "source": str(source),
                "destination": str(destination),
                "ipVersion": f"IPv{source.version}",
            },
            "l4": {PROTOCOLS[event.proto]: {"source_port": sport, "destination_port": dport}},
            "source": endpoint(source, 0, names),
            "destination": endpoint(destination, 0, names),
            "l7": _l7(event),
        }
        return flow | _told(event, rules, resolver, names)


def _verdict(event: DnsEvent) -> str:
    if event.reason >= Reason.DROP:
        return "DROPPED"
    return "AUDIT" if event.unmet else "FORWARDED"


def _l7(event: DnsEvent) -> FlowDict:
    dns: FlowDict = {
        "query": f"{_name(event)}.",
        "observation_source": "kernel",
        "qtypes": [_type(event)],
    }
    if not event.flags & _ANSWER:
        return {"type": "REQUEST", "dns": dns}
    addresses = [str(item) for item in _addresses(event)]
    dns |= {"rcode": event.flags & _RCODE, "ips": addresses}
    if addresses:
        dns |= {"ttl": event.ttl_s, "rrtypes": [_type(event)]}
    return {"type": "RESPONSE", "dns": dns}


def _name(event: DnsEvent) -> str:
    return name_of(event.text, event.bits)


def _type(event: DnsEvent) -> str:
    return TYPES.get(event.qtype, f"TYPE{event.qtype}")  # RFC 3597


def _addresses(event: DnsEvent) -> list[IPAddress]:
    return [unpacked(raw) for raw in event.address[: min(event.found, NameLimit.TOLD)]]


def _told(event: DnsEvent, rules: RuleSet | None, resolver: IPAddress, names: Names) -> FlowDict:
    told: FlowDict = {
        "Type": "L7",
        "node_name": names.node,
        "event_type": {"type": EVENT_ACCESS_LOG},
        "traffic_direction": "EGRESS",
        "hook": "from-workload" if not event.flags & _ANSWER else "to-workload",
        "reason": reason_name(event.reason),
        "rule": _rule(event, rules, names),
        "Summary": _summary(event),
    }
    service = names.service_addresses.get(resolver)
    if service and not event.flags & _ANSWER:
        told["destination_service"] = {"name": service.name, "namespace": service.namespace}
    if event.unmet and rules:
        told["audit_rule"] = {"rule": f"not allowed by {_all(rules)}"}
    return told


def _rule(event: DnsEvent, rules: RuleSet | None, names: Names) -> str:
    """Which question of which rule; else the rule under whose questions it is."""
    if rules and event.reason >= Reason.DROP:
        return f"not allowed by {_all(rules)}"
    for part in rules.parts if rules else ():
        for place, pattern in enumerate(part.layer7.dns or ()):
            if matches(pattern, _name(event)):
                return f"{part.rule}.{part.layer7.place}.rules.dns[{place}]"
    rule = names.rules.get(event.rule)
    return str(rule) if rule else f"rule {event.rule}, which is gone"


def _all(rules: RuleSet) -> str:
    return ", ".join(f"{part.rule}.{part.layer7.place}" for part in rules.parts)


def _summary(event: DnsEvent) -> str:
    """As Hubble's text has it: `DNS Query example.com. A`."""
    asked = f"{_name(event)}. {_type(event)}"
    if not event.flags & _ANSWER:
        return f"DNS Query {asked}"
    code = event.flags & _RCODE
    if code:
        return f"DNS Answer RCode: {CODES.get(code, str(code))} ({asked})"
    found = ",".join(map(str, _addresses(event)))
    more = ",…" if event.found > NameLimit.TOLD else ""
    ttl = f" TTL: {event.ttl_s}" if event.found else ""
    return f'DNS Answer "{found}{more}"{ttl} ({asked})'
