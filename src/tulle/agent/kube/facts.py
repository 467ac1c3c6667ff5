"""A Pod's object → a workload of another node; a Node's → the node in the mesh. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from tulle.edges.manifests.fields import FieldError, quote
from tulle.edges.manifests.syntax import parse_address
from tulle.model.bandwidth import (
    EGRESS_ANNOTATION,
    INGRESS_ANNOTATION,
    UNLIMITED,
    Bandwidth,
    Limit,
    limit_of,
)
from tulle.model.kubernetes import (
    ContainerPort,
    NodeAddress,
    NodeObject,
    ObjectRef,
    Protocol,
)
from tulle.model.world import IPAddress, IPNetwork, Refusal, Workload

from ..addresses import ingress_addresses, node_addresses
from ..published import ENDED, INGRESS, INTERNAL, weight_of, world_node
from .cut import PodCut, PortCut

_PROTOCOLS = ("TCP", "UDP", "SCTP")


def workload_of(pod: PodCut, node: str, ranges: Sequence[IPNetwork]) -> Workload | Refusal | None:
    """None if it has no address of its own: it shares the node's, or has none yet or any more."""
    status = pod.status
    if pod.spec.host_network or pod.spec.node_name != node or status.phase in ENDED:
        return None
    meta = pod.metadata
    try:
        addresses = _addresses(pod, ranges)
        weight = weight_of_pod(pod)
    except FieldError as error:
        ref = ObjectRef("Pod", meta.namespace, meta.name)
        return Refusal(ref, f"on node {node}, {error}: it is cut off")
    if not addresses:
        return None
    ready = [item.status for item in status.conditions or () if item.type == "Ready"]
    return Workload(
        namespace=meta.namespace,
        name=meta.name,
        labels=meta.labels or {},
        addresses=addresses,
        ifindex=0,
        ports=ports_of(pod),
        weight=weight,
        ready="True" in ready,
        terminating=meta.deletion_timestamp is not None,
        service_account=pod.spec.service_account_name or "default",
        node=node,
    )


def ports_of(pod: PodCut) -> tuple[ContainerPort, ...]:
    """Of its containers, and of those that are started before them and stay."""
    sidecars = [item for item in pod.spec.init_containers or () if item.restart_policy == "Always"]
    containers = [*(pod.spec.containers or ()), *sidecars]
    return tuple(
        _port(port)
        for item in containers
        for port in item.ports or ()
        if (port.protocol or "TCP") in _PROTOCOLS
    )


def _port(port: PortCut) -> ContainerPort:
    return ContainerPort(
        port.container_port,
        port.name or "",
        cast(Protocol, port.protocol or "TCP"),
        port.host_port or None,
        port.host_ip or "",
    )


def weight_of_pod(pod: PodCut) -> int:
    """Raises FieldError."""
    annotations = pod.metadata.annotations
    text = annotations.weight if annotations else None
    return 1 if text is None else weight_of(text)


def bandwidth_of_pod(pod: PodCut) -> Bandwidth:
    """Raises FieldError."""
    given = pod.metadata.annotations
    if given is None:
        return UNLIMITED
    return Bandwidth(
        _limit(given.ingress_bandwidth, INGRESS_ANNOTATION),
        _limit(given.egress_bandwidth, EGRESS_ANNOTATION),
    )


def _limit(text: str | None, name: str) -> Limit | None:
    if text is None:
        return None
    limit = limit_of(text)
    if limit is None:
        reason = f"{quote(text)} is no bandwidth from 1k to 1P, as 10M is"
        raise FieldError(reason, "metadata", "annotations", name)
    return limit


def _addresses(pod: PodCut, ranges: Sequence[IPNetwork]) -> tuple[IPAddress, ...]:
    """A node speaks for its own ranges only: there its Pods are looked for."""
    texts = [item.ip for item in pod.status.pod_ips or () if item.ip]
    found = []
    for place, text in enumerate(texts or ([pod.status.pod_ip] if pod.status.pod_ip else [])):
        path = ("status", "podIPs", place, "ip")
        address = parse_address(text, *path)
        if not any(address in network for network in ranges):
            raise FieldError("is not in its node's podCIDRs", *path)
        found.append(address)
    return tuple(found)


def node_of(node: NodeObject) -> NodeObject:
    """With what follows from its pod ranges: where its own packets come from in the overlay, and
    where its proxy connects from. Raises ManifestError."""
    ranges = world_node(node).pod_cidrs
    added = [NodeAddress(str(item), INTERNAL) for item in node_addresses(ranges)]
    added += [NodeAddress(str(item), INGRESS) for item in ingress_addresses(ranges)]
    status = msgspec.structs.replace(node.status, addresses=(*node.status.addresses, *added))
    return msgspec.structs.replace(node, status=status)
