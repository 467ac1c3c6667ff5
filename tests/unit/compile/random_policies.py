"""Random policies of every kind, as they are after validation."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

from msgspec.structs import replace

from tulle.model.cilium import (
    CLUSTER_KEY,
    CIDRGroupSpec,
    CIDRRule,
    CiliumCIDRGroup,
    CiliumClusterwideNetworkPolicy,
    CiliumNetworkPolicy,
    CiliumRule,
    CiliumService,
    DefaultDeny,
    EgressDenyRule,
    EgressRule,
    IcmpField,
    IcmpRule,
    IngressDenyRule,
    IngressRule,
    K8sServiceNamespace,
    L7Rules,
    PortDenyRule,
    PortProtocol,
    PortRule,
    PortRuleHttp,
)
from tulle.model.cluster_policy import (
    ClusterEgressPeer,
    ClusterEgressRule,
    ClusterIngressPeer,
    ClusterIngressRule,
    ClusterNetworkPolicy,
    ClusterNetworkPolicySpec,
    ClusterProtocol,
    ClusterSubject,
    DestinationPort,
    NamespacedPod,
    PortRange,
    ProtocolPort,
)
from tulle.model.kubernetes import (
    IPBlock,
    LabelSelector,
    LabelSelectorRequirement,
    NetworkPolicy,
    NetworkPolicyEgressRule,
    NetworkPolicyIngressRule,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicySpec,
    ObjectMeta,
)
from tulle.model.world import Key

from .alphabet import (
    ACCOUNTS,
    CLUSTERS,
    EDGES,
    ICMP_NAMES,
    ICMP_NUMBERS,
    NAMESPACE_LABELS,
    NAMESPACES,
    NODE_LABELS,
    OWN_LABELS,
    POD_LABELS,
    PORT_NAMES,
    PROTOCOLS,
    annotations,
    block,
    labels,
    port_range,
    selector,
)

T = TypeVar("T")
_OF_NAMESPACES = {**NAMESPACE_LABELS, "kubernetes.io/metadata.name": NAMESPACES}
_OF_TEAM = "k8s:io.cilium.k8s.namespace.labels.team"
# What Cilium's selectors can ask for, in its own words.
_SEEN = {
    **POD_LABELS,
    "k8s:app": POD_LABELS["app"],
    "any:tier": POD_LABELS["tier"],
    "io.kubernetes.pod.namespace": NAMESPACES,
    _OF_TEAM: NAMESPACE_LABELS["team"],
    "io.cilium.k8s.policy.serviceaccount": ACCOUNTS,
    CLUSTER_KEY: CLUSTERS,
}
# A namespaced policy stays in its own namespace, whatever it says of namespaces.
_SUBJECTS = {**POD_LABELS, _OF_TEAM: NAMESPACE_LABELS["team"]}
_ENTITIES = (
    *("all", "world", "world-ipv4", "world-ipv6", "cluster", "host", "remote-node", "unmanaged"),
    *("none", "health", "init"),
)
GROUPS = ("g0", "g1")


def network_policy(rng: Random, index: int) -> tuple[Key, NetworkPolicy]:
    namespace, name = NAMESPACES[index % len(NAMESPACES)], f"p{index}"
    ingress = _several(rng, 3, lambda: NetworkPolicyIngressRule(_some_peers(rng), _some_ports(rng)))
    egress = _several(rng, 3, lambda: NetworkPolicyEgressRule(_some_peers(rng), _some_ports(rng)))
    spec = NetworkPolicySpec(
        pod_selector=rng.choice((LabelSelector(), selector(rng, OWN_LABELS))),
        ingress=ingress,
        egress=egress,
        policy_types=rng.choice((None, (), ("Ingress",), ("Egress",), ("Ingress", "Egress"))),
    )
    meta = ObjectMeta(name, namespace, annotations=annotations(rng))
    return (namespace, name), NetworkPolicy(meta, spec)


def cilium_policy(rng: Random, index: int) -> tuple[Key, CiliumNetworkPolicy]:
    namespace, name = NAMESPACES[index % len(NAMESPACES)], f"c{index}"
    meta = ObjectMeta(name, namespace, annotations=annotations(rng))
    spec, specs = _specs(rng, clusterwide=False)
    return (namespace, name), CiliumNetworkPolicy(meta, spec, specs)


def clusterwide_policy(rng: Random, index: int) -> tuple[str, CiliumClusterwideNetworkPolicy]:
    meta = ObjectMeta(f"w{index}", annotations=annotations(rng))
    spec, specs = _specs(rng, clusterwide=True)
    return meta.name, CiliumClusterwideNetworkPolicy(meta, spec, specs)


def cluster_policy(rng: Random, index: int) -> tuple[str, ClusterNetworkPolicy]:
    meta = ObjectMeta(f"k{index}", annotations=annotations(rng))
    spec = ClusterNetworkPolicySpec(
        tier=rng.choice(("Admin", "Baseline")),
        priority=rng.choice((0, 1, 1, 1000)),
        subject=ClusterSubject(**_pods(rng)),
        ingress=_several(
            rng,
            2,
            lambda: ClusterIngressRule(
                rng.choice(("Accept", "Deny", "Pass")),
                tuple(ClusterIngressPeer(**_pods(rng)) for _ in range(rng.choice((1, 1, 2)))),
                protocols=_protocols(rng),
            ),
        ),
        egress=_several(
            rng,
            2,
            lambda: ClusterEgressRule(
                rng.choice(("Accept", "Deny", "Pass")),
                tuple(_egress_peer(rng) for _ in range(rng.choice((1, 1, 2)))),
                protocols=_protocols(rng),
            ),
        ),
    )
    return meta.name, ClusterNetworkPolicy(meta, spec)


def cidr_group(rng: Random, name: str) -> CiliumCIDRGroup:
    cidrs = tuple(block(rng)[0] for _ in range(rng.choice((0, 1, 2))))
    return CiliumCIDRGroup(ObjectMeta(name, labels=labels(rng, NODE_LABELS)), CIDRGroupSpec(cidrs))


def _several(rng: Random, most: int, make: Callable[[], T]) -> tuple[T, ...]:
    return tuple(make() for _ in range(rng.randint(0, most)))


# NetworkPolicy


def _some_peers(rng: Random) -> tuple[NetworkPolicyPeer, ...]:
    return _several(rng, 3, lambda: _peer(rng))


def _peer(rng: Random) -> NetworkPolicyPeer:
    pods = rng.choice((LabelSelector(), selector(rng, OWN_LABELS), selector(rng, OWN_LABELS)))
    match rng.choice(("block", "block", "pods", "namespaces", "both")):
        case "block":
            return NetworkPolicyPeer(ip_block=IPBlock(*block(rng)))
        case "pods":
            return NetworkPolicyPeer(pods)
        case "namespaces":
            return NetworkPolicyPeer(None, selector(rng, _OF_NAMESPACES))
        case _:
            return NetworkPolicyPeer(pods, selector(rng, _OF_NAMESPACES))


def _some_ports(rng: Random) -> tuple[NetworkPolicyPort, ...]:
    return tuple(_port(rng) for _ in range(rng.choice((0, 0, 1, 2, 3))))


def _port(rng: Random) -> NetworkPolicyPort:
    protocol = rng.choice(PROTOCOLS)
    match rng.choice(("all", "number", "name", "range")):
        case "all":
            return NetworkPolicyPort(protocol)
        case "number":
            return NetworkPolicyPort(protocol, rng.choice(EDGES))
        case "name":
            return NetworkPolicyPort(protocol, rng.choice(PORT_NAMES))
        case _:
            return NetworkPolicyPort(protocol, *port_range(rng))


# Cilium


def _specs(rng: Random, clusterwide: bool) -> tuple[CiliumRule | None, tuple[CiliumRule, ...]]:
    if rng.random() < 0.7:
        return _rule(rng, clusterwide), ()
    return None, tuple(_rule(rng, clusterwide) for _ in range(rng.randint(1, 2)))


def _rule(rng: Random, clusterwide: bool) -> CiliumRule:
    alphabet = _SEEN if clusterwide else _SUBJECTS
    subject: dict[str, Any] = {
        "endpoint_selector": rng.choice((LabelSelector(), selector(rng, alphabet)))
    }
    if clusterwide and rng.random() < 0.5:
        subject = {"node_selector": rng.choice((LabelSelector(), selector(rng, NODE_LABELS)))}
    yes_or_no = (None, None, None, True, False)
    return CiliumRule(
        **subject,
        ingress=_rules(rng, lambda: IngressRule(**_from(rng), **_ports(rng, PortRule))),
        ingress_deny=_rules(
            rng, lambda: IngressDenyRule(**_denied(_from(rng)), **_ports(rng, PortDenyRule)), 0.3
        ),
        egress=_rules(rng, lambda: EgressRule(**_to(rng), **_ports(rng, PortRule))),
        egress_deny=_rules(
            rng, lambda: EgressDenyRule(**_denied(_to(rng)), **_ports(rng, PortDenyRule)), 0.3
        ),
        enable_default_deny=DefaultDeny(rng.choice(yes_or_no), rng.choice(yes_or_no)),
    )


def _rules(rng: Random, make: Callable[[], T], chance: float = 0.6) -> tuple[T, ...] | None:
    return _several(rng, 2, make) if rng.random() < chance else None


def _from(rng: Random) -> dict[str, Any]:
    return {f"from_{name}": value for name, value in _lists(rng).items()}


def _to(rng: Random) -> dict[str, Any]:
    if rng.random() < 0.1:
        name = K8sServiceNamespace(rng.choice(("s4-1", "s4-2")), rng.choice(("", *NAMESPACES)))
        return {"to_services": (CiliumService(name),)}
    return {f"to_{name}": value for name, value in _lists(rng).items()}


def _denied(lists: dict[str, Any]) -> dict[str, Any]:
    """Without requirements, which deny rules cannot have."""
    return {name: value for name, value in lists.items() if not name.endswith("_requires")}


def _lists(rng: Random) -> dict[str, Any]:
    """At most one list of peers, as Cilium wants it, and now and then requirements."""
    found: dict[str, Any] = {}
    if rng.random() < 0.1:
        tier = rng.choice(POD_LABELS["tier"])
        found["requires"] = (
            LabelSelector({"tier": tier}, selector(rng, POD_LABELS).match_expressions),
        )
    many = rng.choice((0, 1, 1, 2))
    match rng.choice(("none", "endpoints", "endpoints", "cidr", "set", "entities", "nodes")):
        case "endpoints":
            found["endpoints"] = tuple(_endpoint(rng) for _ in range(many))
        case "cidr":
            found["cidr"] = tuple(block(rng)[0] for _ in range(many))
        case "set":
            found["cidr_set"] = tuple(_cidr_rule(rng) for _ in range(many))
        case "entities":
            found["entities"] = tuple(rng.choice(_ENTITIES) for _ in range(many))
        case "nodes":
            found["nodes"] = tuple(selector(rng, NODE_LABELS) for _ in range(many))
    return found


def _endpoint(rng: Random) -> LabelSelector:
    if rng.random() < 0.1:
        return LabelSelector({f"reserved:{rng.choice(('host', 'world', 'remote-node'))}": ""})
    if rng.random() < 0.1:
        absent = LabelSelectorRequirement("reserved:host", "DoesNotExist")
        return LabelSelector({}, (absent,))
    return rng.choice((LabelSelector(), selector(rng, POD_LABELS), selector(rng, _SEEN)))


def _cidr_rule(rng: Random) -> CIDRRule:
    cidr, holes = block(rng)
    match rng.choice(("cidr", "cidr", "group", "groups")):
        case "cidr":
            return CIDRRule(cidr, except_=holes)
        case "group":
            return CIDRRule(cidr_group_ref=rng.choice((*GROUPS, "unknown")), except_=holes)
        case _:
            return CIDRRule(cidr_group_selector=selector(rng, NODE_LABELS))


def _ports(rng: Random, kind: type[PortRule] | type[PortDenyRule]) -> dict[str, Any]:
    match rng.choice(("none", "none", "ports", "ports", "icmps")):
        case "ports":
            listed = tuple(_port_protocol(rng) for _ in range(rng.choice((1, 1, 2))))
            if kind is PortRule and rng.random() < 0.7:
                reading = tuple(_reading(rng) for _ in range(rng.choice((1, 1, 2))))
                return {"to_ports": rng.choice((reading, (PortRule(listed), *reading)))}
            return {"to_ports": (kind(ports=listed),)}
        case "icmps":
            return {"icmps": (IcmpRule(tuple(_icmp(rng) for _ in range(rng.choice((1, 2))))),)}
    return {}


def _reading(rng: Random) -> PortRule:
    """Ports of which some requests only are allowed; a rule may be one that is refused."""
    ports = tuple(
        replace(_port_protocol(rng), protocol="TCP") for _ in range(rng.choice((1, 1, 2)))
    )
    if rng.random() < 0.2:
        return PortRule(ports, server_names=(rng.choice(("a.test", "*.b.test", "-")),))
    paths = rng.choice((("/a",), ("/a", "/b.*"), ("(",)))
    return PortRule(ports, L7Rules(tuple(PortRuleHttp(path) for path in paths)))


def _port_protocol(rng: Random) -> PortProtocol:
    protocol = rng.choice((*PROTOCOLS, "ANY", "ANY"))
    match rng.choice(("all", "number", "number", "name", "range")):
        case "all":
            return PortProtocol("0", protocol=protocol)
        case "number":
            return PortProtocol(str(rng.choice(EDGES)), protocol=protocol)
        case "name":
            return PortProtocol(rng.choice(PORT_NAMES), protocol=protocol)
        case _:
            low, high = port_range(rng)
            return PortProtocol(str(low), high, protocol)


def _icmp(rng: Random) -> IcmpField:
    version = rng.choice((4, 6))
    kind = rng.choice((*ICMP_NUMBERS[version], *ICMP_NAMES[version]))
    return IcmpField(kind, "IPv4" if version == 4 else "IPv6")


# ClusterNetworkPolicy


def _pods(rng: Random) -> dict[str, Any]:
    """A subject or peer: pods of some namespaces."""
    namespaces = rng.choice((LabelSelector(), selector(rng, _OF_NAMESPACES)))
    if rng.random() < 0.5:
        return {"namespaces": namespaces}
    pods = rng.choice((LabelSelector(), selector(rng, OWN_LABELS)))
    return {"pods": NamespacedPod(namespaces, pods)}


def _egress_peer(rng: Random) -> ClusterEgressPeer:
    match rng.choice(("pods", "pods", "nodes", "networks")):
        case "nodes":
            return ClusterEgressPeer(nodes=selector(rng, NODE_LABELS))
        case "networks":
            return ClusterEgressPeer(networks=tuple(block(rng)[0] for _ in range(2)))
    return ClusterEgressPeer(**_pods(rng))


def _protocols(rng: Random) -> tuple[ClusterProtocol, ...] | None:
    if rng.random() < 0.4:
        return None
    return tuple(_protocol(rng) for _ in range(rng.choice((1, 2))))


def _protocol(rng: Random) -> ClusterProtocol:
    if rng.random() < 0.2:
        return ClusterProtocol(destination_named_port=rng.choice(PORT_NAMES))
    wanted = rng.choice(
        (
            ProtocolPort(DestinationPort(rng.choice(EDGES))),
            ProtocolPort(DestinationPort(range=PortRange(*port_range(rng)))),
        )
    )
    return ClusterProtocol(**{rng.choice(PROTOCOLS).lower(): wanted})
