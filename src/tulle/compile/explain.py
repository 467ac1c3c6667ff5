"""The reference model of the datapath: the verdict on a connection's first packet, and its rule.

It reads the objects themselves, as the Kubernetes API reference words them. It knows nothing of
identities, prefixes or maps, and nothing of the compiler that makes those, so that the tests can
hold the compiled maps and the kernel's code against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Literal

from tulle.abi import Reason
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import (
    IPBlock,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicySpec,
)
from tulle.model.verdict import FROM_NODE, NOT_ISOLATED, Flow, Rule, Verdict
from tulle.model.world import IPAddress, IPNetwork, Workload, World

from .selectors import matches, named_port

Direction = Literal["egress", "ingress"]


def explain(world: World, flow: Flow) -> Verdict:
    """Judge the first packet of a connection, after service translation.

    Egress of the source is judged first; if that denies, ingress is not looked at. A side that is
    no workload of this node has no rule.
    """
    if _is_service_address(world, flow.dst) or _is_service_address(world, flow.src):
        return Verdict(Reason.NO_SERVICE_PORT)
    source, destination = _workload_at(world, flow.src), _workload_at(world, flow.dst)
    if source is not None and source is destination:
        return Verdict(Reason.ALLOWED)  # loopback: no packet leaves the workload

    egress, ingress = None, None
    if source:
        egress = _judge(world, "egress", source, _Remote(flow.dst, destination), flow, destination)
        if _denies(egress):
            return Verdict(Reason.POLICY_DENIED, egress=egress)
    if destination:
        remote = _Remote(flow.src, source)
        ingress = _judge(world, "ingress", destination, remote, flow, destination)
        if _denies(ingress):
            return Verdict(Reason.POLICY_DENIED, ingress=ingress)
    return Verdict(Reason.ALLOWED, egress, ingress)


@dataclass(frozen=True, slots=True)
class _Remote:
    """The other end, as one workload's policy sees it; `workload` is None if it is not ours."""

    address: IPAddress
    workload: Workload | None


def _judge(
    world: World,
    direction: Direction,
    subject: Workload,
    remote: _Remote,
    flow: Flow,
    destination: Workload | None,
) -> Rule:
    """The rule that decides in one direction: the first that matches, or the default deny."""
    policies = _isolating(world, direction, subject)
    if not policies:
        return Rule(direction, builtin=NOT_ISOLATED)
    if remote.address in world.node.addresses:
        return Rule(direction, builtin=FROM_NODE)
    for policy in policies:
        for index, (peers, ports) in enumerate(_rules(policy.spec, direction)):
            if _peers_match(world, policy, peers, remote) and _ports_match(
                ports, flow, destination
            ):
                return Rule(direction, ref_of(policy), index)
    return Rule(direction, ref_of(policies[0]))


def _denies(rule: Rule) -> bool:
    # NetworkPolicy has no deny rules: only the default of an isolating policy denies.
    return rule.policy is not None and rule.index is None


def _workload_at(world: World, address: IPAddress) -> Workload | None:
    for workload in world.workloads.values():
        if address in workload.addresses:
            return workload
    return None


def _is_service_address(world: World, address: IPAddress) -> bool:
    """Whether a packet goes to a ClusterIP: the socket hooks found no such port to translate."""
    return any(
        text not in ("", "None") and ip_address(text) == address
        for service in world.services.values()
        for text in (service.spec.cluster_ip, *service.spec.cluster_ips)
    )


def _isolating(world: World, direction: Direction, subject: Workload) -> list[NetworkPolicy]:
    """Policies that isolate the workload in this direction, in canonical order."""
    return [
        policy
        for (namespace, _), policy in sorted(world.policies.items(), key=lambda item: item[0])
        if namespace == subject.namespace
        and _covers(policy.spec, direction)
        and matches(policy.spec.pod_selector, subject.labels)
    ]


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
    world: World, policy: NetworkPolicy, peers: Sequence[NetworkPolicyPeer], remote: _Remote
) -> bool:
    return not peers or any(_peer_matches(world, policy, peer, remote) for peer in peers)


def _peer_matches(
    world: World, policy: NetworkPolicy, peer: NetworkPolicyPeer, remote: _Remote
) -> bool:
    if peer.ip_block is not None:
        return _in_block(peer.ip_block, remote.address)
    if remote.workload is None:
        return False  # selectors choose workloads; the node and foreign addresses have no labels
    namespace = remote.workload.namespace
    if peer.namespace_selector is None:
        if namespace != policy.metadata.namespace:
            return False
    elif not matches(peer.namespace_selector, world.namespace_labels(namespace)):
        return False
    return peer.pod_selector is None or matches(peer.pod_selector, remote.workload.labels)


def _in_block(block: IPBlock, address: IPAddress) -> bool:
    # An address is in no network of the other family.
    return address in _network(block.cidr) and not any(
        address in _network(hole) for hole in block.except_
    )


@lru_cache(maxsize=4096)
def _network(cidr: str) -> IPNetwork:
    return ip_network(cidr, strict=False)


def _ports_match(
    ports: Sequence[NetworkPolicyPort], flow: Flow, destination: Workload | None
) -> bool:
    return not ports or any(_port_matches(port, flow, destination) for port in ports)


def _port_matches(port: NetworkPolicyPort, flow: Flow, destination: Workload | None) -> bool:
    if port.protocol != flow.protocol:
        return False  # ICMP is never named by a port, so only rules without ports admit it
    if port.port is None:
        return True
    if isinstance(port.port, str):
        # A name means what the destination calls so, in either direction.
        return destination is not None and flow.dport == named_port(
            destination, port.port, port.protocol
        )
    return port.port <= flow.dport <= (port.end_port or port.port)
