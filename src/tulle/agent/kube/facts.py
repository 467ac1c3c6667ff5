"""A Pod's object → a workload of another node; a Node's → the node in the mesh. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

import msgspec

from tulle.edges.manifests.fields import FieldError, quote
from tulle.edges.manifests.pod import weight_of
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
from tulle.model.world import IPAddress, IPNetwork, Key, Refusal, Workload

from ..addresses import ingress_addresses, node_addresses
from ..published import ENDED, INGRESS, INTERNAL, world_node
from .cut import PodCut, PortCut

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_ALIKE = 1024  # kept to find again: a list is in the order of names, so those alike are near


class Dweller(NamedTuple):
    """What a Pod is to other nodes. `what` is None if it has no address of its own: it shares the
    node's, or has none yet or any more.
    """

    home: str
    what: Workload | Refusal | None
    created: str = ""


def dweller_of(key: Key, pod: PodCut) -> Dweller:
    """Texts and labels that many have are the same objects: there may be 100,000 of these."""
    home = sys.intern(pod.spec.node_name or "")
    status, meta = pod.status, pod.metadata
    if pod.spec.host_network or status.phase in ENDED:
        return Dweller(home, None)
    try:
        addresses = _addresses(pod)
        weight = weight_of_pod(pod)
    except FieldError as error:
        return Dweller(home, _refusal(key, home, error))
    if not addresses:
        return Dweller(home, None)
    ready = [item.status for item in status.conditions or () if item.type == "Ready"]
    workload = Workload(
        *key,
        labels=_labels(tuple((meta.labels or {}).items())),
        addresses=addresses,
        ifindex=0,
        ports=_same_ports(ports_of(pod)),
        weight=weight,
        ready="True" in ready,
        terminating=meta.deletion_timestamp is not None,
        service_account=sys.intern(pod.spec.service_account_name or "default"),
        node=home,
    )
    return Dweller(home, workload, sys.intern(meta.creation_timestamp or ""))


def placed(workload: Workload, ranges: Sequence[IPNetwork]) -> Workload | Refusal:
    """A node speaks for its own ranges only: there its Pods are looked for."""
    for place, address in enumerate(workload.addresses):
        if not any(address in network for network in ranges):
            path = ("status", "podIPs", place, "ip")
            error = FieldError("is not in its node's podCIDRs", *path)
            return _refusal(workload.key, workload.node, error)
    return workload


def _refusal(key: Key, node: str, error: FieldError) -> Refusal:
    return Refusal(ObjectRef("Pod", *key), f"on node {node}, {error}: it is cut off")


@lru_cache(_ALIKE)
def _labels(pairs: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return {sys.intern(name): sys.intern(value) for name, value in pairs}


@lru_cache(_ALIKE)
def _same_ports(ports: tuple[ContainerPort, ...]) -> tuple[ContainerPort, ...]:
    return ports


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


def _addresses(pod: PodCut) -> tuple[IPAddress, ...]:
    """Raises FieldError."""
    texts = [item.ip for item in pod.status.pod_ips or () if item.ip]
    texts = texts or ([pod.status.pod_ip] if pod.status.pod_ip else [])
    return tuple(
        parse_address(text, "status", "podIPs", place, "ip") for place, text in enumerate(texts)
    )


def node_of(node: NodeObject) -> NodeObject:
    """With what follows from its pod ranges: where its own packets come from in the overlay, and
    where its proxy connects from. Raises ManifestError, also if that is no address to have."""
    ranges = world_node(node).pod_cidrs
    for place, network in enumerate(ranges):
        if network.num_addresses == 1:
            raise FieldError("is too small", "spec", "podCIDRs", place)
    added = [NodeAddress(str(item), INTERNAL) for item in node_addresses(ranges)]
    added += [NodeAddress(str(item), INGRESS) for item in ingress_addresses(ranges)]
    status = msgspec.structs.replace(node.status, addresses=(*node.status.addresses, *added))
    made = msgspec.structs.replace(node, status=status)
    world_node(made)
    return made
