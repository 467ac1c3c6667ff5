"""Every kind that Tulle accepts."""

from __future__ import annotations

from typing import get_args

from .cilium import (
    CiliumCIDRGroup,
    CiliumClusterwideNetworkPolicy,
    CiliumEgressGatewayPolicy,
    CiliumLoadBalancerIPPool,
    CiliumNetworkPolicy,
)
from .cluster_policy import ClusterNetworkPolicy
from .contents import ConfigMap, Secret
from .gateway import BackendTLSPolicy, Gateway, GatewayClass, ListenerSet, ReferenceGrant
from .gateway_routes import Route
from .hosts import MeshNode, MeshWorkload
from .ingress import Ingress, IngressClass
from .kubernetes import (
    EndpointSlice,
    Namespace,
    NetworkPolicy,
    NodeObject,
    ObjectRef,
    Pod,
    Service,
)
from .multicluster import ServiceExport, ServiceImport
from .traffic import (
    AuthPolicy,
    BackendTrafficPolicy,
    FaultInjectionPolicy,
    RateLimitPolicy,
    XBackendTrafficPolicy,
)

RoutingObject = (
    Secret
    | ConfigMap
    | GatewayClass
    | Gateway
    | ListenerSet
    | ReferenceGrant
    | BackendTLSPolicy
    | Route
    | IngressClass
    | Ingress
    | BackendTrafficPolicy
    | XBackendTrafficPolicy
    | RateLimitPolicy
    | FaultInjectionPolicy
    | AuthPolicy
)
KubernetesObject = (
    Namespace
    | NodeObject
    | Pod
    | Service
    | EndpointSlice
    | NetworkPolicy
    | CiliumNetworkPolicy
    | CiliumClusterwideNetworkPolicy
    | CiliumCIDRGroup
    | CiliumEgressGatewayPolicy
    | CiliumLoadBalancerIPPool
    | ClusterNetworkPolicy
    | MeshNode
    | MeshWorkload
    | ServiceExport
    | ServiceImport
    | RoutingObject
)
KINDS: dict[str, type[KubernetesObject]] = {
    kind.__name__.removesuffix("Object"): kind for kind in get_args(KubernetesObject)
}


def ref_of(obj: KubernetesObject) -> ObjectRef:
    """Name of an object within the world; cluster-scoped ones have an empty namespace."""
    return ObjectRef(obj.kind, obj.metadata.namespace, obj.metadata.name)
