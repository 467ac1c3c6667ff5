"""CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy → rules.Policy.

Cilium's meaning of a rule: peers that are absent are everybody, but only where the rule names
ports; a rule with neither matches nothing, and a list of peers that is there but empty is nobody.

A requirement binds every other rule and policy of the same subject, so it becomes a rule of its
own, which denies the workloads that do not meet it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network

from tulle.model.cilium import (
    CIDRRule,
    CiliumClusterwideNetworkPolicy,
    CiliumNetworkPolicy,
    CiliumRule,
    CiliumService,
    EgressDenyRule,
    EgressRule,
    FQDNSelector,
    IngressDenyRule,
    IngressRule,
    PortProtocol,
    PortRule,
)
from tulle.model.dns import normal
from tulle.model.icmp import ICMP_TYPES
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import AUDIT_ANNOTATION, REJECT_ANNOTATION, LabelSelector
from tulle.model.verdict import Rule

from ..rules import (
    WITH_PORTS,
    Action,
    Cidr,
    Fqdn,
    Layer7,
    Nodes,
    PeerTerm,
    Pods,
    Policy,
    PolicyRule,
    PortTerm,
)
from .labels import ENTITIES, both, in_namespace, others, peers, plain
from .layer7 import has_layer7
from .layer7 import layer7 as layer7_of
from .named import Named

CiliumPolicy = CiliumNetworkPolicy | CiliumClusterwideNetworkPolicy
AnyRule = IngressRule | IngressDenyRule | EgressRule | EgressDenyRule


@dataclass(frozen=True, slots=True)
class _Peers:
    """The peers of a rule, whichever its direction; None is absent."""

    endpoints: tuple[LabelSelector, ...] | None
    requires: tuple[LabelSelector, ...] | None
    cidrs: tuple[str, ...] | None
    cidr_rules: tuple[CIDRRule, ...] | None
    entities: tuple[str, ...] | None
    nodes: tuple[LabelSelector, ...] | None
    services: tuple[CiliumService, ...] | None = None
    fqdns: tuple[FQDNSelector, ...] | None = None

    @classmethod
    def of(cls, rule: AnyRule) -> _Peers:
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
    def absent(self) -> bool:
        """Requirements count as peers: they grant nothing by themselves."""
        lists = (self.endpoints, self.requires, self.cidrs, self.cidr_rules, self.entities)
        return all(item is None for item in (*lists, self.nodes, self.services, self.fqdns))


def cilium_policy(policy: CiliumPolicy, named: Named) -> tuple[Policy, ...]:
    """One of each spec and direction that the policy says something of.

    `named` finds what the rules name, and keeps what it did not find.
    """
    specs: list[tuple[int | None, CiliumRule]] = list(enumerate(policy.specs))
    if policy.spec is not None:
        specs.insert(0, (None, policy.spec))
    return tuple(
        translated
        for number, spec in specs
        for direction in ("egress", "ingress")
        for translated in _direction(policy, number, spec, direction, named)
    )


def _direction(
    policy: CiliumPolicy, number: int | None, spec: CiliumRule, direction: str, named: Named
) -> Iterator[Policy]:
    allow: Sequence[AnyRule]
    deny: Sequence[AnyRule]
    if direction == "ingress":
        allow, deny = spec.ingress or (), spec.ingress_deny or ()
        isolates = spec.enable_default_deny.ingress
    else:
        allow, deny = spec.egress or (), spec.egress_deny or ()
        isolates = spec.enable_default_deny.egress
    if isolates is None:
        isolates = bool(allow or deny)
    subject = _subject(spec, policy.metadata.namespace)
    if subject is None or not (allow or deny or isolates):
        return
    place = Rule(direction, ref_of(policy), spec=number)
    rules = [
        *_rules(deny, Action.DENY, place, named),
        *_required(allow, place, named.world.settings.cluster_name),
        *_rules(allow, Action.ALLOW, place, named),
    ]
    yield Policy(
        ref_of(policy),
        direction,
        subject,
        tuple(rules),
        isolates=isolates,
        audit=policy.metadata.says(AUDIT_ANNOTATION),
        reject=policy.metadata.says(REJECT_ANNOTATION),
        spec=number,
    )


def _subject(spec: CiliumRule, namespace: str) -> Pods | Nodes | None:
    if spec.node_selector is not None:
        chosen = plain(spec.node_selector)
        return None if chosen is None else Nodes(chosen)
    chosen = plain(spec.endpoint_selector or LabelSelector())
    if chosen is None:
        return None
    # Of its own namespace, whatever the selector says of namespaces.
    return Pods(both(chosen, in_namespace(namespace)) if namespace else chosen)


def _rules(
    rules: Sequence[AnyRule], action: Action, place: Rule, named: Named
) -> Iterator[PolicyRule]:
    for index, item in enumerate(rules):
        where = replace(place, index=index, deny=action is Action.DENY)
        peers, ports = _matching(item, _namespace(place), named)
        limited = list(_limited(item, where, named))
        if ports or not limited:
            yield PolicyRule(where, action, peers, ports)
        for only, layer7 in limited:
            yield PolicyRule(where, action, peers, only, layer7)


def _limited(
    rule: AnyRule, where: Rule, named: Named
) -> Iterator[tuple[tuple[PortTerm, ...], Layer7]]:
    """Ports of which some requests only are allowed."""
    for number, item in enumerate(rule.to_ports or ()):
        if isinstance(item, PortRule):
            layer7 = layer7_of(item, f"{_path(where)}.toPorts[{number}]", named.refused)
            if layer7 is not None:
                yield tuple(term for port in item.ports for term in _port(port)), layer7


def _path(where: Rule) -> str:
    """Where a rule stands in its object, as errors have it."""
    spec = "spec" if where.spec is None else f"specs[{where.spec}]"
    return f"{spec}.{where.direction}[{where.index}]"


def _required(rules: Sequence[AnyRule], place: Rule, cluster: str) -> Iterator[PolicyRule]:
    """What denies those that meet not every requirement."""
    for index, item in enumerate(rules):
        if wanted := _Peers.of(item).requires:
            namespace = _namespace(place)
            unmet = (term for item in wanted for term in others(item, namespace, cluster))
            yield PolicyRule(replace(place, index=index), Action.DENY, tuple(unmet))


def _namespace(place: Rule) -> str:
    assert place.policy is not None
    return place.policy.namespace


def _matching(
    rule: AnyRule, namespace: str, named: Named
) -> tuple[tuple[PeerTerm, ...] | None, tuple[PortTerm, ...] | None]:
    chosen, ports = _Peers.of(rule), tuple(_ports(rule))
    everything = not rule.to_ports and not rule.icmps
    if chosen.absent:
        return (() if everything else None), (None if everything else ports)
    return tuple(_terms(chosen, namespace, named)), None if everything else ports


def _terms(chosen: _Peers, namespace: str, named: Named) -> Iterator[PeerTerm]:
    yield from peers(chosen.endpoints or (), namespace)
    for text in chosen.cidrs or ():
        yield Cidr(ip_network(text, strict=False), managed=False)
    for item in chosen.cidr_rules or ():
        excluded = tuple(ip_network(text, strict=False) for text in item.except_)
        texts = (item.cidr,) if item.cidr else named.group_cidrs(item)
        for text in texts:
            yield Cidr(ip_network(text, strict=False), excluded, managed=False)
    for word in chosen.entities or ():
        if (entity := ENTITIES[word]) is not None:
            yield entity
    for selector in chosen.nodes or ():
        if (nodes := plain(selector)) is not None:
            yield Nodes(nodes)
    for service in chosen.services or ():
        yield from named.service_endpoints(service)
    for name in chosen.fqdns or ():
        yield Fqdn(normal(name.match_name or name.match_pattern))


def _ports(rule: AnyRule) -> Iterator[PortTerm]:
    """Those of which every request is meant."""
    for port_rule in rule.to_ports or ():
        if isinstance(port_rule, PortRule) and has_layer7(port_rule):
            continue
        for port in port_rule.ports:
            yield from _port(port)
    for icmp in rule.icmps or ():
        for field in icmp.fields:
            kinds = ICMP_TYPES[field.family]
            number = kinds.get(str(field.type))
            protocol = "ICMP" if field.family == "IPv4" else "ICMPv6"
            yield PortTerm(protocol, int(field.type) if number is None else number)


def _port(port: PortProtocol) -> Iterator[PortTerm]:
    number: int | str | None = int(port.port) if port.port.isdecimal() else port.port
    for protocol in WITH_PORTS if port.protocol in ("", "ANY") else (port.protocol,):
        if not number:  # port 0 and none at all are all ports
            yield PortTerm(protocol)
        else:
            yield PortTerm(protocol, number, port.end_port or None)
