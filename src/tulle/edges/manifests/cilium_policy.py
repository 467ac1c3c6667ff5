"""Rules of CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy, and what of them is not here."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from tulle.model.cilium import (
    CiliumClusterwideNetworkPolicy,
    CiliumNetworkPolicy,
    CiliumRule,
    EgressDenyRule,
    EgressRule,
    IcmpField,
    IngressDenyRule,
    IngressRule,
    L7Rules,
    PortDenyRule,
    PortProtocol,
    PortRule,
)
from tulle.model.icmp import ICMP_TYPES

from . import cilium_peers as peers
from .cilium_l7 import check_layer7
from .fields import FieldError, quote
from .syntax import check_port_name

CiliumPolicy = CiliumNetworkPolicy | CiliumClusterwideNetworkPolicy
AnyRule = IngressRule | IngressDenyRule | EgressRule | EgressDenyRule

_MAX_PORTS = 40  # of one toPorts item, and of one icmps item
_NUMBER = re.compile("0|[1-9][0-9]{0,4}")
_PORT_MAX = 65535
_ICMP_MAX = 255

# Lists of peers, of which a rule may have one; `requires` adds to another.
_PEERS: dict[str, Callable[..., None]] = {
    "endpoints": peers.check_peer,
    "cidr": peers.check_cidr,
    "cidr_set": peers.check_cidr_rule,
    "entities": peers.check_entity,
    "nodes": lambda selector, *path: peers.check_sourced(selector, peers.OF_NODES, *path),
    "services": peers.check_service,
    "fqdns": peers.check_fqdn,
}
_MISSING = {
    "groups": "needs a cloud's API, which Tulle does not ask",
}
_PROXY_PARTS = {
    "terminating_tls": "is not supported yet: the node's proxy does not open TLS for a policy",
    "originating_tls": "is not supported yet: the node's proxy does not open TLS for a policy",
    "listener": "is not supported: the node's proxy has no listeners of one's own",
}


def validate_cilium_policy(policy: CiliumPolicy) -> CiliumPolicy:
    if policy.spec is None and not policy.specs:
        raise FieldError("is required, or specs", "spec")
    if policy.spec is not None:
        _check_spec(policy, policy.spec, "spec")
    for index, spec in enumerate(policy.specs):
        _check_spec(policy, spec, "specs", index)
    return policy


def _check_spec(policy: CiliumPolicy, spec: CiliumRule, *path: str | int) -> None:
    namespace = policy.metadata.namespace
    if (spec.endpoint_selector is None) == (spec.node_selector is None):
        raise FieldError("needs an endpointSelector or a nodeSelector, and not both", *path)
    if spec.node_selector is not None:
        if namespace:
            reason = "nodes are in no namespace: use a CiliumClusterwideNetworkPolicy"
            raise FieldError(reason, *path, "nodeSelector")
        peers.check_sourced(spec.node_selector, peers.OF_NODES, *path, "nodeSelector")
    if spec.endpoint_selector is not None:
        peers.check_workloads(spec.endpoint_selector, *path, "endpointSelector")
        if namespace:
            place = (*path, "endpointSelector")
            peers.check_own_namespace(spec.endpoint_selector, namespace, *place)
    if spec.log:
        raise FieldError("words of a policy's own in flows are not supported yet", *path, "log")
    _each(spec.ingress, _check_rule, *path, "ingress")
    _each(spec.ingress_deny, _check_rule, *path, "ingressDeny")
    _each(spec.egress, _check_rule, *path, "egress")
    _each(spec.egress_deny, _check_rule, *path, "egressDeny")
    _each(spec.egress, partial(_check_names, spec.node_selector is not None), *path, "egress")
    check_layer7(spec, *path)


def _each(items: Sequence[Any] | None, check: Callable[..., None], *path: str | int) -> None:
    for index, item in enumerate(items or ()):
        check(item, *path, index)


def _check_rule(rule: AnyRule, *path: str | int) -> None:
    side = "from" if isinstance(rule, IngressRule | IngressDenyRule) else "to"
    shown = _names(rule)
    for name, reason in _MISSING.items():
        attribute = f"{side}_{name}"
        if getattr(rule, attribute, None) is not None:
            raise FieldError(reason, *path, shown[attribute])
    _check_authentication(rule, *path)
    given = [f"{side}_{name}" for name in _PEERS if getattr(rule, f"{side}_{name}", None)]
    if len(given) > 1:
        first, second = shown[given[0]], shown[given[1]]
        raise FieldError(f"cannot stand beside {first}: give it a rule of its own", *path, second)
    for name, check in _PEERS.items():
        attribute = f"{side}_{name}"
        if attribute in shown:
            _each(getattr(rule, attribute), check, *path, shown[attribute])
    requires = f"{side}_requires"
    if isinstance(rule, IngressDenyRule | EgressDenyRule) and getattr(rule, requires) is not None:
        reason = "would lift what other policies deny: name fewer peers instead"
        raise FieldError(reason, *path, shown[requires])
    _each(getattr(rule, requires), peers.check_workloads, *path, shown[requires])
    if rule.to_ports and rule.icmps:
        raise FieldError("cannot stand beside toPorts: give it a rule of its own", *path, "icmps")
    _each(rule.to_ports, _check_port_rule, *path, "toPorts")
    for index, icmp in enumerate(rule.icmps or ()):
        place = (*path, "icmps", index, "fields")
        _check_count(icmp.fields, *place)
        _each(icmp.fields, _check_icmp, *place)


def _check_names(is_host: bool, rule: EgressRule, *path: str | int) -> None:
    """Where toFQDNs may stand."""
    if rule.to_fqdns is None:
        return
    if is_host:
        reason = "is not supported in policies that select nodes: their DNS is not read"
        raise FieldError(reason, *path, "toFQDNs")
    for index, item in enumerate(rule.to_ports or ()):
        if item.rules != L7Rules() or item.server_names:
            reason = "is not supported yet beside toFQDNs: give it a rule of its own"
            where = "rules" if item.rules != L7Rules() else "serverNames"
            raise FieldError(reason, *path, "toPorts", index, where)


def _names(item: msgspec.Struct) -> dict[str, str]:
    """Attribute → the name that manifests give it."""
    return {field.name: field.encode_name for field in msgspec.structs.fields(item)}


def _check_authentication(rule: AnyRule, *path: str | int) -> None:
    wanted = getattr(rule, "authentication", None)
    if wanted is not None and wanted != {"mode": "disabled"}:
        reason = "is not supported yet: workloads have no keys to prove who they are"
        raise FieldError(reason, *path, "authentication")


def _check_port_rule(rule: PortRule | PortDenyRule, *path: str | int) -> None:
    shown = _names(rule)
    for attribute, reason in _PROXY_PARTS.items():
        if getattr(rule, attribute, None):
            raise FieldError(reason, *path, shown[attribute])
    _check_count(rule.ports, *path, "ports")
    _each(rule.ports, _check_port, *path, "ports")


def _check_count(items: Sequence[object], *path: str | int) -> None:
    if len(items) > _MAX_PORTS:
        raise FieldError(f"holds more than {_MAX_PORTS}", *path)


def _check_port(port: PortProtocol, *path: str | int) -> None:
    if port.protocol in ("ICMP", "ICMPv6"):
        raise FieldError(f"{port.protocol} has no ports: use icmps", *path, "protocol")
    if not port.port and not port.protocol:
        raise FieldError("is required", *path, "port")
    number = _NUMBER.fullmatch(port.port)
    if number and int(port.port) > _PORT_MAX:
        raise FieldError(f"must be at most {_PORT_MAX}", *path, "port")
    if port.port.strip("-0123456789"):
        check_port_name(port.port, *path, "port")
    elif port.port and not number:
        raise FieldError(f"{quote(port.port)} is no port number", *path, "port")
    if not port.end_port:
        return
    if not number or port.port == "0":
        raise FieldError("needs a numeric port beside it", *path, "endPort")
    if not int(port.port) <= port.end_port <= _PORT_MAX:
        reason = f"must be from the port {port.port} to {_PORT_MAX}"
        raise FieldError(reason, *path, "endPort")


def _check_icmp(field: IcmpField, *path: str | int) -> None:
    kind = field.type
    if isinstance(kind, str):
        if kind in ICMP_TYPES[field.family]:
            return
        if not _NUMBER.fullmatch(kind):
            reason = f"{quote(kind)} is no type of {field.family} ICMP, such as EchoRequest"
            raise FieldError(reason, *path, "type")
    if not 0 <= int(kind) <= _ICMP_MAX:
        raise FieldError(f"must be from 0 to {_ICMP_MAX}", *path, "type")
