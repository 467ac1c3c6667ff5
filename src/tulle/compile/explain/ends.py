"""Who an address is, as policies see it, and the question that each policy is asked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Literal

from tulle.model.cilium import CLUSTER_KEY
from tulle.model.kubernetes import HEADLESS, LabelSelector, Service
from tulle.model.proxy import RULES_ADDRESSES
from tulle.model.verdict import Flow
from tulle.model.world import IPAddress, IPNetwork, Node, Workload, World

from ..rules import seen_labels
from ..selectors import matches, named_port

Direction = Literal["egress", "ingress"]


class Kind(Enum):
    WORKLOAD = "a workload"
    HOST = "this node"
    NODE = "another node"
    INGRESS = "a node's proxy"
    UNMANAGED = "in another node's pod range, but no known workload"
    SERVICE = "a service"
    WORLD = "outside of the mesh"


@dataclass(frozen=True, slots=True)
class End:
    """`labels` are all that a selector of Cilium's may ask for; of a node its own."""

    address: IPAddress
    kind: Kind
    workload: Workload | None = None
    node: Node | None = None  # where it is, or what it is; None outside
    is_local: bool = False  # this node, or a workload of it: judged here
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def cluster(self) -> str:
        """That it is of; "" is this one, or none."""
        return self.node.cluster if self.node else ""


@dataclass(frozen=True, slots=True)
class Question:
    """May the subject have this flow with the peer, in this direction?"""

    world: World
    direction: Direction
    subject: End
    peer: End
    flow: Flow

    @property
    def destination(self) -> End:
        return self.peer if self.direction == "egress" else self.subject

    def asks_for(self, port_name: str) -> bool:
        """Whether the flow goes to the port that the destination calls so, in either direction."""
        workload, flow = self.destination.workload, self.flow
        return workload is not None and flow.dport == named_port(workload, port_name, flow.protocol)


def end_at(world: World, address: IPAddress) -> End:
    """What is known of an address: the closest knowledge wins."""
    for workload in world.workloads.values():
        if address in workload.addresses:
            return _workload_end(world, address, workload, world.node, is_local=True)
    if address in world.node.addresses:
        labels = {**world.node.labels, CLUSTER_KEY: world.settings.cluster_name}
        return End(address, Kind.HOST, None, world.node, True, labels)
    for node in (world.node, *world.nodes.values()):
        if address in node.ingress:
            return End(address, Kind.INGRESS, node=node)
    for name, workloads in world.remote.items():
        for workload in workloads.values():
            if address in workload.addresses:
                return _workload_end(world, address, workload, world.nodes.get(name))
    for node in world.nodes.values():
        if address in node.addresses:
            labels = {**node.labels, CLUSTER_KEY: node.cluster or world.settings.cluster_name}
            return End(address, Kind.NODE, node=node, labels=labels)
    if address in RULES_ADDRESSES:
        return End(address, Kind.SERVICE)
    if any(address in _addresses(service) for service in world.services.values()):
        return End(address, Kind.SERVICE)
    for node in world.nodes.values():
        if any(address in cidr for cidr in node.pod_cidrs):
            return End(address, Kind.UNMANAGED, node=node)
    return End(address, Kind.WORLD)


def _workload_end(
    world: World,
    address: IPAddress,
    workload: Workload,
    node: Node | None,
    is_local: bool = False,
) -> End:
    labels = seen_labels(
        workload.labels,
        workload.namespace,
        world.namespace_labels(workload.namespace, workload.cluster),
        workload.service_account,
        workload.cluster or world.settings.cluster_name,
    )
    return End(address, Kind.WORKLOAD, workload, node, is_local, labels)


def _addresses(service: Service) -> Iterator[IPAddress]:
    """The addresses that are the service's own, under any port."""
    spec = service.spec
    texts = {
        spec.cluster_ip,
        *spec.cluster_ips,
        *spec.external_ips,
        *(item.ip for item in service.status.load_balancer.ingress),
    }
    return (ip_address(text) for text in texts if text not in ("", HEADLESS))


def is_about(end: End, keys: Collection[str]) -> bool:
    """Whether a selector with these keys may mean the end; without a cluster's it means ours."""
    return not end.cluster or CLUSTER_KEY in keys


def pods_match(selector: LabelSelector, end: End) -> bool:
    """Whether a podSelector of Kubernetes' matches: by a workload's own labels, and its cluster."""
    assert end.workload is not None
    keys = {*selector.match_labels, *(item.key for item in selector.match_expressions)}
    labels = {**end.workload.labels, CLUSTER_KEY: end.labels[CLUSTER_KEY]}
    return is_about(end, keys) and matches(selector, labels)


@lru_cache(maxsize=4096)
def network(cidr: str) -> IPNetwork:
    """A CIDR or a single address; bits behind the prefix do not matter."""
    return ip_network(cidr, strict=False)


def inside(address: IPAddress, cidr: str, excluded: tuple[str, ...] = ()) -> bool:
    """Whether the block has the address. An address is in no block of the other family."""
    return address in network(cidr) and not any(address in network(hole) for hole in excluded)
