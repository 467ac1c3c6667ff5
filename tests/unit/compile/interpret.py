"""compile/rules.py read aloud: the verdict that the one form of all policies gives."""

from __future__ import annotations

from collections.abc import Sequence

from tulle.abi import Reason
from tulle.compile.explain.ends import End, Kind, end_at
from tulle.compile.rules import (
    Action,
    Cidr,
    Entity,
    Nodes,
    PeerTerm,
    Pods,
    Policy,
    PolicyRule,
    PortTerm,
    Tier,
)
from tulle.compile.selectors import matches, named_port
from tulle.model.cilium import CLUSTER_KEY
from tulle.model.kubernetes import LabelSelector
from tulle.model.verdict import FROM_NODE, NOT_ISOLATED, Flow, RequestRule, Rule, Verdict
from tulle.model.world import World

Requests = tuple[RequestRule, ...]
# Rule, whether it denies, whether the sender is told, what judges requests
Ruling = tuple[Rule, bool, bool, Requests]


def verdict_of(world: World, policies: Sequence[Policy], flow: Flow) -> Verdict:
    ends = {"egress": end_at(world, flow.src), "ingress": end_at(world, flow.dst)}
    source, destination = ends["egress"], ends["ingress"]
    if Kind.SERVICE in (source.kind, destination.kind):
        return Verdict(Reason.NO_SERVICE_PORT)
    rules: dict[str, Rule] = {}
    requests: Requests = ()
    audit_requests: Requests = ()
    audit = None
    for direction, subject in ends.items():
        peer = destination if subject is source else source
        selecting = [
            item
            for item in policies
            if item.direction == direction and _selects(item.subject, subject)
        ]
        if not subject.is_local or (subject.kind is Kind.HOST and not selecting):
            continue
        enforced = [item for item in selecting if not item.audit]
        rule, denies, reject, asked = _judge(direction, enforced, peer, flow, destination)
        would, would_deny, _, shadow = _judge(direction, selecting, peer, flow, destination)
        if selecting and peer.kind is Kind.HOST:
            rule, denies, would_deny = Rule(direction, builtin=FROM_NODE), False, False
            asked, shadow = (), ()
        if denies:
            told = {direction: rule}
            return Verdict(Reason.POLICY_DENIED, audit=audit, reject=reject, **told)
        rules[direction] = rule
        requests += asked
        audit_requests += () if asked else shadow
        audit = audit or (would if would_deny else None)
    egress, ingress = rules.get("egress"), rules.get("ingress")
    return Verdict(
        Reason.ALLOWED,
        egress,
        ingress,
        audit,
        requests=requests,
        audit_requests=audit_requests,
    )


def _judge(
    direction: str, policies: Sequence[Policy], peer: End, flow: Flow, destination: End
) -> Ruling:
    def matching(tier: Tier) -> list[tuple[PolicyRule, Policy]]:
        ordered = [item for item in policies if item.tier is tier]
        if tier is not Tier.NAMESPACE:
            ordered.sort(key=lambda item: (item.priority, item.ref.name))
        return [
            (rule, item)
            for item in ordered
            for rule in item.rules
            if _meets(rule, peer, flow, destination)
        ]

    def first(tier: Tier) -> Ruling | None:
        for rule, policy in matching(tier):
            if rule.action is Action.PASS:
                return None
            denies = rule.action is Action.DENY
            return rule.rule, denies, denies and policy.reject, ()
        return None

    def namespaced() -> Ruling | None:
        found = matching(Tier.NAMESPACE)
        for wanted in (Action.DENY, Action.ALLOW):
            for rule, policy in found:
                if rule.action is wanted and rule.layer7 is None:
                    denies = wanted is Action.DENY
                    return rule.rule, denies, denies and policy.reject, ()
        reading = [rule for rule, _ in found if rule.layer7]
        if reading:
            asked = (RequestRule(rule.rule, rule.layer7.place) for rule in reading if rule.layer7)
            return reading[0].rule, False, False, tuple(asked)
        isolating = [item for item in policies if item.tier is Tier.NAMESPACE and item.isolates]
        if not isolating:
            return None
        spec = isolating[0].spec
        default = Rule(direction, isolating[0].ref, spec=spec)
        return default, True, any(item.reject for item in isolating), ()

    open_to_all = Rule(direction, builtin=NOT_ISOLATED), False, False, ()
    return first(Tier.ADMIN) or namespaced() or first(Tier.BASELINE) or open_to_all


def _selects(subject: Pods | Nodes, end: End) -> bool:
    wanted = Kind.WORKLOAD if isinstance(subject, Pods) else Kind.HOST
    return end.kind is wanted and matches(subject.selector, end.labels)


def _meets(rule: PolicyRule, peer: End, flow: Flow, destination: End) -> bool:
    by_peer = rule.peers is None or any(_is_peer(term, peer) for term in rule.peers)
    by_port = rule.ports is None or any(_is_port(term, flow, destination) for term in rule.ports)
    return by_peer and by_port


def _matches(selector: LabelSelector, end: End) -> bool:
    """One that names no cluster means this one."""
    keys = {*selector.match_labels, *(item.key for item in selector.match_expressions)}
    return (not end.cluster or CLUSTER_KEY in keys) and matches(selector, end.labels)


def _is_peer(term: PeerTerm, peer: End) -> bool:
    match term:
        case Pods():
            return peer.kind is Kind.WORKLOAD and _matches(term.selector, peer)
        case Nodes():
            return peer.kind in (Kind.HOST, Kind.NODE) and _matches(term.selector, peer)
        case Cidr():
            inside = peer.address in term.cidr and not any(
                peer.address in hole for hole in term.excluded
            )
            return inside and (term.managed or peer.kind is Kind.WORLD)
        case _:
            return _is_entity(term, peer)


def _is_entity(entity: Entity, peer: End) -> bool:
    world = peer.kind is Kind.WORLD
    if peer.cluster:
        is_node = entity is Entity.REMOTE_NODE and peer.kind in (Kind.NODE, Kind.INGRESS)
        return entity is Entity.ALL or is_node
    return {
        Entity.ALL: True,
        Entity.WORLD: world,
        Entity.WORLD_IPV4: world and peer.address.version == 4,
        Entity.WORLD_IPV6: world and peer.address.version == 6,
        Entity.CLUSTER: not world,
        Entity.HOST: peer.kind is Kind.HOST,
        Entity.REMOTE_NODE: peer.kind is Kind.NODE,
        Entity.UNMANAGED: peer.kind is Kind.UNMANAGED,
        Entity.INGRESS: peer.kind is Kind.INGRESS,
    }[entity]


def _is_port(term: PortTerm, flow: Flow, destination: End) -> bool:
    if term.protocol not in ("", flow.protocol):
        return False
    if isinstance(term.port, str):
        workload = destination.workload
        return workload is not None and flow.dport == named_port(workload, term.port, flow.protocol)
    return term.port is None or term.port <= flow.dport <= (term.end_port or term.port)
