"""The World: everything that is true from outside, as one immutable value.

Objects that reach it have passed validation: namespaces are filled in ("default" where absent),
selectors, CIDRs and ports are well-formed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from .bandwidth import UNLIMITED, Bandwidth
from .cilium import (
    DEFAULT_CLUSTER,
    CiliumCIDRGroup,
    CiliumClusterwideNetworkPolicy,
    CiliumEgressGatewayPolicy,
    CiliumLoadBalancerIPPool,
    CiliumNetworkPolicy,
)
from .cluster_policy import ClusterNetworkPolicy
from .contents import ConfigMap, Secret
from .gateway import BackendTLSPolicy, Gateway, GatewayClass, ListenerSet, ReferenceGrant
from .gateway_routes import GRPCRoute, HTTPRoute, TCPRoute, TLSRoute, UDPRoute
from .ingress import Ingress, IngressClass
from .kubernetes import (
    ContainerPort,
    EndpointSlice,
    Namespace,
    NetworkPolicy,
    ObjectRef,
    Service,
)
from .traffic import (
    AuthPolicy,
    BackendTrafficPolicy,
    FaultInjectionPolicy,
    RateLimitPolicy,
    XBackendTrafficPolicy,
)

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
Key = tuple[str, str]  # namespace, name
XdpMode = Literal["off", "native", "generic"]


@dataclass(frozen=True, slots=True)
class Wire:
    """A pair of interfaces that another plugin made: MACs, and the bridge, 0 for none."""

    workload_mac: str
    node_mac: str
    bridge: int = 0


@dataclass(frozen=True, slots=True)
class Workload:
    """A running endpoint: of this node, with a network namespace and its veth pair, or of another.

    `ifindex` is this node's side of the pair, 0 for another node's workload. `weight` is relative,
    0 takes no new connections. One that is terminating takes new connections only where no other
    endpoint is ready (KEP-1669), and only if it is `ready` still.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    addresses: tuple[IPAddress, ...]
    ifindex: int
    ports: tuple[ContainerPort, ...] = ()
    weight: int = 1
    ready: bool = True
    terminating: bool = False
    service_account: str = "default"
    node: str = ""  # name of the node that it runs on; "" is this one
    bandwidth: Bandwidth = UNLIMITED  # of this node's only
    wire: Wire | None = None  # None: a pair of Tulle's own
    cluster: str = ""  # that it is of; "" is this one

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Node:
    """What the compiler must know of a node.

    `addresses` are all of its own; of another node those that its Node object lists. `underlay` is
    where it takes the overlay's packets, None while it has no uplink. From `ingress` its proxy
    connects for clients from outside.
    """

    name: str = "local"
    addresses: tuple[IPAddress, ...] = ()
    service_cidrs: tuple[IPNetwork, ...] = (
        IPv4Network("10.96.0.0/16"),
        IPv6Network("fd00:7a11:0:96::/112"),
    )
    labels: Mapping[str, str] = field(default_factory=dict)
    pod_cidrs: tuple[IPNetwork, ...] = ()
    underlay: IPAddress | None = None
    ingress: tuple[IPAddress, ...] = ()
    cluster: str = ""  # that it is of; "" is this one

    @property
    def zone(self) -> str:
        return self.labels.get("topology.kubernetes.io/zone", "")


@dataclass(frozen=True, slots=True)
class Settings:
    """How this node's datapath is set up: options of `tulle up`, the same on every node."""

    routing: Literal["native", "vxlan"] = "native"
    load_balancing: Literal["snat", "dsr"] = "snat"
    masquerade: bool = True
    no_masquerade: tuple[IPNetwork, ...] = ()  # destinations outside that see workloads' addresses
    node_ports: tuple[int, int] = (30000, 32767)
    nat_ports: tuple[int, int] = (1024, 29999)
    stream: bool = False  # rules of HTTP are judged at servers' sockets where the kernel can
    short_circuit: bool = False  # TCP between workloads of a node goes from socket to socket
    # who backs a Service: the pods that it selects, or only what its EndpointSlices list
    endpoints: Literal["computed", "listed"] = "computed"
    chained: bool = False  # another CNI plugin makes interfaces, and owns addresses and routes
    cluster_name: str = DEFAULT_CLUSTER  # what policies call this cluster


