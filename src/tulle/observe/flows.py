"""Kernel events → flows, as JSON values in the words of Hubble's flow.proto.

Added to Hubble's words: `reason` and `hook` (the datapath's own), `rule` (what decided, in one
line), and `egress_rule`, `ingress_rule` and `audit_rule`, each with direction, policy and text.
A flow that passed, but that a policy in audit mode would have denied, has Hubble's verdict AUDIT.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from tulle.abi import Event, Flow, Hook, Reason
from tulle.compile.parts import unpacked
from tulle.model.kubernetes import ObjectRef
from tulle.model.verdict import Rule
from tulle.model.world import IPAddress, Workload

from .names import Names
from .reasons import DROP_REASON_UNKNOWN, HUBBLE, name_of, text_of

FlowDict = dict[str, Any]

PROTOCOLS = {1: "ICMPv4", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP"}  # IANA's numbers
TCP_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")  # from the lowest bit up
# Cilium's monitor/api MessageType
EVENT_DROP, EVENT_TRACE, EVENT_POLICY_VERDICT, EVENT_TRACE_SOCK = 1, 4, 5, 7
NAMESPACE_LABEL = "k8s:io.kubernetes.pod.namespace"
_NOWHERE = bytes(16)
_INWARD = (Hook.TO_WORKLOAD, Hook.FROM_UPLINK, Hook.FROM_OVERLAY)


def flow_of(event: Event, names: Names) -> FlowDict:
    """One event as a flow; a number without a name stays a number."""
    verdict, packet = event.verdict, event.flow
    dropped = verdict.reason >= Reason.DROP
    flow: FlowDict = {
        "time": timestamp(event.time_ns + names.clock_offset_ns),
        "verdict": "DROPPED" if dropped else "AUDIT" if verdict.audit_rule else "FORWARDED",
    }
    if dropped:
        flow["drop_reason_desc"] = HUBBLE.get(verdict.reason, DROP_REASON_UNKNOWN)
    flow |= _ends(event, names)
    flow |= _learnt(event, names)
    flow |= {
        "Type": "SOCK" if packet.hook == Hook.SOCKET else "L3_L4",
        "node_name": names.node,
        "event_type": {"type": _event_type(event)},
        "traffic_direction": _direction(event, names),
        "hook": _hook(packet.hook),
        "reason": name_of(verdict.reason),
        "rule": _deciding(event, names),
    }
    for key, number in (
        ("egress_rule", verdict.egress_rule),
        ("ingress_rule", verdict.ingress_rule),
    ):
        if number:
            flow[key] = _rule(number, key.removesuffix("_rule"), names)
    if verdict.audit_rule:
        audit = names.rules.get(verdict.audit_rule)
        flow["audit_rule"] = _rule(verdict.audit_rule, audit.direction if audit else "", names)
    flow["Summary"] = _summary(packet)
    return flow


def timestamp(time_ns: int) -> str:
    """RFC 3339 in UTC with nine decimals, so that text order is time order.

    >>> timestamp(1_700_000_000_123_456_789)
    '2023-11-14T22:13:20.123456789Z'
    """
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{_second(seconds)}.{rest:09d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _ends(event: Event, names: Names) -> FlowDict:
    """IP, l4, source, destination and the service, as far as the packet got parsed."""
    packet, verdict = event.flow, event.verdict
    ends: FlowDict = {}
    source, destination = _address(packet.src), _address(packet.dst)
    caller = names.cgroups.get(event.cgroup)
    if source is None and caller and destination:
        same = (item for item in caller.addresses if item.version == destination.version)
        source = next(same, None)  # a socket has no address of its own before connect()
    if destination:
        ends["IP"] = {
            "source": str(source or ""),
            "destination": str(destination),
            "ipVersion": f"IPv{destination.version}",
        }
    if packet.proto:
        ends["l4"] = {_protocol(packet.proto): _l4(packet, bool(verdict.reply))}
    ends["source"] = endpoint(source, verdict.src_identity, names, caller)
    ends["destination"] = endpoint(destination, verdict.dst_identity, names)
    service = _service(event, destination, names)
    if service:
        ends["destination_service"] = {"name": service.name, "namespace": service.namespace}
    return ends


def _learnt(event: Event, names: Names) -> FlowDict:
    """The names by which the end that is a workload here knows the other one."""
    packet, verdict = event.flow, event.verdict
    found: FlowDict = {}
    for key, address, ifindex in (
        ("source_names", packet.src, verdict.dst_ifindex),
        ("destination_names", packet.dst, verdict.src_ifindex),
    ):
        if ifindex and address != _NOWHERE:
            known = names.learnt(ifindex, unpacked(address))
            found |= {key: list(known)} if known else {}
    return found


def _address(raw: bytes) -> IPAddress | None:
    return unpacked(raw) if raw != _NOWHERE else None


def _protocol(number: int) -> str:
    return PROTOCOLS.get(number, f"protocol {number}")


def _l4(packet: Flow, reply: bool) -> FlowDict:
    name = PROTOCOLS.get(packet.proto)
    if name in ("ICMPv4", "ICMPv6"):
        return {} if reply else {"type": packet.dport}
    if name not in ("TCP", "UDP", "SCTP"):
        return {}
    layer: FlowDict = {"source_port": packet.sport} if packet.sport else {}
    layer["destination_port"] = packet.dport
    if name == "TCP" and packet.tcp_flags:
        layer["flags"] = dict.fromkeys(_flags(packet.tcp_flags), True)
    return layer


def _flags(bits: int) -> tuple[str, ...]:
    return tuple(name for place, name in enumerate(TCP_FLAGS) if bits >> place & 1)


def endpoint(
    address: IPAddress | None, identity: int, names: Names, known: Workload | None = None
) -> FlowDict:
    """One end in Hubble's words; `identity` 0 is not known, nor is `address` None."""
    end: FlowDict = {"identity": identity} if identity else {}
    workload = known or (names.workloads.get(address) if address else None)
    if workload:
        labels = [f"k8s:{key}={value}" for key, value in sorted(workload.labels.items())]
        end["namespace"] = workload.namespace
        end["labels"] = [*labels, f"{NAMESPACE_LABEL}={workload.namespace}"]
        end["pod_name"] = workload.name
    elif identity in names.identities:
        end["labels"] = list(names.identities[identity])
    return end


