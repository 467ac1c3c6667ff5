"""Identities: peers that no policy can tell apart share one number.

Two workloads differ only if they differ in something that a policy looks at: namespace, a label
that a selector names, membership in a block, a named port that an egress rule uses. So the number
of identities follows the policies, not the pods.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tulle.abi import Identity, Vni
from tulle.model.cilium import CLUSTER_KEY, DEFAULT_CLUSTER
from tulle.model.kubernetes import ContainerPort
from tulle.model.world import IPAddress, IPNetwork, Node, Workload, World

from .blocks import Blocks, block_name
from .lines import ParsedPolicy, Term
from .rules import NAMESPACE_KEY, Cidr, Entity, names_cluster, seen_labels
from .selectors import SelectorIndex

Pairs = tuple[tuple[str, str], ...]
NamedPort = tuple[str, str, int]  # name, protocol, number

WORKLOAD, REMOTE_NODE, UNMANAGED, WORLD = "workload", "remote-node", "unmanaged", "world"
INGRESS = "ingress"
_RESERVED = {
    REMOTE_NODE: int(Identity.REMOTE_NODE),
    UNMANAGED: int(Identity.UNMANAGED),
    WORLD: int(Identity.WORLD),
    INGRESS: int(Identity.INGRESS),
}
_ENTITIES = {
    WORKLOAD: (Entity.CLUSTER,),
    REMOTE_NODE: (Entity.CLUSTER, Entity.REMOTE_NODE),
    UNMANAGED: (Entity.CLUSTER, Entity.UNMANAGED),
    WORLD: (Entity.WORLD,),
    INGRESS: (Entity.CLUSTER, Entity.INGRESS),
}
# Of another cluster. Only nodes are anything by themselves, as they are for Cilium.
_FOREIGN_ENTITIES = {REMOTE_NODE: (Entity.REMOTE_NODE,), INGRESS: (Entity.REMOTE_NODE,)}
_VNIS = (1 << 24) - Vni.FIRST


class Peer(NamedTuple):
    """What policies can see of a peer; this node itself is none, as it may always pass.

    One of another `cluster` ("" is this one) bears that among its labels, so that it shares a
    number with nobody of this one, whatever policies look at.
    """

    kind: str
    labels: Pairs = ()
    blocks: tuple[str, ...] = ()
    ports: tuple[NamedPort, ...] = ()
    cluster: str = ""

    @property
    def name(self) -> str:
        """The identity's stable name, which is also what users see."""
        if self.kind == WORKLOAD:
            parts = [f"k8s:{key}={value}" for key, value in self.labels]
        else:
            outside = self.kind == WORLD and self.blocks
            parts = [] if outside else [f"reserved:{self.kind}"]
            parts += [f"node:{key}={value}" for key, value in self.labels]
        parts += [f"cidr:{block}" for block in self.blocks]
        parts += [f"port:{name}={number}/{protocol}" for name, protocol, number in self.ports]
        return ";".join(parts)

    @property
    def reserved(self) -> int | None:
        """The number of a kind that nothing tells apart."""
        return None if self.labels or self.blocks else _RESERVED.get(self.kind)


RESERVED = tuple(Peer(kind) for kind in _RESERVED)


