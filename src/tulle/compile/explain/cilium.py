"""What CiliumNetworkPolicies and CiliumClusterwideNetworkPolicies say of a flow.

They are read as Cilium reads them: a direction whose lists are absent or empty is not spoken of;
deny rules isolate as allow rules do, unless `enableDefaultDeny` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tulle.model.cilium import (
    CiliumClusterwideNetworkPolicy,
    CiliumNetworkPolicy,
    CiliumRule,
    EgressDenyRule,
    EgressRule,
    IngressDenyRule,
    IngressRule,
    PortDenyRule,
    PortRule,
)
from tulle.model.icmp import ICMP_TYPES
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import AUDIT_ANNOTATION, REJECT_ANNOTATION
from tulle.model.verdict import RequestRule, Rule

from ..rules import Action
from .cilium_peers import Lists, labels_match, names_endpoint, names_somebody
from .cilium_requests import reads_requests
from .ends import Direction, End, Kind, Question
from .tiers import Opinion

AnyPolicy = CiliumNetworkPolicy | CiliumClusterwideNetworkPolicy
AnyRule = IngressRule | IngressDenyRule | EgressRule | EgressDenyRule
_WITH_PORTS = ("TCP", "UDP", "SCTP")


def opinions(question: Question) -> Iterator[Opinion]:
    """One of each spec that selects the subject and says something of this direction."""
    world = question.world
    policies: list[AnyPolicy] = [
        *world.cilium_policies.values(),
        *world.clusterwide_policies.values(),
    ]
    for policy in policies:
        for number, spec in _specs(policy):
            opinion = _opinion(question, policy, number, spec)
            if opinion and _selects(spec, policy.metadata.namespace, question.subject):
                yield opinion


def _specs(policy: AnyPolicy) -> Iterator[tuple[int | None, CiliumRule]]:
    if policy.spec is not None:
        yield None, policy.spec
    yield from enumerate(policy.specs)


def _selects(spec: CiliumRule, namespace: str, subject: End) -> bool:
    """A namespaced policy is about its own namespace, whatever its selector says."""
    if subject.kind is Kind.HOST:
        return spec.node_selector is not None and labels_match(spec.node_selector, subject)
    if spec.endpoint_selector is None or subject.workload is None:
        return False
    if namespace and subject.workload.namespace != namespace:
        return False
    return labels_match(spec.endpoint_selector, subject)


def _opinion(
    question: Question, policy: AnyPolicy, number: int | None, spec: CiliumRule
) -> Opinion | None:
    direction, ref = question.direction, ref_of(policy)
    allow, deny, isolates = _lists(spec, direction)
    if not (allow or deny or isolates):
        return None
    namespace = policy.metadata.namespace
    denied = [index for index, rule in enumerate(deny) if _matches(question, namespace, rule)]
    unmet = [index for index, rule in enumerate(allow) if _is_unmet(question, namespace, rule)]
    allowed = [index for index, rule in enumerate(allow) if _matches(question, namespace, rule)]
    requests = [
        RequestRule(Rule(direction, ref, index, spec=number), f"toPorts[{position}]")
        for index, rule in enumerate(allow)
        for position in _reading(question, namespace, rule)
    ]
    matched = [
        *((Rule(direction, ref, i, spec=number, deny=True), Action.DENY) for i in denied),
        *((Rule(direction, ref, i, spec=number), Action.DENY) for i in unmet),
        *((Rule(direction, ref, i, spec=number), Action.ALLOW) for i in allowed),
    ]
    return Opinion(
        ref,
        tuple(matched),
        default=Rule(direction, ref, spec=number) if isolates else None,
        audit=policy.metadata.says(AUDIT_ANNOTATION),
        reject=policy.metadata.says(REJECT_ANNOTATION),
        requests=tuple(requests),
    )


def _lists(
    spec: CiliumRule, direction: Direction
) -> tuple[Sequence[AnyRule], Sequence[AnyRule], bool]:
    """What a direction allows and denies, and whether it denies everything else."""
    allow: Sequence[AnyRule] | None
    deny: Sequence[AnyRule] | None
    if direction == "ingress":
        allow, deny, isolates = spec.ingress, spec.ingress_deny, spec.enable_default_deny.ingress
    else:
        allow, deny, isolates = spec.egress, spec.egress_deny, spec.enable_default_deny.egress
    return allow or (), deny or (), bool(allow or deny) if isolates is None else isolates


def _is_unmet(question: Question, namespace: str, rule: AnyRule) -> bool:
    """Whether the peer is a workload that does not match all that a rule requires of everybody."""
    required = Lists.of(rule).requires or ()
    return question.peer.workload is not None and not all(
        names_endpoint(question.peer, namespace, item) for item in required
    )


def _matches(question: Question, namespace: str, rule: AnyRule) -> bool:
    """Both parts must hold. No peers are everybody where ports are named, and else nobody."""
    has_ports = bool(rule.to_ports or rule.icmps)
    if has_ports and not _ports_match(question, rule):
        return False
    return _peers_match(question, namespace, rule) if _says_whom(rule) else has_ports


def _reading(question: Question, namespace: str, rule: AnyRule) -> Iterator[int]:
    """Which items of toPorts mean the flow, but some of its requests only."""
    if _says_whom(rule) and not _peers_match(question, namespace, rule):
        return
    listed: Sequence[PortRule | PortDenyRule] = rule.to_ports or ()
    for position, item in enumerate(listed):
        if reads_requests(item) and any(
            _port_matches(question, port.protocol, port.port, port.end_port) for port in item.ports
        ):
            yield position


def _says_whom(rule: AnyRule) -> bool:
    return Lists.of(rule).say_something


def _peers_match(question: Question, namespace: str, rule: AnyRule) -> bool:
    lists = Lists.of(rule)
    return names_somebody(question, lists) or any(
        names_endpoint(question.peer, namespace, item) for item in lists.endpoints or ()
    )


def _ports_match(question: Question, rule: AnyRule) -> bool:
    listed: Sequence[PortRule | PortDenyRule] = rule.to_ports or ()
    ports = (port for item in listed if not reads_requests(item) for port in item.ports)
    fields = (field for item in rule.icmps or () for field in item.fields)
    return any(
        _port_matches(question, port.protocol, port.port, port.end_port) for port in ports
    ) or any(_icmp_matches(question, field.family, field.type) for field in fields)


def _port_matches(question: Question, protocol: str, port: str, end: int) -> bool:
    flow = question.flow
    if flow.protocol not in (_WITH_PORTS if protocol in ("", "ANY") else (protocol,)):
        return False
    if not port.isdecimal():
        return not port or question.asks_for(port)
    return int(port) == 0 or int(port) <= flow.dport <= (end or int(port))


def _icmp_matches(question: Question, family: str, kind: int | str) -> bool:
    flow = question.flow
    number = ICMP_TYPES[family].get(str(kind), kind)
    return flow.protocol == ("ICMP" if family == "IPv4" else "ICMPv6") and flow.dport == int(number)