def _service(event: Event, destination: IPAddress | None, names: Names) -> ObjectRef | None:
    if event.service:
        return names.services.get(event.service)
    return names.service_addresses.get(destination) if destination else None


# What a rule decides: that of DNS is the one under whose rules the question is.
_BY_RULES = (
    *(Reason.ALLOWED, Reason.POLICY_DENIED),
    *(Reason.DNS_REFUSED, Reason.DNS_UNREADABLE, Reason.DNS_PROTOCOL),
)


def _event_type(event: Event) -> int:
    if event.flow.hook == Hook.SOCKET:
        return EVENT_TRACE_SOCK
    if event.verdict.reason in (Reason.ALLOWED, Reason.POLICY_DENIED):
        return EVENT_POLICY_VERDICT
    return EVENT_DROP if event.verdict.reason >= Reason.DROP else EVENT_TRACE


def _direction(event: Event, names: Names) -> str:
    """That of the rule that is told of, else that in which the packet passed the hook."""
    audit = names.rules.get(event.verdict.audit_rule)
    if audit is not None and event.verdict.reason < Reason.DROP:
        return audit.direction.upper()
    if event.verdict.ingress_rule or event.flow.hook in _INWARD:
        return "INGRESS"
    return "EGRESS"


def _hook(number: int) -> str:
    """`from-uplink` for 4; a hook that this Tulle does not know is its number."""
    try:
        return Hook(number).name.lower().replace("_", "-")
    except ValueError:
        return str(number)


def _deciding(event: Event, names: Names) -> str:
    """What denied, or what admitted: a policy's rule rather than the absence of policies."""
    verdict = event.verdict
    numbers = [item for item in (verdict.ingress_rule, verdict.egress_rule) if item]
    if verdict.reason not in _BY_RULES or not numbers:
        return _without_rule(event, names)
    for number in numbers:
        rule = names.rules.get(number)
        if rule and rule.policy:
            return str(rule)
    return _rule_text(numbers[0], names.rules.get(numbers[0]))


def _without_rule(event: Event, names: Names) -> str:
    """The reason in words; with the service's name where it is about one."""
    packet, reason = event.flow, event.verdict.reason
    service = _service(event, _address(packet.dst), names)
    if service and reason == Reason.NO_BACKEND:
        return f"{service} has no ready endpoint"
    if service and reason == Reason.NO_SERVICE_PORT:
        return f"{service} has no port {packet.dport}/{_protocol(packet.proto)}"
    return text_of(reason)


def _rule(number: int, direction: str, names: Names) -> FlowDict:
    rule = names.rules.get(number)
    described: FlowDict = {"id": number, "direction": direction, "rule": _rule_text(number, rule)}
    if rule and rule.policy:
        described["policy"] = {
            "kind": rule.policy.kind,
            "namespace": rule.policy.namespace,
            "name": rule.policy.name,
        }
    return described


def _rule_text(number: int, rule: Rule | None) -> str:
    return str(rule) if rule else f"rule {number}, which is gone"


def _summary(packet: Flow) -> str:
    about = "ICMP error about " if packet.icmp_error else ""
    if not packet.proto:
        return about
    if PROTOCOLS.get(packet.proto) == "TCP" and packet.tcp_flags:
        return f"{about}TCP Flags: {', '.join(_flags(packet.tcp_flags))}"
    return about + _protocol(packet.proto)