class Distinctions:
    """Everything that some policy looks at."""

    def __init__(self, policies: Iterable[ParsedPolicy]) -> None:
        terms: set[Term] = set()
        self.port_names: set[str] = set()
        outside: dict[tuple[str, bool], Cidr] = {}
        for item in policies:
            terms |= item.terms
            self.port_names |= item.named_peers
            for block in item.blocks:
                outside[block_name(block), block.managed] = block
        self.terms = frozenset(terms)
        self.outside = Blocks(outside.values())
        self.managed = Blocks(block for block in outside.values() if block.managed)
        self.keys = {NAMESPACE_KEY} | _keys(self.terms, "pods")
        self.node_keys = _keys(self.terms, "nodes")
        self._looks = (self.keys, self.node_keys, self.port_names, outside.keys())

    def same_peers(self, other: Distinctions) -> bool:
        """Whether both see the same of every peer."""
        return self._looks == other._looks

    def workload(
        self,
        chosen: Pairs,
        ports: Iterable[ContainerPort],
        address: IPAddress,
        cluster: str = "",
    ) -> Peer:
        """`chosen` are those of its labels that policies look at."""
        named: tuple[NamedPort, ...] = ()
        if self.port_names and ports:
            table = port_table(ports)
            named = tuple(sorted(port for port in table if port[0] in self.port_names))
        return Peer(WORKLOAD, chosen, self.managed.around(address), named, cluster)

    def chosen(self, labels: Mapping[str, str], cluster: str = "") -> Pairs:
        """What policies look at, of a workload's seen labels."""
        return _chosen(labels, self.keys | {CLUSTER_KEY} if cluster else self.keys)

    def node(self, labels: Mapping[str, str], address: IPAddress, cluster: str = "") -> Peer:
        """`labels` as `node_labels_of` has them."""
        chosen = _chosen(labels, self.node_keys | {CLUSTER_KEY} if cluster else self.node_keys)
        return Peer(REMOTE_NODE, chosen, self.managed.around(address), (), cluster)

    def ingress(self, address: IPAddress, cluster: str = "") -> Peer:
        """Of a node's proxy, for clients from outside."""
        blocks = self.managed.around(address)
        return Peer(INGRESS, _of_cluster(cluster), blocks, (), cluster)

    def network(self, network: IPNetwork, managed: bool, cluster: str = "") -> Peer:
        """Of addresses that are no endpoint; `managed` if they are in a node's pod range."""
        if managed:
            blocks = self.managed.around(network)
            return Peer(UNMANAGED, _of_cluster(cluster), blocks, (), cluster)
        return Peer(WORLD, (), self.outside.around(network))


def port_table(ports: Iterable[ContainerPort]) -> tuple[NamedPort, ...]:
    """A workload's named ports; of two with one name and protocol the first counts."""
    table: dict[tuple[str, str], int] = {}
    for port in ports:
        if port.name:
            table.setdefault((port.name, port.protocol), port.container_port)
    return tuple((name, protocol, number) for (name, protocol), number in table.items())


def labels_of(world: World, workload: Workload) -> dict[str, str]:
    """All that selectors may ask of a workload."""
    return seen_labels(
        workload.labels,
        workload.namespace,
        world.namespace_labels(workload.namespace, workload.cluster),
        workload.service_account,
        workload.cluster or world.settings.cluster_name,
    )


def node_labels_of(world: World, node: Node) -> dict[str, str]:
    """All that selectors may ask of a node. Which cluster it is of is not for its labels to say."""
    return {**node.labels, CLUSTER_KEY: node.cluster or world.settings.cluster_name}


def vni_of(labels: Mapping[str, str]) -> int:
    """A number for all seen labels, the same on every node, whatever policies look at.

    A cluster without a name has the numbers of versions that knew of no other cluster.
    """
    said = labels.items() - {(CLUSTER_KEY, DEFAULT_CLUSTER)}
    text = "\0".join(f"{key}={value}" for key, value in sorted(said))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int(Vni.FIRST) + int.from_bytes(digest, "little") % _VNIS


class Matching:
    """Finds the terms that a peer matches.

    Selectors are about their own cluster, unless they name clusters: joining another one gives
    its workloads nothing.
    """

    def __init__(self, terms: Iterable[Term]) -> None:
        self.terms = frozenset(terms)
        self._pods = self._by_labels("pods")
        self._nodes = self._by_labels("nodes")

    def _by_labels(self, kind: str) -> SelectorIndex[Term]:
        return SelectorIndex((term.selector, term) for term in self.terms if term.kind == kind)

    def of(self, peer: Peer) -> list[Term]:
        entities = _FOREIGN_ENTITIES.get(peer.kind, ()) if peer.cluster else _ENTITIES[peer.kind]
        found = [Term("entity", entity.value) for entity in entities]
        found += [Term("cidr", block) for block in peer.blocks]
        if peer.kind == WORLD:
            found += [Term("world-cidr", block) for block in peer.blocks]
        found += {Term("port", name) for name, _, _ in peer.ports}
        found = [term for term in found if term in self.terms]
        by_labels = {WORKLOAD: self._pods, REMOTE_NODE: self._nodes}.get(peer.kind)
        chosen = by_labels.matching(dict(peer.labels)) if by_labels else []
        if peer.cluster:
            chosen = [term for term in chosen if names_cluster(term.keys)]
        return found + chosen


def _keys(terms: Iterable[Term], kind: str) -> set[str]:
    return {key for term in terms if term.kind == kind for key in term.keys}


def _of_cluster(name: str) -> Pairs:
    return ((CLUSTER_KEY, name),) if name else ()


def _chosen(labels: Mapping[str, str], keys: set[str]) -> Pairs:
    return tuple(sorted((key, labels[key]) for key in keys & labels.keys()))
