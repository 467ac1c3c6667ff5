"""The Kubernetes objects that Tulle accepts, as frozen types in Kubernetes' own words.

Fields are those of the API reference (core/v1, discovery.k8s.io/v1, networking.k8s.io/v1).
An unknown field is an error. A field that exists in Kubernetes but that Tulle does not act on
is typed `Any` under "not acted on": manifests that carry it are accepted only where ignoring it
is harmless (a Pod's resources), and refused where it is not (a Service's type NodePort); the
edge that reads manifests decides.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

Port = Annotated[int, Meta(ge=1, le=65535)]
Protocol = Literal["TCP", "UDP", "SCTP"]
Labels = dict[str, str]

HEADLESS = "None"  # as a Service's clusterIP
SERVICE_NAME_LABEL = "kubernetes.io/service-name"  # on an EndpointSlice
# on a slice: the cluster that its endpoints are of, if that is another one (KEP-1645)
SOURCE_CLUSTER_LABEL = "multicluster.kubernetes.io/source-cluster"
# "true" on a Service: it shares its backends with those of its name in other clusters, and with
# the last one "false" only uses theirs
GLOBAL_ANNOTATIONS = ("tulle.io/global", "service.cilium.io/global")
SHARED_ANNOTATION = "service.cilium.io/shared"
AFFINITY_ANNOTATION = "service.cilium.io/affinity"  # local, remote or none: whose are used first
MAGLEV_ANNOTATION = "tulle.io/maglev"  # "true" on a Service: consistent hashing
AUDIT_ANNOTATION = "tulle.io/audit"  # "true" on a policy: it reports and decides nothing
REJECT_ANNOTATION = "tulle.io/reject"  # "true" on a policy: what it denies is told so
OBSERVE_LABEL = "tulle.io/observe"  # "http" on a Pod: its requests are told of without a policy
WEIGHT_ANNOTATION = "tulle.io/weight"  # on a Pod, relative to the service's other backends
# on a Service: addresses that it wants of a pool, with commas; the second name is an older one
LB_ADDRESSES_ANNOTATIONS = ("lbipam.cilium.io/ips", "io.cilium/lb-ipam-ips")


class Object(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename="camel",
    omit_defaults=True,
    gc=False,
):
    """Base of every type here: immutable, strict, camelCase outside and snake_case inside.

    What is decoded holds no cycles, so the garbage collector need not walk a million of these.
    """


class ObjectMeta(Object, frozen=True):
    name: str
    namespace: str = ""
    labels: Labels = {}
    annotations: dict[str, str] = {}
    # set by API servers, or with `tulle apply`: routes' precedence and statuses follow from them
    generation: int = 0
    creation_timestamp: Any = None
    # set by API servers, not acted on
    uid: str = ""
    resource_version: str = ""
    generate_name: str = ""
    managed_fields: Any = None
    owner_references: Any = None
    finalizers: Any = None
    self_link: Any = None

    def says(self, annotation: str) -> bool:
        """Whether an annotation of "true" or "false" is there and true."""
        return self.annotations.get(annotation) == "true"


class LabelSelectorRequirement(Object, frozen=True):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()


class LabelSelector(Object, frozen=True):
    """Both parts must hold; an empty selector selects everything."""

    match_labels: Labels = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


class Namespace(Object, frozen=True):
    metadata: ObjectMeta
    api_version: Literal["v1"] = "v1"
    kind: Literal["Namespace"] = "Namespace"
    spec: Any = None
    status: Any = None


class ContainerPort(Object, frozen=True):
    container_port: Port
    name: str = ""
    protocol: Protocol = "TCP"
    host_port: Port | None = None
    host_ip: str = field(name="hostIP", default="")


class EnvVar(Object, frozen=True):
    name: str
    value: str = ""


class TCPSocketAction(Object, frozen=True):
    port: Port | str
    host: str = ""


class Probe(Object, frozen=True):
    """Only `tcpSocket` is acted on, as readiness."""

    tcp_socket: TCPSocketAction | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 1
    timeout_seconds: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    http_get: Any = None
    exec: Any = None
    grpc: Any = None


class Container(Object, frozen=True):
    name: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    working_dir: str = ""
    readiness_probe: Probe | None = None
    # not acted on: there is no container engine below a plain host
    image: str = ""
    image_pull_policy: Any = None
    resources: Any = None
    volume_mounts: Any = None
    security_context: Any = None
    liveness_probe: Any = None
    startup_probe: Any = None
    lifecycle: Any = None
    termination_message_path: Any = None
    termination_message_policy: Any = None
    tty: Any = None
    stdin: Any = None


class PodSpec(Object, frozen=True):
    containers: Annotated[tuple[Container, ...], Meta(min_length=1)]
    restart_policy: Literal["Always", "OnFailure", "Never"] = "Always"
    termination_grace_period_seconds: int = 30
    node_name: str = ""
    hostname: str = ""
    service_account_name: str = ""
    node_selector: Labels = {}
    # not acted on
    init_containers: Any = None
    volumes: Any = None
    service_account: Any = None
    automount_service_account_token: Any = None
    security_context: Any = None
    dns_policy: Any = None
    tolerations: Any = None
    affinity: Any = None
    priority: Any = None
    priority_class_name: Any = None
    scheduler_name: Any = None
    enable_service_links: Any = None
    preemption_policy: Any = None
    image_pull_secrets: Any = None


class PodIP(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    ip: str


class PodCondition(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    type: str
    status: str  # True, False, Unknown


class PodStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What its node says of a Pod; fields that nobody acts on are skipped, there are many."""

    phase: str = ""
    pod_ips: tuple[PodIP, ...] = field(name="podIPs", default=())
    conditions: tuple[PodCondition, ...] = ()


