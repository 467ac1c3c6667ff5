"""What was read → the World that is compiled."""

from __future__ import annotations

from collections.abc import Mapping

from tulle.edges.manifests.directory import Snapshot
from tulle.model.cilium import (
    CiliumCIDRGroup,
    CiliumClusterwideNetworkPolicy,
    CiliumEgressGatewayPolicy,
    CiliumLoadBalancerIPPool,
    CiliumNetworkPolicy,
)
from tulle.model.cluster_policy import ClusterNetworkPolicy
from tulle.model.contents import ConfigMap, Secret
from tulle.model.gateway import (
    BackendTLSPolicy,
    Gateway,
    GatewayClass,
    ListenerSet,
    ReferenceGrant,
)
from tulle.model.gateway_routes import GRPCRoute, HTTPRoute, TCPRoute, TLSRoute, UDPRoute
from tulle.model.ingress import Ingress, IngressClass
from tulle.model.kubernetes import (
    EndpointSlice,
    Namespace,
    NetworkPolicy,
    Service,
)
from tulle.model.traffic import (
    AuthPolicy,
    BackendTrafficPolicy,
    FaultInjectionPolicy,
    RateLimitPolicy,
    XBackendTrafficPolicy,
)
from tulle.model.world import Key, Settings, World

from .mesh import Mesh


def world_of(
    snapshot: Snapshot, seen: Mesh, settings: Settings, services: Mapping[Key, Service]
) -> World:
    return World(
        node=seen.node,
        nodes=seen.nodes,
        settings=settings,
        namespaces=snapshot.named(Namespace),
        foreign=snapshot.foreign,
        workloads=seen.workloads,
        remote=seen.remote,
        services=services,
        slices=snapshot.of(EndpointSlice),
        policies=snapshot.of(NetworkPolicy),
        cilium_policies=snapshot.of(CiliumNetworkPolicy),
        clusterwide_policies=snapshot.named(CiliumClusterwideNetworkPolicy),
        cluster_policies=snapshot.named(ClusterNetworkPolicy),
        cidr_groups=snapshot.named(CiliumCIDRGroup),
        egress_gateways=snapshot.named(CiliumEgressGatewayPolicy),
        address_pools=snapshot.named(CiliumLoadBalancerIPPool),
        secrets=snapshot.of(Secret),
        config_maps=snapshot.of(ConfigMap),
        gateway_classes=snapshot.named(GatewayClass),
        gateways=snapshot.of(Gateway),
        listener_sets=snapshot.of(ListenerSet),
        grants=snapshot.of(ReferenceGrant),
        backend_tls=snapshot.of(BackendTLSPolicy),
        http_routes=snapshot.of(HTTPRoute),
        grpc_routes=snapshot.of(GRPCRoute),
        tls_routes=snapshot.of(TLSRoute),
        tcp_routes=snapshot.of(TCPRoute),
        udp_routes=snapshot.of(UDPRoute),
        ingress_classes=snapshot.named(IngressClass),
        ingresses=snapshot.of(Ingress),
        backend_traffic=snapshot.of(BackendTrafficPolicy),
        x_backend_traffic=snapshot.of(XBackendTrafficPolicy),
        rate_limits=snapshot.of(RateLimitPolicy),
        faults=snapshot.of(FaultInjectionPolicy),
        auth_policies=snapshot.of(AuthPolicy),
    )
