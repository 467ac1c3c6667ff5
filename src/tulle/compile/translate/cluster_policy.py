"""policy.networking.k8s.io ClusterNetworkPolicy → rules.Policy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network

from tulle.model.cluster_policy import (
    ClusterEgressPeer,
    ClusterEgressRule,
    ClusterIngressPeer,
    ClusterIngressRule,
    ClusterNetworkPolicy,
    ClusterProtocol,
    ClusterSubject,
    ProtocolPort,
)
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import AUDIT_ANNOTATION, REJECT_ANNOTATION
from tulle.model.verdict import Rule

from ..rules import (
    WITH_PORTS,
    Action,
    Cidr,
    Nodes,
    PeerTerm,
    Pods,
    Policy,
    PolicyRule,
    PortTerm,
    Tier,
)
from .labels import both, of_namespaces, of_pods

_ACTIONS = {"Accept": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS}
_TIERS = {"Admin": Tier.ADMIN, "Baseline": Tier.BASELINE}


def cluster_policy(policy: ClusterNetworkPolicy) -> tuple[Policy, ...]:
    """One of each direction that the policy has rules for."""
    spec = policy.spec
    return tuple(
        Policy(
            ref_of(policy),
            direction,
            _pods(spec.subject),
            tuple(rules),
            _TIERS[spec.tier],
            spec.priority,
            isolates=False,
            audit=policy.metadata.says(AUDIT_ANNOTATION),
            reject=policy.metadata.says(REJECT_ANNOTATION),
        )
        for direction in ("egress", "ingress")
        if (rules := list(_rules(policy, direction)))
    )


def _rules(policy: ClusterNetworkPolicy, direction: str) -> Iterator[PolicyRule]:
    peers: Iterable[ClusterIngressPeer | ClusterEgressPeer]
    listed: Sequence[ClusterIngressRule | ClusterEgressRule] = policy.spec.egress
    if direction == "ingress":
        listed = policy.spec.ingress
    for index, rule in enumerate(listed):
        peers = rule.from_ if isinstance(rule, ClusterIngressRule) else rule.to
        terms = tuple(term for peer in peers for term in _terms(peer))
        ports = None
        if rule.protocols is not None:
            ports = tuple(term for item in rule.protocols for term in _ports(item))
        where = Rule(direction, ref_of(policy), index)
        yield PolicyRule(where, _ACTIONS[rule.action], terms, ports)


def _pods(chosen: ClusterSubject | ClusterIngressPeer | ClusterEgressPeer) -> Pods:
    if chosen.namespaces is not None:
        return Pods(of_namespaces(chosen.namespaces))
    assert chosen.pods is not None
    pods = chosen.pods
    return Pods(both(of_pods(pods.pod_selector), of_namespaces(pods.namespace_selector)))


def _terms(peer: ClusterIngressPeer | ClusterEgressPeer) -> Iterator[PeerTerm]:
    if isinstance(peer, ClusterEgressPeer):
        if peer.nodes is not None:
            yield Nodes(peer.nodes)
            return
        if peer.networks is not None:
            yield from (Cidr(ip_network(text, strict=False)) for text in peer.networks)
            return
    yield _pods(peer)


def _ports(item: ClusterProtocol) -> Iterator[PortTerm]:
    if item.destination_named_port:
        yield from (PortTerm(name, item.destination_named_port) for name in WITH_PORTS)
        return
    for protocol, chosen in (("TCP", item.tcp), ("UDP", item.udp), ("SCTP", item.sctp)):
        if chosen is not None:
            yield _port(protocol, chosen)


def _port(protocol: str, chosen: ProtocolPort) -> PortTerm:
    port = chosen.destination_port
    if port.range is not None:
        return PortTerm(protocol, port.range.start, port.range.end)
    return PortTerm(protocol, port.number)
