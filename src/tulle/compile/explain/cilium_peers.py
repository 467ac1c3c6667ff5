"""Whom the lists of a rule of Cilium's mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from tulle.model.cilium import (
    CIDRRule,
    CiliumService,
    EgressDenyRule,
    EgressRule,
    FQDNSelector,
    IngressDenyRule,
    IngressRule,
    split_key,
)
from tulle.model.kubernetes import (
    SERVICE_NAME_LABEL,
    LabelSelector,
    LabelSelectorRequirement,
    Service,
)
from tulle.model.multicluster import import_of
from tulle.model.world import World

from ..rules import NAMESPACE_KEY, NAMESPACE_LABELS
from ..selectors import matches
from .dns_names import selects
from .ends import End, Kind, Question, inside, is_about

# Which entity an end is, of those that are one kind of end.
_ENTITIES = {
    "host": Kind.HOST,
    "remote-node": Kind.NODE,
    "unmanaged": Kind.UNMANAGED,
    "ingress": Kind.INGRESS,
    "world": Kind.WORLD,
}


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of peers of a rule, in either direction; None is absent."""

    endpoints: tuple[LabelSelector, ...] | None
    requires: tuple[LabelSelector, ...] | None
    cidrs: tuple[str, ...] | None
    cidr_rules: tuple[CIDRRule, ...] | None
    entities: tuple[str, ...] | None
    nodes: tuple[LabelSelector, ...] | None
    services: tuple[CiliumService, ...] | None = None
    fqdns: tuple[FQDNSelector, ...] | None = None

    @classmethod
    def of(cls, rule: IngressRule | IngressDenyRule | EgressRule | EgressDenyRule) -> Lists:
        if isinstance(rule, IngressRule | IngressDenyRule):
            return cls(
                rule.from_endpoints,
                rule.from_requires,
                rule.from_cidr,
                rule.from_cidr_set,
                rule.from_entities,
                rule.from_nodes,
            )
        return cls(
            rule.to_endpoints,
            rule.to_requires,
            rule.to_cidr,
            rule.to_cidr_set,
            rule.to_entities,
            rule.to_nodes,
            rule.to_services,
            rule.to_fqdns if isinstance(rule, EgressRule) else None,
        )

    @property
    def say_something(self) -> bool:
        """Whether any list is there, be it empty. Requirements alone grant nothing."""
        lists = (self.endpoints, self.requires, self.cidrs, self.cidr_rules, self.entities)
        return any(item is not None for item in (*lists, self.nodes, self.services, self.fqdns))


def labels_match(selector: LabelSelector, end: End) -> bool:
    """Whether a workload's or node's labels match; sources of labels are all one."""
    keys = {_bare(item.key) for item in _requirements(selector)}
    return is_about(end, keys) and plain_match(selector, end.labels)


def names_somebody(question: Question, lists: Lists) -> bool:
    """Whether one of the lists but that of endpoints means the peer."""
    world, peer = question.world, question.peer
    if peer.kind is Kind.WORLD and any(
        inside(peer.address, cidr, excluded) for cidr, excluded in _blocks(world, lists)
    ):
        return True
    if peer.kind is Kind.WORLD and any(
        selects(item, name) for item in lists.fqdns or () for name in question.flow.names
    ):
        return True
    if any(is_entity(peer, name) for name in lists.entities or ()):
        return True
    if peer.kind in (Kind.HOST, Kind.NODE) and any(
        labels_match(selector, peer) for selector in lists.nodes or ()
    ):
        return True
    return any(_is_endpoint(world, peer, item) for item in lists.services or ())


def is_entity(end: End, name: str) -> bool:
    match name:
        case "all":
            return True
        case "remote-node" if end.cluster:
            return end.kind in (Kind.NODE, Kind.INGRESS)
        case _ if end.cluster:
            return False
        case "cluster":
            return end.kind is not Kind.WORLD
        case "world-ipv4" | "world-ipv6":
            return end.kind is Kind.WORLD and name.endswith(str(end.address.version))
        case _:
            return end.kind is _ENTITIES.get(name)  # Cilium's other entities do not exist here


def names_endpoint(end: End, namespace: str, selector: LabelSelector) -> bool:
    """Whether an endpoint selector means the end.

    One of a policy in a namespace means that namespace, unless it names one itself.
    """
    for item in _requirements(selector):
        source, name = split_key(item.key)
        if source == "reserved" and item.operator in ("In", "Exists"):
            return is_entity(end, name)
    if end.workload is None or not labels_match(selector, end):
        return False
    return (
        not namespace
        or end.workload.namespace == namespace
        or any(_speaks_of_namespace(item.key) for item in _requirements(selector))
    )


def _speaks_of_namespace(key: str) -> bool:
    return _bare(key) == NAMESPACE_KEY or _bare(key).startswith(NAMESPACE_LABELS)


def _requirements(selector: LabelSelector) -> Iterator[LabelSelectorRequirement]:
    for key, value in selector.match_labels.items():
        yield LabelSelectorRequirement(key, "In", (value,))
    yield from selector.match_expressions


def _bare(key: str) -> str:
    """A key without its source; reserved ones keep it, since nothing here bears them."""
    source, name = split_key(key)
    return key if source == "reserved" else name


def _blocks(world: World, lists: Lists) -> Iterator[tuple[str, tuple[str, ...]]]:
    """CIDRs and what is cut out of them."""
    yield from ((cidr, ()) for cidr in lists.cidrs or ())
    for rule in lists.cidr_rules or ():
        if rule.cidr:
            yield rule.cidr, rule.except_
            continue
        for name, group in world.cidr_groups.items():
            if rule.cidr_group_selector is None:
                chosen = name == rule.cidr_group_ref
            else:
                chosen = plain_match(rule.cidr_group_selector, group.metadata.labels)
            if chosen:
                yield from ((cidr, rule.except_) for cidr in group.spec.external_cidrs)


def plain_match(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether an object's labels match a selector that may name sources of labels."""
    found = (
        LabelSelectorRequirement(_bare(item.key), item.operator, item.values)
        for item in _requirements(selector)
    )
    return matches(LabelSelector(match_expressions=tuple(found)), labels)


def _is_endpoint(world: World, end: End, wanted: CiliumService) -> bool:
    """Whether the end stands behind one of the services that are meant."""
    return any(
        _is_behind(world, end, service)
        for service in world.services.values()
        if _is_meant(wanted, service)
    )


def _is_meant(wanted: CiliumService, service: Service) -> bool:
    """A namespace that is not given is any; a Service is one that the API has."""
    metadata = service.metadata
    if import_of(metadata.name):
        return False
    if wanted.k8s_service is not None:
        name = wanted.k8s_service
        return name.service_name == metadata.name and name.namespace in ("", metadata.namespace)
    chosen = wanted.k8s_service_selector
    return (
        chosen is not None
        and chosen.namespace in ("", metadata.namespace)
        and plain_match(chosen.selector, metadata.labels)
    )


def _is_behind(world: World, end: End, service: Service) -> bool:
    namespace, name = service.metadata.namespace, service.metadata.name
    if service.spec.selector:
        return (
            end.workload is not None
            and not end.cluster
            and end.workload.namespace == namespace
            and service.spec.selector.items() <= end.workload.labels.items()
        )
    return any(
        end.address in map(ip_address, endpoint.addresses)
        for item in world.slices.values()
        if item.metadata.namespace == namespace
        and item.metadata.labels.get(SERVICE_NAME_LABEL) == name
        for endpoint in item.endpoints
    )
