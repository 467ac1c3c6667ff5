"""Rules of the peers of Cilium's policies: selectors with sources, CIDRs, entities, services."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_network

from tulle.model.cilium import (
    ENTITIES,
    NAMESPACE_KEY,
    UNKNOWN_ENTITIES,
    CIDRRule,
    CiliumService,
    FQDNSelector,
    split_key,
)
from tulle.model.dns import name_problem, pattern_problem
from tulle.model.kubernetes import LabelSelector, LabelSelectorRequirement

from .fields import FieldError, Path, quote
from .syntax import check_dns_label, check_dns_subdomain, check_selector, parse_cidr

OF_WORKLOADS = ("k8s", "any", "reserved")
OF_NODES = ("k8s", "any", "node")
OF_OBJECTS = ("k8s", "any")


def check_sourced(selector: LabelSelector, sources: Collection[str], *path: str | int) -> None:
    """A selector whose keys may name a source of labels, such as `k8s:app`."""
    for key in (*selector.match_labels, *(item.key for item in selector.match_expressions)):
        source = split_key(key)[0]
        if source not in sources:
            reason = f"{quote(key)} is of a source without labels here; {', '.join(sources)} have"
            raise FieldError(reason, *path)
    check_selector(selector, *path, name_of=lambda key: split_key(key)[1])


def check_peer(selector: LabelSelector, *path: str | int) -> None:
    """One of fromEndpoints or toEndpoints: labels, or alone a reserved one such as `host`."""
    check_sourced(selector, OF_WORKLOADS, *path)
    _check_reserved(selector, path)
    named = [name for name in map(_positive, _requirements(selector)) if name]
    if not named:
        return
    if len(selector.match_labels) + len(selector.match_expressions) > 1:
        raise FieldError(f"reserved:{named[0]} must stand alone: it has no other label", *path)
    check_entity(named[0], *path)


def check_workloads(selector: LabelSelector, *path: str | int) -> None:
    """A selector that only workloads can match: a subject or a requirement."""
    check_sourced(selector, OF_WORKLOADS, *path)
    _check_reserved(selector, path)
    for item in _requirements(selector):
        if name := _positive(item):
            raise FieldError(f"no workload has the label reserved:{name}", *path)


def check_own_namespace(selector: LabelSelector, namespace: str, *path: str | int) -> None:
    """The subject of a namespaced policy may name that policy's namespace only."""
    for item in _requirements(selector):
        source, name = split_key(item.key)
        if source == "reserved" or name != NAMESPACE_KEY:
            continue
        named = namespace in item.values
        if {"In": named, "NotIn": not named, "Exists": True}.get(item.operator) is not True:
            raise FieldError(f"selects outside of the policy's namespace {namespace}", *path)


def check_entity(name: str, *path: str | int) -> None:
    if name in UNKNOWN_ENTITIES:
        raise FieldError(f"{name} is not supported yet: {UNKNOWN_ENTITIES[name]}", *path)
    if name not in ENTITIES:
        raise FieldError(f"{quote(name)} is no entity; {', '.join(ENTITIES)} are", *path)


def check_fqdn(item: FQDNSelector, *path: str | int) -> None:
    if bool(item.match_name) == bool(item.match_pattern):
        raise FieldError("needs a matchName or a matchPattern, and not both", *path)
    if item.match_name and (problem := name_problem(item.match_name)):
        raise FieldError(f"{quote(item.match_name)} {problem}", *path, "matchName")
    if item.match_pattern and (problem := pattern_problem(item.match_pattern)):
        raise FieldError(f"{quote(item.match_pattern)} {problem}", *path, "matchPattern")


def check_cidr(text: str, *path: str | int) -> None:
    """A prefix, or an address alone."""
    whole = text if "/" in text else f"{text}/{128 if ':' in text else 32}"
    try:
        parse_cidr(whole)
    except FieldError as error:
        reason = error.reason.replace(quote(whole), quote(text))
        raise FieldError(reason, *path) from error


def check_cidr_rule(rule: CIDRRule, *path: str | int) -> None:
    given = [
        name
        for name, value in (
            ("cidr", rule.cidr),
            ("cidrGroupRef", rule.cidr_group_ref),
            ("cidrGroupSelector", rule.cidr_group_selector is not None),
        )
        if value
    ]
    if len(given) != 1:
        reason = "needs exactly one of cidr, cidrGroupRef and cidrGroupSelector"
        raise FieldError(reason, *path)
    if rule.cidr:
        parse_cidr(rule.cidr, *path, "cidr")
    if rule.cidr_group_ref:
        check_dns_subdomain(rule.cidr_group_ref, *path, "cidrGroupRef")
    if rule.cidr_group_selector is not None:
        check_sourced(rule.cidr_group_selector, OF_OBJECTS, *path, "cidrGroupSelector")
    for index, text in enumerate(rule.except_):
        part = parse_cidr(text, *path, "except", index)
        if not rule.cidr:
            continue
        whole = ip_network(rule.cidr, strict=False)
        if part.version != whole.version or part.network_address not in whole:
            raise FieldError(f"{quote(text)} is not a part of {whole}", *path, "except", index)


def check_service(service: CiliumService, *path: str | int) -> None:
    by_name, by_labels = service.k8s_service, service.k8s_service_selector
    if by_name is None and by_labels is None:
        raise FieldError("needs a k8sService or a k8sServiceSelector", *path)
    if by_name is not None:
        check_dns_label(by_name.service_name, *path, "k8sService", "serviceName")
        if by_name.namespace:
            check_dns_label(by_name.namespace, *path, "k8sService", "namespace")
    if by_labels is not None:
        place = (*path, "k8sServiceSelector")
        check_sourced(by_labels.selector, OF_OBJECTS, *place, "selector")
        if by_labels.namespace:
            check_dns_label(by_labels.namespace, *place, "namespace")


def _check_reserved(selector: LabelSelector, path: Path) -> None:
    for item in _requirements(selector):
        source, name = split_key(item.key)
        if source != "reserved":
            continue
        if name not in ENTITIES and name not in UNKNOWN_ENTITIES:
            raise FieldError(f"{quote(item.key)} is no label that Cilium reserves", *path)
        if any(item.values):
            raise FieldError(f"{quote(item.key)} has no value, {item.values[0]!r} is given", *path)


def _positive(item: LabelSelectorRequirement) -> str:
    """The reserved label that must be there for `item` to hold; "" if none must."""
    source, name = split_key(item.key)
    return name if source == "reserved" and item.operator in ("In", "Exists") else ""


def _requirements(selector: LabelSelector) -> list[LabelSelectorRequirement]:
    labels = selector.match_labels.items()
    return [
        *(LabelSelectorRequirement(key, "In", (value,)) for key, value in labels),
        *selector.match_expressions,
    ]
