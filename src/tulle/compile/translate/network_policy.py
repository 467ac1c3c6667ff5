"""networking.k8s.io/v1 NetworkPolicy → rules.Policy."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from tulle.model.kinds import ref_of
from tulle.model.kubernetes import (
    AUDIT_ANNOTATION,
    REJECT_ANNOTATION,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
)
from tulle.model.verdict import Rule

from ..rules import Action, Cidr, PeerTerm, Pods, Policy, PolicyRule, PortTerm
from .labels import both, in_namespace, of_namespaces, of_pods


def network_policy(policy: NetworkPolicy) -> tuple[Policy, ...]:
    """One of each direction that the policy isolates."""
    namespace = policy.metadata.namespace
    return tuple(
        Policy(
            ref=ref_of(policy),
            direction=direction,
            subject=Pods(both(of_pods(policy.spec.pod_selector), in_namespace(namespace))),
            rules=tuple(
                PolicyRule(
                    Rule(direction, ref_of(policy), index),
                    Action.ALLOW,
                    tuple(_peer(item, namespace) for item in peers) or None,
                    tuple(_port(item) for item in ports) or None,
                )
                for index, (peers, ports) in enumerate(_lists(policy, direction))
            ),
            audit=policy.metadata.says(AUDIT_ANNOTATION),
            reject=policy.metadata.says(REJECT_ANNOTATION),
        )
        for direction in _directions(policy)
    )


def _directions(policy: NetworkPolicy) -> tuple[str, ...]:
    """Absent or empty policyTypes mean ingress, and egress too if there are egress rules."""
    if types := policy.spec.policy_types:
        return tuple(sorted(item.lower() for item in types))
    return ("egress", "ingress") if policy.spec.egress else ("ingress",)


def _lists(
    policy: NetworkPolicy, direction: str
) -> Iterator[tuple[tuple[NetworkPolicyPeer, ...], tuple[NetworkPolicyPort, ...]]]:
    if direction == "ingress":
        yield from ((rule.from_, rule.ports) for rule in policy.spec.ingress)
    else:
        yield from ((rule.to, rule.ports) for rule in policy.spec.egress)


def _peer(peer: NetworkPolicyPeer, namespace: str) -> PeerTerm:
    if (block := peer.ip_block) is not None:
        excluded = tuple(ip_network(item, strict=False) for item in block.except_)
        return Cidr(ip_network(block.cidr, strict=False), excluded)
    chosen = [] if peer.pod_selector is None else [of_pods(peer.pod_selector)]
    if peer.namespace_selector is None:
        return Pods(both(*chosen, in_namespace(namespace)))
    return Pods(both(*chosen, of_namespaces(peer.namespace_selector)))


def _port(port: NetworkPolicyPort) -> PortTerm:
    return PortTerm(port.protocol, port.port, port.end_port)
