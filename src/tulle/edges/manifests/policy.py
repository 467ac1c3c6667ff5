"""Rules of networking.k8s.io/v1 NetworkPolicy."""

from __future__ import annotations

from typing import Literal

import msgspec

from tulle.model.kubernetes import IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort

from .fields import FieldError, quote
from .syntax import check_port_name, check_selector, parse_cidr


def validate_policy(policy: NetworkPolicy) -> NetworkPolicy:
    """`policyTypes` are always given afterwards, and CIDRs are in canonical form."""
    spec = policy.spec
    check_selector(spec.pod_selector, "spec", "podSelector")
    ingress = tuple(
        msgspec.structs.replace(
            rule, from_=_parts(rule.from_, rule.ports, ("spec", "ingress", index), "from")
        )
        for index, rule in enumerate(spec.ingress)
    )
    egress = tuple(
        msgspec.structs.replace(
            rule, to=_parts(rule.to, rule.ports, ("spec", "egress", index), "to")
        )
        for index, rule in enumerate(spec.egress)
    )
    spec = msgspec.structs.replace(
        spec, ingress=ingress, egress=egress, policy_types=_policy_types(policy)
    )
    return msgspec.structs.replace(policy, spec=spec)


def _policy_types(policy: NetworkPolicy) -> tuple[Literal["Ingress", "Egress"], ...]:
    """Absent and empty mean the same to an API server: Ingress, and Egress if there are rules."""
    given = policy.spec.policy_types
    if given and len(set(given)) != len(given):
        raise FieldError("must not name a direction twice", "spec", "policyTypes")
    return given or (("Ingress", "Egress") if policy.spec.egress else ("Ingress",))


def _parts(
    peers: tuple[NetworkPolicyPeer, ...],
    ports: tuple[NetworkPolicyPort, ...],
    path: tuple[str | int, ...],
    side: str,
) -> tuple[NetworkPolicyPeer, ...]:
    """Check a rule's ports and peers; the peers in canonical form."""
    for index, port in enumerate(ports):
        _check_port(port, *path, "ports", index)
    return tuple(_peer(peer, *path, side, index) for index, peer in enumerate(peers))


def _check_port(port: NetworkPolicyPort, *path: str | int) -> None:
    if isinstance(port.port, str):
        check_port_name(port.port, *path, "port")
    if port.end_port is None:
        return
    if not isinstance(port.port, int):
        raise FieldError("needs a numeric port beside it", *path, "endPort")
    if port.end_port < port.port:
        raise FieldError(f"{port.end_port} is below port {port.port}", *path, "endPort")


def _peer(peer: NetworkPolicyPeer, *path: str | int) -> NetworkPolicyPeer:
    selectors = {"podSelector": peer.pod_selector, "namespaceSelector": peer.namespace_selector}
    for name, selector in selectors.items():
        if selector is None:
            continue
        if peer.ip_block is not None:
            raise FieldError(f"cannot stand beside {name}", *path, "ipBlock")
        check_selector(selector, *path, name)
    if peer.ip_block is not None:
        block = _ip_block(peer.ip_block, *path, "ipBlock")
        return msgspec.structs.replace(peer, ip_block=block)
    if all(selector is None for selector in selectors.values()):
        raise FieldError("needs a podSelector, a namespaceSelector or an ipBlock", *path)
    return peer


def _ip_block(block: IPBlock, *path: str | int) -> IPBlock:
    whole = parse_cidr(block.cidr, *path, "cidr")
    excepts = []
    for index, text in enumerate(block.except_):
        part = parse_cidr(text, *path, "except", index)
        inside = (
            part.version == whole.version
            and part.prefixlen > whole.prefixlen
            and part.network_address in whole
        )
        if not inside:
            reason = f"{quote(text)} is not a part of {whole}"
            raise FieldError(reason, *path, "except", index)
        excepts.append(str(part))
    return msgspec.structs.replace(block, cidr=str(whole), except_=tuple(excepts))
