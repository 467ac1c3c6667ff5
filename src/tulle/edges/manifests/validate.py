"""Is an object well-formed by Kubernetes' rules, and can Tulle do what it says?

What would change the meaning of traffic or of a process and cannot be honoured is refused, never
ignored.
"""

from __future__ import annotations

import msgspec

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
from tulle.model.hosts import MeshNode, MeshWorkload
from tulle.model.ingress import Ingress, IngressClass
from tulle.model.kinds import KubernetesObject, RoutingObject
from tulle.model.kubernetes import (
    AUDIT_ANNOTATION,
    GLOBAL_ANNOTATIONS,
    MAGLEV_ANNOTATION,
    REJECT_ANNOTATION,
    WEIGHT_ANNOTATION,
    EndpointSlice,
    Namespace,
    NetworkPolicy,
    NodeObject,
    ObjectMeta,
    Pod,
    Service,
)
from tulle.model.multicluster import ServiceExport, ServiceImport
from tulle.model.scopes import MEMORY, SCOPE
from tulle.model.traffic import (
    AuthPolicy,
    BackendTrafficPolicy,
    FaultInjectionPolicy,
    RateLimitPolicy,
    XBackendTrafficPolicy,
)

from .cilium_networks import validate_cidr_group, validate_egress_gateway, validate_pool
from .cilium_policy import validate_cilium_policy
from .cluster_policy import validate_cluster_policy
from .contents import validate_config_map, validate_secret
from .fields import FieldError, quote
from .gateway import validate_backend_tls, validate_gateway, validate_listener_set
from .gateway_routes import validate_route
from .hosts import validate_mesh_node, validate_mesh_workload
from .ingress import validate_ingress, validate_ingress_class
from .node import validate_node
from .pod import validate_pod
from .policy import validate_policy
from .proxy_scope import check_proxy_scope
from .service import validate_service
from .slices import validate_slice
from .syntax import check_dns_label, check_dns_subdomain, check_key, check_labels
from .traffic import validate_traffic

DEFAULT_NAMESPACE = "default"
CLUSTER_SCOPED = frozenset(
    {
        "Namespace",
        "Node",
        "CiliumClusterwideNetworkPolicy",
        "CiliumCIDRGroup",
        "CiliumEgressGatewayPolicy",
        "CiliumLoadBalancerIPPool",
        "ClusterNetworkPolicy",
        "GatewayClass",
        "IngressClass",
        "MeshNode",
    }
)

# Names of these become host names or directories; the others only name themselves.
_LABEL_NAMED = (Namespace, Pod, Service, MeshWorkload, ServiceExport, ServiceImport)
_ANNOTATION_BYTES = 256 << 10
_OWN_PREFIX = "tulle.io/"
_OTHER_VALUES = (WEIGHT_ANNOTATION, SCOPE, MEMORY)  # than "true" and "false"
_OF_POLICIES = (AUDIT_ANNOTATION, REJECT_ANNOTATION)
_OF_PROXIES = (SCOPE, MEMORY)
_OWN: dict[str, tuple[str, ...]] = {
    "Pod": (WEIGHT_ANNOTATION,),
    "Namespace": _OF_PROXIES,
    "Gateway": _OF_PROXIES,
    "Service": (MAGLEV_ANNOTATION, GLOBAL_ANNOTATIONS[0], *_OF_PROXIES),
    "NetworkPolicy": _OF_POLICIES,
    "CiliumNetworkPolicy": _OF_POLICIES,
    "CiliumClusterwideNetworkPolicy": _OF_POLICIES,
    "ClusterNetworkPolicy": _OF_POLICIES,
}


def validate(obj: KubernetesObject) -> KubernetesObject:
    """The object with defaults filled in and addresses in canonical form.

    Raises ManifestError naming the field (without file and line).
    """
    _check_metadata(obj)
    if obj.kind not in CLUSTER_SCOPED:
        namespace = obj.metadata.namespace or DEFAULT_NAMESPACE
        metadata = msgspec.structs.replace(obj.metadata, namespace=namespace)
        obj = msgspec.structs.replace(obj, metadata=metadata)
    match obj:
        case Service():
            return validate_service(obj)
        case EndpointSlice():
            return validate_slice(obj)
        case NetworkPolicy():
            return validate_policy(obj)
        case Pod():
            return validate_pod(obj)
        case NodeObject():
            return validate_node(obj)
        case CiliumNetworkPolicy() | CiliumClusterwideNetworkPolicy():
            return validate_cilium_policy(obj)
        case ClusterNetworkPolicy():
            return validate_cluster_policy(obj)
        case CiliumCIDRGroup():
            return validate_cidr_group(obj)
        case CiliumEgressGatewayPolicy():
            return validate_egress_gateway(obj)
        case CiliumLoadBalancerIPPool():
            return validate_pool(obj)
        case MeshNode():
            return validate_mesh_node(obj)
        case MeshWorkload():
            return validate_mesh_workload(obj)
        case Namespace() | ServiceExport() | ServiceImport():
            return obj
        case _:
            return _validate_routing(obj)


def _validate_routing(obj: RoutingObject) -> KubernetesObject:
    match obj:
        case Secret():
            return validate_secret(obj)
        case ConfigMap():
            return validate_config_map(obj)
        case Gateway():
            return validate_gateway(obj)
        case ListenerSet():
            return validate_listener_set(obj)
        case BackendTLSPolicy():
            return validate_backend_tls(obj)
        case HTTPRoute() | GRPCRoute() | TLSRoute() | TCPRoute() | UDPRoute():
            return validate_route(obj)
        case IngressClass():
            return validate_ingress_class(obj)
        case Ingress():
            return validate_ingress(obj)
        case (
            BackendTrafficPolicy()
            | XBackendTrafficPolicy()
            | RateLimitPolicy()
            | FaultInjectionPolicy()
            | AuthPolicy()
        ):
            return validate_traffic(obj)
        case GatewayClass() | ReferenceGrant():
            return obj


def _check_metadata(obj: KubernetesObject) -> None:
    metadata = obj.metadata
    check_name = check_dns_label if isinstance(obj, _LABEL_NAMED) else check_dns_subdomain
    check_name(metadata.name, "metadata", "name")
    if obj.kind in CLUSTER_SCOPED and metadata.namespace:
        raise FieldError(f"a {obj.kind} is in no namespace", "metadata", "namespace")
    if metadata.namespace:
        check_dns_label(metadata.namespace, "metadata", "namespace")
    check_labels(metadata.labels, "metadata", "labels")
    _check_annotations(obj.kind, metadata)
    check_proxy_scope(obj.kind, metadata)


def _check_annotations(kind: str, metadata: ObjectMeta) -> None:
    path = ("metadata", "annotations")
    for key, text in metadata.annotations.items():
        check_key(key, *path)
        if not key.startswith(_OWN_PREFIX):
            continue
        if key not in _OWN.get(kind, ()):
            raise FieldError(f"{quote(key)} means nothing on a {kind}", *path, key)
        if key not in _OTHER_VALUES and text not in ("true", "false"):
            raise FieldError(f'{quote(text)} must be "true" or "false"', *path, key)
    size = sum(len(key.encode()) + len(text.encode()) for key, text in metadata.annotations.items())
    if size > _ANNOTATION_BYTES:
        raise FieldError(f"is {size} bytes long, more than {_ANNOTATION_BYTES}", *path)
