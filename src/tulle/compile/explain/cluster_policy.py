"""What ClusterNetworkPolicies say of a flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tulle.model.cluster_policy import (
    ClusterEgressPeer,
    ClusterEgressRule,
    ClusterIngressPeer,
    ClusterIngressRule,
    ClusterNetworkPolicySpec,
    ClusterProtocol,
    ClusterSubject,
    ProtocolPort,
)
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import AUDIT_ANNOTATION, REJECT_ANNOTATION
from tulle.model.verdict import Rule
from tulle.model.world import World

from ..rules import Action, Tier
from ..selectors import matches
from .ends import Direction, End, Kind, Question, inside, is_about, pods_match
from .tiers import Opinion

_ACTIONS = {"Accept": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS}
_TIERS = {"Admin": Tier.ADMIN, "Baseline": Tier.BASELINE}


def opinions(question: Question) -> Iterator[Opinion]:
    """One of each policy that selects the subject and has rules in this direction."""
    for policy in question.world.cluster_policies.values():
        spec = policy.spec
        rules = _rules(spec, question.direction)
        if rules and _selects(spec.subject, question.world, question.subject):
            ref = ref_of(policy)
            yield Opinion(
                ref,
                matched=tuple(
                    (Rule(question.direction, ref, index), _ACTIONS[rule.action])
                    for index, rule in enumerate(rules)
                    if _matches(rule, question)
                ),
                tier=_TIERS[spec.tier],
                priority=spec.priority,
                audit=policy.metadata.says(AUDIT_ANNOTATION),
                reject=policy.metadata.says(REJECT_ANNOTATION),
            )


def _rules(
    spec: ClusterNetworkPolicySpec, direction: Direction
) -> Sequence[ClusterIngressRule | ClusterEgressRule]:
    if direction == "ingress":
        return spec.ingress
    return spec.egress


def _selects(
    term: ClusterSubject | ClusterIngressPeer | ClusterEgressPeer, world: World, end: End
) -> bool:
    """Whether the end is a workload that the term means; nodes never are."""
    workload = end.workload
    if workload is None:
        return False
    labels = world.namespace_labels(workload.namespace, workload.cluster)
    if term.namespaces is not None:
        return is_about(end, ()) and matches(term.namespaces, labels)
    return (
        term.pods is not None
        and matches(term.pods.namespace_selector, labels)
        and pods_match(term.pods.pod_selector, end)
    )


def _matches(rule: ClusterIngressRule | ClusterEgressRule, question: Question) -> bool:
    peers = rule.from_ if isinstance(rule, ClusterIngressRule) else rule.to
    return any(_peer_matches(peer, question) for peer in peers) and (
        rule.protocols is None or any(_protocol_matches(item, question) for item in rule.protocols)
    )


def _peer_matches(peer: ClusterIngressPeer | ClusterEgressPeer, question: Question) -> bool:
    if _selects(peer, question.world, question.peer):
        return True
    if isinstance(peer, ClusterIngressPeer):
        return False
    if peer.nodes is not None:
        is_node = question.peer.kind in (Kind.HOST, Kind.NODE)
        keys = {*peer.nodes.match_labels, *(item.key for item in peer.nodes.match_expressions)}
        return (
            is_node and is_about(question.peer, keys) and matches(peer.nodes, question.peer.labels)
        )
    # About addresses, whoever has them.
    return any(inside(question.peer.address, cidr) for cidr in peer.networks or ())


def _protocol_matches(protocol: ClusterProtocol, question: Question) -> bool:
    if protocol.destination_named_port:
        return question.asks_for(protocol.destination_named_port)
    ports = {"TCP": protocol.tcp, "UDP": protocol.udp, "SCTP": protocol.sctp}
    wanted = ports.get(question.flow.protocol)
    return wanted is not None and _port_matches(wanted, question.flow.dport)


def _port_matches(wanted: ProtocolPort, port: int) -> bool:
    numbers = wanted.destination_port.range
    if numbers is not None:
        return numbers.start <= port <= numbers.end
    return wanted.destination_port.number == port