class Pod(Object, frozen=True):
    """`status` counts where its node says it, not in a manifest."""

    metadata: ObjectMeta
    spec: PodSpec
    api_version: Literal["v1"] = "v1"
    kind: Literal["Pod"] = "Pod"
    status: PodStatus = PodStatus()


class NodeSpec(Object, frozen=True):
    pod_cidr: str = field(name="podCIDR", default="")
    pod_cidrs: tuple[str, ...] = field(name="podCIDRs", default=())
    # not acted on
    provider_id: Any = field(name="providerID", default=None)
    taints: Any = None
    unschedulable: Any = None


class NodeAddress(Object, frozen=True):
    address: str
    type: str  # InternalIP, ExternalIP, Hostname, …: only the first two are acted on


class NodeStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a node says of itself; fields that nobody acts on are skipped, there are many."""

    addresses: tuple[NodeAddress, ...] = ()


class NodeObject(Object, frozen=True):
    """A Node. Of several InternalIPs of one family the first is where the overlay reaches it."""

    metadata: ObjectMeta
    spec: NodeSpec = NodeSpec()
    api_version: Literal["v1"] = "v1"
    kind: Literal["Node"] = "Node"
    status: NodeStatus = NodeStatus()


class ServicePort(Object, frozen=True):
    port: Port
    name: str = ""
    protocol: Protocol = "TCP"
    target_port: Port | str | None = None  # absent: the same as port
    node_port: Port | None = None  # absent: allocated
    app_protocol: str = ""


class ClientIPConfig(Object, frozen=True):
    timeout_seconds: Annotated[int, Meta(ge=1, le=86400)] = 10800


class SessionAffinityConfig(Object, frozen=True):
    client_ip: ClientIPConfig = field(name="clientIP", default=ClientIPConfig())


class ServiceSpec(Object, frozen=True):
    ports: tuple[ServicePort, ...] = ()
    selector: Labels = {}
    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    cluster_ip: str = field(name="clusterIP", default="")  # "None": headless; "": allocated
    cluster_ips: tuple[str, ...] = field(name="clusterIPs", default=())
    ip_families: tuple[Literal["IPv4", "IPv6"], ...] = ()
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = None
    session_affinity: Literal["None", "ClientIP"] = "None"
    session_affinity_config: SessionAffinityConfig = SessionAffinityConfig()
    publish_not_ready_addresses: bool = False
    internal_traffic_policy: Literal["Cluster", "Local"] = "Cluster"
    external_traffic_policy: Literal["Cluster", "Local"] = "Cluster"
    external_ips: tuple[str, ...] = field(name="externalIPs", default=())
    load_balancer_ip: str = field(name="loadBalancerIP", default="")
    load_balancer_class: str = ""
    load_balancer_source_ranges: tuple[str, ...] = ()
    allocate_load_balancer_node_ports: bool = True
    traffic_distribution: Literal["PreferClose", "PreferSameZone", "PreferSameNode", ""] = ""
    # refused unless absent
    external_name: Any = None
    health_check_node_port: Any = None


class LoadBalancerIngress(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    ip: str = ""
    ip_mode: str = "VIP"  # Proxy: the load balancer itself takes what is sent there


class LoadBalancerStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Filled in by Tulle, except where an API server has it."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(Object, frozen=True):
    metadata: ObjectMeta
    spec: ServiceSpec
    api_version: Literal["v1"] = "v1"
    kind: Literal["Service"] = "Service"
    status: ServiceStatus = ServiceStatus()


class EndpointConditions(Object, frozen=True):
    ready: bool | None = None  # None counts as ready
    serving: bool | None = None
    terminating: bool | None = None


class ForZone(Object, frozen=True):
    name: str


class ForNode(Object, frozen=True):
    name: str


class EndpointHints(Object, frozen=True):
    for_zones: tuple[ForZone, ...] = ()
    for_nodes: tuple[ForNode, ...] = ()


class Endpoint(Object, frozen=True):
    addresses: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)]
    conditions: EndpointConditions = EndpointConditions()
    node_name: str = ""
    zone: str = ""
    hints: EndpointHints = EndpointHints()
    # not acted on
    hostname: str = ""
    target_ref: Any = None
    deprecated_topology: Any = None


class EndpointPort(Object, frozen=True):
    port: Port | None = None
    name: str = ""
    protocol: Protocol = "TCP"
    app_protocol: str = ""


class EndpointSlice(Object, frozen=True):
    """Bound to its Service by the label `kubernetes.io/service-name`."""

    metadata: ObjectMeta
    address_type: Literal["IPv4", "IPv6"]
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()
    api_version: Literal["discovery.k8s.io/v1"] = "discovery.k8s.io/v1"
    kind: Literal["EndpointSlice"] = "EndpointSlice"


class IPBlock(Object, frozen=True):
    cidr: str
    except_: tuple[str, ...] = field(name="except", default=())


class NetworkPolicyPeer(Object, frozen=True):
    """Either `ip_block`, or one or both selectors."""

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IPBlock | None = None


class NetworkPolicyPort(Object, frozen=True):
    protocol: Protocol = "TCP"
    port: Port | str | None = None  # None: every port of the protocol
    end_port: Port | None = None


class NetworkPolicyIngressRule(Object, frozen=True):
    from_: tuple[NetworkPolicyPeer, ...] = field(name="from", default=())  # empty: everybody
    ports: tuple[NetworkPolicyPort, ...] = ()  # empty: everything


class NetworkPolicyEgressRule(Object, frozen=True):
    to: tuple[NetworkPolicyPeer, ...] = ()
    ports: tuple[NetworkPolicyPort, ...] = ()


class NetworkPolicySpec(Object, frozen=True):
    pod_selector: LabelSelector
    ingress: tuple[NetworkPolicyIngressRule, ...] = ()
    egress: tuple[NetworkPolicyEgressRule, ...] = ()
    # absent: Ingress, and Egress too if there are egress rules
    policy_types: tuple[Literal["Ingress", "Egress"], ...] | None = None


class NetworkPolicy(Object, frozen=True):
    metadata: ObjectMeta
    spec: NetworkPolicySpec
    api_version: Literal["networking.k8s.io/v1"] = "networking.k8s.io/v1"
    kind: Literal["NetworkPolicy"] = "NetworkPolicy"
    status: Any = None


class ObjectRef(msgspec.Struct, frozen=True, order=True):
    """`NetworkPolicy shop/allow-api`, as every message and rule names it."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        path = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {path}"