@dataclass(frozen=True, slots=True)
class World:
    """Mappings and their values are never changed in place: an unchanged part is the same object.

    `workloads` are this node's. `remote` has those of each other node in a mapping of their own,
    so that a change of one node's is found without looking at the others'.
    """

    node: Node = Node()
    nodes: Mapping[str, Node] = field(default_factory=dict)  # the others, by right of claims
    settings: Settings = Settings()
    namespaces: Mapping[str, Namespace] = field(default_factory=dict)
    foreign: Mapping[str, Mapping[str, Namespace]] = field(default_factory=dict)  # by cluster
    workloads: Mapping[Key, Workload] = field(default_factory=dict)
    remote: Mapping[str, Mapping[Key, Workload]] = field(default_factory=dict)
    services: Mapping[Key, Service] = field(default_factory=dict)
    slices: Mapping[Key, EndpointSlice] = field(default_factory=dict)
    policies: Mapping[Key, NetworkPolicy] = field(default_factory=dict)
    cilium_policies: Mapping[Key, CiliumNetworkPolicy] = field(default_factory=dict)
    clusterwide_policies: Mapping[str, CiliumClusterwideNetworkPolicy] = field(default_factory=dict)
    cluster_policies: Mapping[str, ClusterNetworkPolicy] = field(default_factory=dict)
    cidr_groups: Mapping[str, CiliumCIDRGroup] = field(default_factory=dict)
    egress_gateways: Mapping[str, CiliumEgressGatewayPolicy] = field(default_factory=dict)
    address_pools: Mapping[str, CiliumLoadBalancerIPPool] = field(default_factory=dict)
    secrets: Mapping[Key, Secret] = field(default_factory=dict)
    config_maps: Mapping[Key, ConfigMap] = field(default_factory=dict)
    gateway_classes: Mapping[str, GatewayClass] = field(default_factory=dict)
    gateways: Mapping[Key, Gateway] = field(default_factory=dict)
    listener_sets: Mapping[Key, ListenerSet] = field(default_factory=dict)
    grants: Mapping[Key, ReferenceGrant] = field(default_factory=dict)
    backend_tls: Mapping[Key, BackendTLSPolicy] = field(default_factory=dict)
    http_routes: Mapping[Key, HTTPRoute] = field(default_factory=dict)
    grpc_routes: Mapping[Key, GRPCRoute] = field(default_factory=dict)
    tls_routes: Mapping[Key, TLSRoute] = field(default_factory=dict)
    tcp_routes: Mapping[Key, TCPRoute] = field(default_factory=dict)
    udp_routes: Mapping[Key, UDPRoute] = field(default_factory=dict)
    ingress_classes: Mapping[str, IngressClass] = field(default_factory=dict)
    ingresses: Mapping[Key, Ingress] = field(default_factory=dict)
    backend_traffic: Mapping[Key, BackendTrafficPolicy] = field(default_factory=dict)
    x_backend_traffic: Mapping[Key, XBackendTrafficPolicy] = field(default_factory=dict)
    rate_limits: Mapping[Key, RateLimitPolicy] = field(default_factory=dict)
    faults: Mapping[Key, FaultInjectionPolicy] = field(default_factory=dict)
    auth_policies: Mapping[Key, AuthPolicy] = field(default_factory=dict)

    def namespaces_of(self, cluster: str) -> Mapping[str, Namespace]:
        """Namespaces of one name are others in each cluster; "" is this one."""
        return self.foreign.get(cluster, {}) if cluster else self.namespaces

    def namespace_labels(self, name: str, cluster: str = "") -> Mapping[str, str]:
        """Labels of a namespace, with the name label that Kubernetes always sets."""
        known = self.namespaces_of(cluster).get(name)
        labels = dict(known.metadata.labels) if known else {}
        labels["kubernetes.io/metadata.name"] = name
        return labels


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that is not in force, and why."""

    ref: ObjectRef
    reason: str
