"""Identities: peers that no policy can tell apart share one number.

Two workloads differ only if they differ in something that a policy looks at: namespace, a label
key that a selector names, membership in an ipBlock, a named port that an egress rule uses. So the
number of identities follows the policies, not the pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network

from tulle.model.kubernetes import (
    IPBlock,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
)
from tulle.model.world import IPAddress, IPNetwork, Workload, World

from .selectors import label_keys, matches

MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291, 2.5.5.2
Pairs = tuple[tuple[str, str], ...]
NamedPort = tuple[str, str, int]  # name, protocol, number


@dataclass(frozen=True, slots=True)
class Block:
    """An ipBlock, parsed."""

    cidr: IPNetwork
    excluded: tuple[IPNetwork, ...]

    @classmethod
    def of(cls, block: IPBlock) -> Block:
        excluded = tuple(
            sorted((ip_network(item, strict=False) for item in block.except_), key=str)
        )
        return cls(ip_network(block.cidr, strict=False), excluded)

    def contains(self, network: IPNetwork) -> bool:
        return _within(network, self.cidr) and not any(
            _within(network, item) for item in self.excluded
        )

    def __str__(self) -> str:
        left_out = " except " + ",".join(map(str, self.excluded)) if self.excluded else ""
        return f"{self.cidr}{left_out}"


def _within(inner: IPNetwork, outer: IPNetwork) -> bool:
    return (
        inner.version == outer.version
        and inner.prefixlen >= outer.prefixlen
        and inner.network_address in outer
    )


@dataclass(frozen=True)
class Peer:
    """What policies can see of a peer. `namespace` is None for what is no workload."""

    namespace: str | None
    labels: Pairs = ()
    namespace_labels: Pairs = ()
    blocks: tuple[Block, ...] = ()
    ports: tuple[NamedPort, ...] = ()

    @cached_property
    def name(self) -> str:
        """The identity's stable name, which is also what users see."""
        parts = [f"k8s:{key}={value}" for key, value in self.labels]
        if self.namespace is not None:
            parts.append(f"k8s:io.kubernetes.pod.namespace={self.namespace}")
        prefix = "k8s:io.cilium.k8s.namespace.labels."
        parts += [f"{prefix}{key}={value}" for key, value in self.namespace_labels]
        parts += [f"cidr:{block}" for block in self.blocks]
        parts += [f"port:{name}={number}/{protocol}" for name, protocol, number in self.ports]
        return ";".join(parts)

    def matches(self, peer: NetworkPolicyPeer, policy_namespace: str) -> bool:
        if peer.ip_block is not None:
            return Block.of(peer.ip_block) in self.blocks
        if self.namespace is None:
            return False
        if peer.namespace_selector is None:
            if self.namespace != policy_namespace:
                return False
        elif not matches(peer.namespace_selector, dict(self.namespace_labels)):
            return False
        return peer.pod_selector is None or matches(peer.pod_selector, dict(self.labels))


class Distinctions:
    """Everything that some policy of the world looks at."""

    def __init__(self, policies: Iterable[NetworkPolicy]) -> None:
        self.keys: set[str] = set()
        self.namespace_keys: set[str] = set()
        self.port_names: set[str] = set()
        blocks: dict[str, Block] = {}
        for policy in policies:
            for rule in policy.spec.egress:
                self._add_ports(rule.ports)
            peers = [peer for rule in policy.spec.ingress for peer in rule.from_]
            peers += [peer for rule in policy.spec.egress for peer in rule.to]
            for peer in peers:
                if peer.ip_block is not None:
                    block = Block.of(peer.ip_block)
                    blocks[str(block)] = block
                if peer.pod_selector is not None:
                    self.keys |= label_keys(peer.pod_selector)
                if peer.namespace_selector is not None:
                    self.namespace_keys |= label_keys(peer.namespace_selector)
        self.blocks = tuple(blocks[name] for name in sorted(blocks))

    def _add_ports(self, ports: Iterable[NetworkPolicyPort]) -> None:
        self.port_names |= {item.port for item in ports if isinstance(item.port, str)}

    def networks(self) -> frozenset[IPNetwork]:
        """Every prefix at whose border membership in some block changes."""
        edges = {network for block in self.blocks for network in (block.cidr, *block.excluded)}
        # The kernel keeps IPv4 inside MAPPED: an IPv6 block must not reach into it.
        mapped = {network for network in edges if _within(network, MAPPED)}
        if any(_within(MAPPED, network) for network in edges):
            edges.add(IPv4Network("0.0.0.0/0"))
        return frozenset(edges - mapped)

    def workload(self, world: World, workload: Workload, address: IPAddress) -> Peer:
        namespace_labels = world.namespace_labels(workload.namespace)
        return Peer(
            workload.namespace,
            _chosen(workload.labels, self.keys),
            _chosen(namespace_labels, self.namespace_keys),
            self._blocks_around(ip_network(address)),
            tuple(sorted(port for port in port_table(workload) if port[0] in self.port_names)),
        )

    def network(self, network: IPNetwork) -> Peer:
        return Peer(None, blocks=self._blocks_around(network))

    def _blocks_around(self, network: IPNetwork) -> tuple[Block, ...]:
        return tuple(block for block in self.blocks if block.contains(network))


def port_table(workload: Workload) -> tuple[NamedPort, ...]:
    """A workload's named ports; of two with one name and protocol the first counts."""
    table: dict[tuple[str, str], int] = {}
    for port in workload.ports:
        if port.name:
            table.setdefault((port.name, port.protocol), port.container_port)
    return tuple((name, protocol, number) for (name, protocol), number in table.items())


def _chosen(labels: Mapping[str, str], keys: set[str]) -> Pairs:
    return tuple(sorted((key, value) for key, value in labels.items() if key in keys))
