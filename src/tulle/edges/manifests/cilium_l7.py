"""Rules of `toPorts[].rules` and `serverNames`: how they may be combined, as Cilium has it.

What a single HTTP rule or name says is judged where it is translated, so that a bad one is refused
alone.
"""

from __future__ import annotations

from tulle.model.cilium import CiliumRule, L7Rules, PortRule

from .fields import FieldError

_MAX_RULES = 256  # of one list
_NO_HOST = "is not supported in policies that select nodes"
_MISSING = {
    "kafka": "is not supported: Cilium gave it up as well",
    "l7proto": "is not supported: there are no parsers of one's own",
    "l7": "is not supported: there are no parsers of one's own",
}


def check_layer7(spec: CiliumRule, *path: str | int) -> None:
    for index, ingress in enumerate(spec.ingress or ()):
        for number, item in enumerate(ingress.to_ports or ()):
            place = (*path, "ingress", index, "toPorts", number)
            if item.rules.dns is not None:
                raise FieldError("DNS rules are for egress", *place, "rules", "dns")
            _check(item, spec.node_selector is not None, *place)
    for index, egress in enumerate(spec.egress or ()):
        for number, item in enumerate(egress.to_ports or ()):
            place = (*path, "egress", index, "toPorts", number)
            _check(item, spec.node_selector is not None, *place)


def _check(rule: PortRule, is_host: bool, *path: str | int) -> None:
    _check_kind(rule.rules, *path, "rules")
    if rule.server_names:
        if rule.rules != L7Rules():
            reason = "cannot stand beside rules: what is in TLS is not read"
            raise FieldError(reason, *path, "serverNames")
        if is_host:
            raise FieldError(_NO_HOST, *path, "serverNames")
        _check_ports(rule, *path, "ports")
    if rule.rules.dns is not None:
        _check_dns(rule, is_host, *path)
    if rule.rules.http is not None:
        if is_host:
            raise FieldError(_NO_HOST, *path, "rules", "http")
        _check_ports(rule, *path, "ports")
        if any(port.port in ("", "0") for port in rule.ports):
            raise FieldError("HTTP rules cannot be for every port", *path, "ports")


def _check_dns(rule: PortRule, is_host: bool, *path: str | int) -> None:
    if is_host:
        raise FieldError(_NO_HOST, *path, "rules", "dns")
    if not rule.ports:
        raise FieldError("is required beside rules of layer 7", *path, "ports")
    if any(port.port in ("", "0") for port in rule.ports):
        raise FieldError("DNS rules cannot be for every port", *path, "ports")


def _check_kind(rules: L7Rules, *path: str | int) -> None:
    for name, reason in _MISSING.items():
        if getattr(rules, name) is not None:
            raise FieldError(reason, *path, name)
    if rules.http is not None and rules.dns is not None:
        raise FieldError("cannot stand beside http: give it a rule of its own", *path, "dns")
    for name in ("http", "dns"):
        listed = getattr(rules, name)
        if listed is None:
            continue
        if not listed:
            reason = "is empty: say [{}] to allow every request, or leave rules out"
            raise FieldError(reason, *path, name)
        if len(listed) > _MAX_RULES:
            raise FieldError(f"holds more than {_MAX_RULES}", *path, name)


def _check_ports(rule: PortRule, *path: str | int) -> None:
    if not rule.ports:
        raise FieldError("is required beside rules of layer 7", *path)
    for index, port in enumerate(rule.ports):
        if port.protocol != "TCP":
            reason = f"must be TCP, not {port.protocol or 'ANY'}, beside rules of layer 7"
            raise FieldError(reason, *path, index, "protocol")
