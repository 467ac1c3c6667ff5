"""The World: everything that is true from outside, as one immutable value.

Objects that reach it have passed validation: namespaces are filled in ("default" where absent),
selectors, CIDRs and ports are well-formed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from .kubernetes import (
    ContainerPort,
    EndpointSlice,
    Namespace,
    NetworkPolicy,
    ObjectRef,
    Service,
)

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
Key = tuple[str, str]  # namespace, name


@dataclass(frozen=True, slots=True)
class Workload:
    """A running endpoint on this node: a network namespace and its veth pair.

    `ifindex` is the node's side of the pair. `weight` is relative, 0 takes no new connections.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    addresses: tuple[IPAddress, ...]
    ifindex: int
    ports: tuple[ContainerPort, ...] = ()
    weight: int = 1
    ready: bool = True

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Node:
    """What the compiler must know of the node itself."""

    name: str = "local"
    addresses: tuple[IPAddress, ...] = ()  # IDENTITY_HOST
    service_cidrs: tuple[IPNetwork, ...] = (
        IPv4Network("10.96.0.0/16"),
        IPv6Network("fd00:7a11:0:96::/112"),
    )


@dataclass(frozen=True, slots=True)
class World:
    node: Node = Node()
    namespaces: Mapping[str, Namespace] = field(default_factory=dict)
    workloads: Mapping[Key, Workload] = field(default_factory=dict)
    services: Mapping[Key, Service] = field(default_factory=dict)
    slices: Mapping[Key, EndpointSlice] = field(default_factory=dict)
    policies: Mapping[Key, NetworkPolicy] = field(default_factory=dict)

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        """Labels of a namespace, with the name label that Kubernetes always sets."""
        known = self.namespaces.get(name)
        labels = dict(known.metadata.labels) if known else {}
        labels["kubernetes.io/metadata.name"] = name
        return labels


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that is not in force, and why."""

    ref: ObjectRef
    reason: str
