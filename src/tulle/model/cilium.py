"""Cilium's own kinds that Tulle reads as they are (cilium.io/v2).

Fields are those of Cilium's CRDs. What is not honoured is typed `Any`, so that it is refused by
name and not as an unknown field.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import field

from .kubernetes import LabelSelector, Object, ObjectMeta

DEFAULT_CLUSTER = "default"  # what Cilium calls a cluster that was given no name
CLUSTER_KEY = "io.cilium.k8s.policy.cluster"
NAMESPACE_KEY = "io.kubernetes.pod.namespace"  # as a label of every workload

# Peers that Cilium names by a word. Of the last three there are none here: Cilium's own probes,
# workloads whose labels are not known yet, and nobody.
ENTITIES = (
    "all",
    "world",
    "world-ipv4",
    "world-ipv6",
    "cluster",
    "host",
    "remote-node",
    "unmanaged",
    "ingress",
    "health",
    "init",
    "none",
)
UNKNOWN_ENTITIES = {
    "kube-apiserver": "the API server's addresses are not known yet: use toCIDR or fromCIDR",
}


def split_key(key: str) -> tuple[str, str]:
    """Source and name of a label's key; "any" is the source of one that names none.

    >>> split_key("k8s:app"), split_key("app")
    (('k8s', 'app'), ('any', 'app'))
    """
    source, colon, name = key.partition(":")
    return (source, name) if colon else ("any", key)


class IcmpField(Object, frozen=True):
    type: int | str  # a number, or a CamelCase name such as EchoRequest
    family: Literal["IPv4", "IPv6"] = "IPv4"


class IcmpRule(Object, frozen=True):
    fields: tuple[IcmpField, ...] = ()


class PortProtocol(Object, frozen=True):
    port: str = ""  # a number or a name; "0", or "" with a protocol, is every port
    end_port: int = 0
    protocol: Literal["TCP", "UDP", "SCTP", "ANY", "ICMP", "ICMPv6", ""] = ""  # the same as ANY


class HeaderMatch(Object, frozen=True):
    """`value` "" is any. Without `mismatch` a header that does not match fails the rule."""

    name: str
    value: str = ""
    mismatch: Literal["", "LOG", "ADD", "DELETE", "REPLACE"] = ""
    secret: Any = None  # refused


class PortRuleHttp(Object, frozen=True):
    """Regular expressions of the whole text, "" is any. A header is `Name` or `Name: value`."""

    path: str = ""
    method: str = ""
    host: str = ""
    headers: tuple[str, ...] = ()
    header_matches: tuple[HeaderMatch, ...] = ()


class PortRuleDns(Object, frozen=True):
    match_name: str = ""
    match_pattern: str = ""


class L7Rules(Object, frozen=True):
    """At most one of them; any one item of a list allows a request."""

    http: tuple[PortRuleHttp, ...] | None = None
    dns: tuple[PortRuleDns, ...] | None = None
    # refused
    kafka: Any = None
    l7proto: Any = None
    l7: Any = None


class PortRule(Object, frozen=True):
    """`server_names` are SNIs, of which a TLS client must send one."""

    ports: tuple[PortProtocol, ...] = ()
    rules: L7Rules = L7Rules()
    server_names: tuple[str, ...] = ()
    # refused
    terminating_tls: Any = field(name="terminatingTLS", default=None)
    originating_tls: Any = field(name="originatingTLS", default=None)
    listener: Any = None


class PortDenyRule(Object, frozen=True):
    ports: tuple[PortProtocol, ...] = ()


class CIDRRule(Object, frozen=True):
    """One of `cidr`, `cidr_group_ref`, `cidr_group_selector`."""

    cidr: str = ""
    cidr_group_ref: str = ""
    cidr_group_selector: LabelSelector | None = None
    except_: tuple[str, ...] = field(name="except", default=())


class K8sServiceNamespace(Object, frozen=True):
    service_name: str = ""
    namespace: str = ""


class K8sServiceSelectorNamespace(Object, frozen=True):
    selector: LabelSelector
    namespace: str = ""


class CiliumService(Object, frozen=True):
    k8s_service: K8sServiceNamespace | None = None
    k8s_service_selector: K8sServiceSelectorNamespace | None = None


class IngressRule(Object, frozen=True):
    """Absent peers mean everybody, if there are ports, and an empty list of them nobody."""

    from_endpoints: tuple[LabelSelector, ...] | None = None
    from_requires: tuple[LabelSelector, ...] | None = None
    from_cidr: tuple[str, ...] | None = field(name="fromCIDR", default=None)
    from_cidr_set: tuple[CIDRRule, ...] | None = field(name="fromCIDRSet", default=None)
    from_entities: tuple[str, ...] | None = None
    from_nodes: tuple[LabelSelector, ...] | None = None
    to_ports: tuple[PortRule, ...] | None = None
    icmps: tuple[IcmpRule, ...] | None = None
    # refused
    from_groups: Any = None
    authentication: Any = None


class IngressDenyRule(Object, frozen=True):
    from_endpoints: tuple[LabelSelector, ...] | None = None
    from_cidr: tuple[str, ...] | None = field(name="fromCIDR", default=None)
    from_cidr_set: tuple[CIDRRule, ...] | None = field(name="fromCIDRSet", default=None)
    from_entities: tuple[str, ...] | None = None
    from_nodes: tuple[LabelSelector, ...] | None = None
    to_ports: tuple[PortDenyRule, ...] | None = None
    icmps: tuple[IcmpRule, ...] | None = None
    # refused
    from_requires: Any = None
    from_groups: Any = None


class FQDNSelector(Object, frozen=True):
    """One of the two. In a pattern `*` is any part of a label, `**.` any labels in front."""

    match_name: str = ""
    match_pattern: str = ""


class EgressRule(Object, frozen=True):
    to_endpoints: tuple[LabelSelector, ...] | None = None
    to_requires: tuple[LabelSelector, ...] | None = None
    to_cidr: tuple[str, ...] | None = field(name="toCIDR", default=None)
    to_cidr_set: tuple[CIDRRule, ...] | None = field(name="toCIDRSet", default=None)
    to_entities: tuple[str, ...] | None = None
    to_nodes: tuple[LabelSelector, ...] | None = None
    to_services: tuple[CiliumService, ...] | None = None
    to_ports: tuple[PortRule, ...] | None = None
    icmps: tuple[IcmpRule, ...] | None = None
    to_fqdns: tuple[FQDNSelector, ...] | None = field(name="toFQDNs", default=None)
    # refused
    to_groups: Any = None
    authentication: Any = None


class EgressDenyRule(Object, frozen=True):
    to_endpoints: tuple[LabelSelector, ...] | None = None
    to_cidr: tuple[str, ...] | None = field(name="toCIDR", default=None)
    to_cidr_set: tuple[CIDRRule, ...] | None = field(name="toCIDRSet", default=None)
    to_entities: tuple[str, ...] | None = None
    to_nodes: tuple[LabelSelector, ...] | None = None
    to_services: tuple[CiliumService, ...] | None = None
    to_ports: tuple[PortDenyRule, ...] | None = None
    icmps: tuple[IcmpRule, ...] | None = None
    # refused
    to_requires: Any = None
    to_groups: Any = None


class DefaultDeny(Object, frozen=True):
    """None: whether the policy has rules in that direction."""

    ingress: bool | None = None
    egress: bool | None = None


class CiliumRule(Object, frozen=True):
    """Exactly one of the two selectors; `node_selector` in clusterwide policies only."""

    endpoint_selector: LabelSelector | None = None
    node_selector: LabelSelector | None = None
    ingress: tuple[IngressRule, ...] | None = None
    ingress_deny: tuple[IngressDenyRule, ...] | None = None
    egress: tuple[EgressRule, ...] | None = None
    egress_deny: tuple[EgressDenyRule, ...] | None = None
    enable_default_deny: DefaultDeny = DefaultDeny()
    description: str = ""
    labels: Any = None  # the policy's own, for Cilium's tools: harmless
    log: Any = None  # refused


class CiliumNetworkPolicy(Object, frozen=True):
    metadata: ObjectMeta
    spec: CiliumRule | None = None
    specs: tuple[CiliumRule, ...] = ()
    api_version: Literal["cilium.io/v2"] = "cilium.io/v2"
    kind: Literal["CiliumNetworkPolicy"] = "CiliumNetworkPolicy"
    status: Any = None


class CiliumClusterwideNetworkPolicy(Object, frozen=True):
    metadata: ObjectMeta
    spec: CiliumRule | None = None
    specs: tuple[CiliumRule, ...] = ()
    api_version: Literal["cilium.io/v2"] = "cilium.io/v2"
    kind: Literal["CiliumClusterwideNetworkPolicy"] = "CiliumClusterwideNetworkPolicy"
    status: Any = None


class CIDRGroupSpec(Object, frozen=True):
    external_cidrs: tuple[str, ...] = field(name="externalCIDRs", default=())


class CiliumCIDRGroup(Object, frozen=True):
    metadata: ObjectMeta
    spec: CIDRGroupSpec
    api_version: Literal["cilium.io/v2", "cilium.io/v2alpha1"] = "cilium.io/v2"
    kind: Literal["CiliumCIDRGroup"] = "CiliumCIDRGroup"
    status: Any = None


class EgressGatewaySelector(Object, frozen=True):
    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    node_selector: LabelSelector | None = None


class EgressGateway(Object, frozen=True):
    """The node that traffic leaves by, and the address that it leaves as (one of that node's)."""

    node_selector: LabelSelector
    interface: str = ""
    egress_ip: str = field(name="egressIP", default="")


class EgressGatewaySpec(Object, frozen=True):
    selectors: tuple[EgressGatewaySelector, ...]
    destination_cidrs: tuple[str, ...] = field(name="destinationCIDRs")
    egress_gateway: EgressGateway
    excluded_cidrs: tuple[str, ...] = field(name="excludedCIDRs", default=())


class CiliumEgressGatewayPolicy(Object, frozen=True):
    metadata: ObjectMeta
    spec: EgressGatewaySpec
    api_version: Literal["cilium.io/v2"] = "cilium.io/v2"
    kind: Literal["CiliumEgressGatewayPolicy"] = "CiliumEgressGatewayPolicy"
    status: Any = None


class PoolBlock(Object, frozen=True):
    """A CIDR, or a range from `start` to `stop` inclusive."""

    cidr: str = ""
    start: str = ""
    stop: str = ""


class LoadBalancerIPPoolSpec(Object, frozen=True):
    blocks: tuple[PoolBlock, ...] = ()
    service_selector: LabelSelector | None = None
    allow_first_last_ips: Literal["Yes", "No", ""] = field(name="allowFirstLastIPs", default="")
    disabled: bool = False


class CiliumLoadBalancerIPPool(Object, frozen=True):
    metadata: ObjectMeta
    spec: LoadBalancerIPPoolSpec
    api_version: Literal["cilium.io/v2", "cilium.io/v2alpha1"] = "cilium.io/v2"
    kind: Literal["CiliumLoadBalancerIPPool"] = "CiliumLoadBalancerIPPool"
    status: Any = None
