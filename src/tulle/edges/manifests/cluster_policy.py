"""Rules of policy.networking.k8s.io ClusterNetworkPolicy."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import msgspec

from tulle.model.cluster_policy import (
    ClusterEgressPeer,
    ClusterEgressRule,
    ClusterIngressPeer,
    ClusterIngressRule,
    ClusterNetworkPolicy,
    ClusterProtocol,
    ClusterSubject,
    DestinationPort,
)

from .fields import FieldError, quote
from .syntax import check_port_name, check_selector, parse_cidr

Peer = ClusterIngressPeer | ClusterEgressPeer

_MAX_ITEMS = 25  # of every list: rules, peers, protocols, networks


def validate_cluster_policy(policy: ClusterNetworkPolicy) -> ClusterNetworkPolicy:
    spec = policy.spec
    _check_pods(spec.subject, "spec", "subject")
    directions: dict[str, Sequence[ClusterIngressRule | ClusterEgressRule]] = {
        "ingress": spec.ingress,
        "egress": spec.egress,
    }
    for name, rules in directions.items():
        _check_count(rules, 0, "spec", name)
        for index, rule in enumerate(rules):
            _check_rule(rule, "spec", name, index)
    return policy


def _check_rule(rule: ClusterIngressRule | ClusterEgressRule, *path: str | int) -> None:
    side = "from" if isinstance(rule, ClusterIngressRule) else "to"
    peers: Sequence[Peer] = rule.from_ if isinstance(rule, ClusterIngressRule) else rule.to
    _check_count(peers, 1, *path, side)
    for index, peer in enumerate(peers):
        _check_peer(peer, *path, side, index)
    if rule.protocols is None:
        return
    _check_count(rule.protocols, 1, *path, "protocols")
    for index, item in enumerate(rule.protocols):
        _check_protocol(item, *path, "protocols", index)
        outside = next((number for number, peer in enumerate(peers) if _has_no_names(peer)), None)
        if item.destination_named_port and outside is not None:
            reason = f"{side}[{outside}] has no named ports: give it a rule of its own"
            raise FieldError(reason, *path, "protocols", index, "destinationNamedPort")


def _has_no_names(peer: Peer) -> bool:
    """Only pods have named ports."""
    return peer.namespaces is None and peer.pods is None


def _check_peer(peer: Peer, *path: str | int) -> None:
    if isinstance(peer, ClusterEgressPeer):
        if peer.domain_names is not None:
            reason = "is not supported yet: it needs names learnt from DNS"
            raise FieldError(reason, *path, "domainNames")
        if peer.nodes is not None:
            _check_one(peer, *path)
            check_selector(peer.nodes, *path, "nodes")
            return
        if peer.networks is not None:
            _check_one(peer, *path)
            _check_networks(peer.networks, *path, "networks")
            return
    _check_pods(peer, *path)


def _check_pods(chosen: ClusterSubject | Peer, *path: str | int) -> None:
    _check_one(chosen, *path)
    if chosen.namespaces is not None:
        check_selector(chosen.namespaces, *path, "namespaces")
    if (pods := chosen.pods) is not None:
        check_selector(pods.namespace_selector, *path, "pods", "namespaceSelector")
        check_selector(pods.pod_selector, *path, "pods", "podSelector")


def _check_networks(networks: tuple[str, ...], *path: str | int) -> None:
    _check_count(networks, 1, *path)
    for index, text in enumerate(networks):
        network = parse_cidr(text, *path, index)
        if ip_address(text.partition("/")[0]) != network.network_address:
            raise FieldError(f"{quote(text)} must be written as {network}", *path, index)


def _check_protocol(item: ClusterProtocol, *path: str | int) -> None:
    _check_one(item, *path)
    if item.destination_named_port:
        check_port_name(item.destination_named_port, *path, "destinationNamedPort")
    for name, chosen in (("tcp", item.tcp), ("udp", item.udp), ("sctp", item.sctp)):
        if chosen is not None:
            _check_port(chosen.destination_port, *path, name, "destinationPort")


def _check_port(port: DestinationPort, *path: str | int) -> None:
    _check_one(port, *path)
    if port.range is not None and port.range.start >= port.range.end:
        reason = f"{port.range.end} is not above the start {port.range.start}"
        raise FieldError(reason, *path, "range", "end")


def _check_one(item: msgspec.Struct, *path: str | int) -> None:
    """Exactly one of an object's fields must be given."""
    fields = msgspec.structs.fields(item)
    given = sum(getattr(item, field.name) not in (None, "") for field in fields)
    if given != 1:
        names = ", ".join(field.encode_name for field in fields)
        raise FieldError(f"needs exactly one of {names}", *path)


def _check_count(items: Sequence[object], least: int, *path: str | int) -> None:
    if len(items) < least:
        raise FieldError("needs at least one item", *path)
    if len(items) > _MAX_ITEMS:
        raise FieldError(f"holds more than {_MAX_ITEMS}", *path)
