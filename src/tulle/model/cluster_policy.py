"""ClusterNetworkPolicy of policy.networking.k8s.io (network-policy-api); its versions agree."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from .kubernetes import LabelSelector, Object, ObjectMeta, Port

Name = Annotated[str, Meta(max_length=100)]


class NamespacedPod(Object, frozen=True):
    """Both selectors must match."""

    namespace_selector: LabelSelector
    pod_selector: LabelSelector


class ClusterSubject(Object, frozen=True):
    """Exactly one."""

    namespaces: LabelSelector | None = None
    pods: NamespacedPod | None = None


class ClusterIngressPeer(Object, frozen=True):
    """Exactly one."""

    namespaces: LabelSelector | None = None
    pods: NamespacedPod | None = None


class ClusterEgressPeer(Object, frozen=True):
    """Exactly one."""

    namespaces: LabelSelector | None = None
    pods: NamespacedPod | None = None
    nodes: LabelSelector | None = None
    networks: tuple[str, ...] | None = None
    domain_names: Any = None  # refused: needs DNS


class PortRange(Object, frozen=True):
    start: Port
    end: Port


class DestinationPort(Object, frozen=True):
    """Exactly one."""

    number: Port | None = None
    range: PortRange | None = None


class ProtocolPort(Object, frozen=True):
    destination_port: DestinationPort


class ClusterProtocol(Object, frozen=True):
    """Exactly one."""

    tcp: ProtocolPort | None = None
    udp: ProtocolPort | None = None
    sctp: ProtocolPort | None = None
    destination_named_port: str = ""


class ClusterIngressRule(Object, frozen=True):
    action: Literal["Accept", "Deny", "Pass"]
    from_: tuple[ClusterIngressPeer, ...] = field(name="from")
    name: Name = ""
    protocols: tuple[ClusterProtocol, ...] | None = None


class ClusterEgressRule(Object, frozen=True):
    action: Literal["Accept", "Deny", "Pass"]
    to: tuple[ClusterEgressPeer, ...]
    name: Name = ""
    protocols: tuple[ClusterProtocol, ...] | None = None


class ClusterNetworkPolicySpec(Object, frozen=True):
    tier: Literal["Admin", "Baseline"]
    priority: Annotated[int, Meta(ge=0, le=1000)]
    subject: ClusterSubject
    ingress: tuple[ClusterIngressRule, ...] = ()
    egress: tuple[ClusterEgressRule, ...] = ()


class ClusterNetworkPolicy(Object, frozen=True):
    metadata: ObjectMeta
    spec: ClusterNetworkPolicySpec
    api_version: Literal[
        "policy.networking.k8s.io/v1alpha2", "policy.networking.k8s.io/v1beta1"
    ] = "policy.networking.k8s.io/v1alpha2"
    kind: Literal["ClusterNetworkPolicy"] = "ClusterNetworkPolicy"
    status: Any = None
