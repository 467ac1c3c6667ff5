"""What NetworkPolicies say of a flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tulle.model.kinds import ref_of
from tulle.model.kubernetes import (
    AUDIT_ANNOTATION,
    REJECT_ANNOTATION,
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicySpec,
)
from tulle.model.verdict import Rule

from ..rules import Action
from ..selectors import matches
from .ends import Direction, Question, inside, pods_match
from .tiers import Opinion


def opinions(question: Question) -> Iterator[Opinion]:
    """One of each policy that isolates the subject in this direction."""
    subject = question.subject.workload
    if subject is None:
        return  # a NetworkPolicy is never about a node
    for (namespace, _), policy in question.world.policies.items():
        spec = policy.spec
        if (
            namespace == subject.namespace
            and _covers(spec, question.direction)
            and pods_match(spec.pod_selector, question.subject)
        ):
            ref = ref_of(policy)
            yield Opinion(
                ref,
                matched=tuple(
                    (Rule(question.direction, ref, index), Action.ALLOW)
                    for index, (peers, ports) in enumerate(_rules(spec, question.direction))
                    if _peers_match(question, policy, peers) and _ports_match(question, ports)
                ),
                default=Rule(question.direction, ref),
                audit=policy.metadata.says(AUDIT_ANNOTATION),
                reject=policy.metadata.says(REJECT_ANNOTATION),
            )


def _covers(spec: NetworkPolicySpec, direction: Direction) -> bool:
    # Kubernetes' defaulting treats an empty list as an absent one.
    if not spec.policy_types:
        return direction == "ingress" or bool(spec.egress)
    return ("Ingress" if direction == "ingress" else "Egress") in spec.policy_types


def _rules(
    spec: NetworkPolicySpec, direction: Direction
) -> Iterator[tuple[Sequence[NetworkPolicyPeer], Sequence[NetworkPolicyPort]]]:
    if direction == "ingress":
        return ((rule.from_, rule.ports) for rule in spec.ingress)
    return ((rule.to, rule.ports) for rule in spec.egress)


def _peers_match(
    question: Question, policy: NetworkPolicy, peers: Sequence[NetworkPolicyPeer]
) -> bool:
    return not peers or any(_peer_matches(question, policy, peer) for peer in peers)


def _peer_matches(question: Question, policy: NetworkPolicy, peer: NetworkPolicyPeer) -> bool:
    if peer.ip_block is not None:
        # About addresses, whoever has them.
        return inside(question.peer.address, peer.ip_block.cidr, peer.ip_block.except_)
    workload = question.peer.workload
    if workload is None:
        return False  # selectors choose workloads; nodes and foreign addresses are none
    if peer.namespace_selector is None:
        if workload.namespace != policy.metadata.namespace:
            return False
    else:
        labels = question.world.namespace_labels(workload.namespace, workload.cluster)
        if not matches(peer.namespace_selector, labels):
            return False
    return pods_match(peer.pod_selector or LabelSelector(), question.peer)


def _ports_match(question: Question, ports: Sequence[NetworkPolicyPort]) -> bool:
    return not ports or any(_port_matches(question, port) for port in ports)


def _port_matches(question: Question, port: NetworkPolicyPort) -> bool:
    flow = question.flow
    if port.protocol != flow.protocol:
        return False  # ICMP is never named by a port, so only rules without ports admit it
    if port.port is None:
        return True
    if isinstance(port.port, str):
        return question.asks_for(port.port)
    return port.port <= flow.dport <= (port.end_port or port.port)
