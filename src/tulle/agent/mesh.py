"""The mesh as this node sees it: what other nodes say, less what contradicts itself. Pure.

Nodes and workloads have one name and one place each. Where two claim the same, the node whose name
comes first has it, on every node alike; guests have what no other node claims, and other clusters
what is left. Only of pod ranges is this node's own never given away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_network

import msgspec

from tulle.compile.ranges import Ranges
from tulle.model.kubernetes import NodeObject, ObjectRef, Pod
from tulle.model.world import IPAddress, Key, Node, Refusal, Workload

from .nodes import Others
from .published import NodeState, world_node

Workloads = Mapping[Key, Workload]
Everywhere = Mapping[str, Workloads]  # by node
Rank = Callable[[str], tuple[int, str]]  # of a node's name: who comes first has it


@dataclass(frozen=True, slots=True)
class Mesh:
    """`node` and `workloads` are this node's own, as far as nobody else has a better claim."""

    node: Node
    workloads: Mapping[Key, Workload]
    nodes: Mapping[str, Node] = field(default_factory=dict)
    remote: Mapping[str, Mapping[Key, Workload]] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    made_from: _Sources = field(default_factory=lambda: _Sources())


@dataclass(frozen=True, slots=True)
class _Sources:
    """What a part of a mesh follows from: as long as it is the same, so is the part."""

    nodes: tuple[object, ...] = ()
    node_refusals: tuple[Refusal, ...] = ()
    workloads: Everywhere = field(default_factory=dict)
    clashes: tuple[Refusal, ...] = ()


def mesh(
    own: Node,
    workloads: Mapping[Key, Workload],
    others: Others,
    manifests: Mapping[str, NodeObject],
    before: Mesh | None = None,
    *,
    chained: bool = False,
) -> Mesh:
    """What stays as in `before` is the same object. `manifests` are the user's Node objects.

    `chained`: no node has ranges, as another CNI plugin gives addresses.
    """
    states = others.nodes
    if chained:
        manifests = {name: without_ranges(item) for name, item in manifests.items()}
    rank = partial(_rank, others)
    sources: tuple[object, ...] = (own, *manifests.values(), others.guests)
    sources += tuple(state.node for state in states.values())
    if before is not None and before.made_from.nodes == sources:
        own, nodes, refusals = before.node, before.nodes, before.made_from.node_refusals
    else:
        own, nodes, refusals = _nodes(own, states, manifests, rank)
    everywhere = {name: state.workloads for name, state in states.items() if name in nodes}
    everywhere[own.name] = workloads
    claims = dict(everywhere)
    if before is not None and _are(before.made_from.workloads, claims):
        everywhere = {**before.remote, own.name: before.workloads}
        clashes = before.made_from.clashes
    else:
        known = before.made_from if before is not None else _Sources()
        certain = {} if known.clashes else known.workloads
        everywhere, clashes = _one_place_each(everywhere, certain, rank)
        if chained:
            everywhere, doubled = _one_owner_each(everywhere, own.name, rank)
            clashes += doubled
    local = everywhere.pop(own.name)
    made_from = _Sources(sources, refusals, claims, clashes)
    told = (*others.refusals, *refusals, *clashes)
    return Mesh(own, local, nodes, everywhere, told, made_from)


def without_ranges(node: NodeObject) -> NodeObject:
    spec = msgspec.structs.replace(node.spec, pod_cidr="", pod_cidrs=())
    return msgspec.structs.replace(node, spec=spec)


def _one_owner_each(
    everywhere: Everywhere, own: str, rank: Rank
) -> tuple[dict[str, Workloads], tuple[Refusal, ...]]:
    """Without ranges an address that goes from one node to another is both nodes' for a moment."""
    owners: dict[IPAddress, str] = {}
    kept: dict[str, Workloads] = {}
    refusals = []
    for node in (own, *sorted(everywhere.keys() - {own}, key=rank)):
        of_node, lost = everywhere[node], set()
        for key, workload in of_node.items():
            found = next((item for item in workload.addresses if item in owners), None)
            if found is None or node == own:
                owners |= dict.fromkeys(workload.addresses, str(workload))
                continue
            lost.add(key)
            reason = f"address {found} belongs to Pod {owners[found]}: no policy knows who it is"
            refusals.append(Refusal(ObjectRef("Pod", *key), reason))
        kept[node] = {k: item for k, item in of_node.items() if k not in lost} if lost else of_node
    return kept, tuple(refusals)


def _rank(others: Others, name: str) -> tuple[int, str]:
    state = others.nodes.get(name)
    return (2 if state and state.cluster else int(name in others.guests)), name


def _are(before: Everywhere, now: Everywhere) -> bool:
    """Whether they are the very same objects: comparing workloads would look at each."""
    same = (before.get(name) is of_node for name, of_node in now.items())
    return len(before) == len(now) and all(same)


def _nodes(
    own: Node, states: Mapping[str, NodeState], manifests: Mapping[str, NodeObject], rank: Rank
) -> tuple[Node, dict[str, Node], tuple[Refusal, ...]]:
    own = _with_manifest(own, manifests.get(own.name))
    described = {
        name: _with_manifest(
            replace(world_node(state.node), cluster=state.cluster), manifests.get(name)
        )
        for name, state in states.items()
    }
    for name, manifest in manifests.items():
        if name != own.name and name not in described:
            described[name] = world_node(manifest)
    nodes, refusals = _disjoint(own, described, rank)
    nodes = {name: replace(node, underlay=underlay_of(node, own)) for name, node in nodes.items()}
    return own, nodes, tuple(refusals)


def underlay_of(node: Node, seen_from: Node) -> IPAddress | None:
    """Where a node takes the overlay's packets: an address of a family that both ends have."""
    families = {address.version for address in uplink_addresses(seen_from)}
    usable = [item for item in uplink_addresses(node) if item.version in families]
    return min(usable, key=lambda address: address.version, default=None)


def uplink_addresses(node: Node) -> list[IPAddress]:
    """A node's addresses in order, without those for itself within its pod ranges."""
    return [
        address
        for address in node.addresses
        if not any(address in network for network in node.pod_cidrs)
    ]


def placed(
    pods: Mapping[Key, Pod],
    here: Node,
    others: Collection[str],
    running: Collection[Key],
    remote: Everywhere,
) -> tuple[dict[Key, Pod], dict[Key, str]]:
    """The Pods that this node runs, and why others run nowhere.

    `running` are those that it runs already, `remote` those of other nodes: one without a nodeName
    stays where it is. Nodes that come up together may both have started it; then it stays where
    `mesh` has it.
    """
    mine: dict[Key, Pod] = {}
    pending: dict[Key, str] = {}
    for key, pod in pods.items():
        wanted = pod.spec.node_name
        if wanted == here.name:
            mine[key] = pod
        elif wanted and wanted not in others:
            pending[key] = f"spec.nodeName: there is no node {wanted!r}"
        elif wanted or any(key in of_node for of_node in remote.values()):
            continue
        elif key in running or not others:
            mine[key] = pod
        else:
            pending[key] = "the mesh has several nodes and no scheduler: set spec.nodeName"
    for key, pod in list(mine.items()):
        if not pod.spec.node_selector.items() <= here.labels.items():
            pending[key] = f"spec.nodeSelector: node {here.name} has not these labels"
            del mine[key]
    return mine, pending


def _with_manifest(node: Node, manifest: NodeObject | None) -> Node:
    """A user's Node object adds labels and addresses; the node itself knows better."""
    if manifest is None:
        return node
    added = world_node(manifest)
    more = tuple(address for address in added.addresses if address not in node.addresses)
    return replace(
        node,
        labels={**added.labels, **node.labels},
        addresses=(*node.addresses, *more),
        pod_cidrs=node.pod_cidrs or added.pod_cidrs,
    )


def _disjoint(
    own: Node, described: Mapping[str, Node], rank: Rank
) -> tuple[dict[str, Node], list[Refusal]]:
    """Without nodes whose pod range is another's too."""
    taken = Ranges()
    _take(own, taken)
    kept: dict[str, Node] = {}
    refusals = []
    before = 0
    for name in sorted(described, key=rank):
        node = described[name]
        if (now := rank(name)[0]) != before:
            before = now
            _take_all(own, kept.values(), taken)
        if clash := _clash(node, taken):
            reason = f"{clash}: give one of them another range"
            refusals.append(Refusal(ObjectRef("Node", "", name), reason))
        else:
            _take(node, taken)
            kept[name] = node
    return kept, refusals


def _clash(node: Node, taken: Ranges) -> str:
    """Which range of the node is another's, in words; "" if none is."""
    for cidr in node.pod_cidrs:
        if owner := taken.owner(cidr):
            return f"pod range {cidr} overlaps that of node {owner}"
    return ""


def _take_all(own: Node, others: Iterable[Node], taken: Ranges) -> None:
    """Besides ranges: a guest's or another cluster's must not have what leads to us either."""
    for cidr in own.service_cidrs:
        taken.add(cidr, f"{own.name}, which has it for services")
    for node in (own, *others):
        for address in node.addresses:
            taken.add(ip_network(address), node.name)


def _take(node: Node, taken: Ranges) -> None:
    for cidr in node.pod_cidrs:
        taken.add(cidr, node.name)


def _one_place_each(
    everywhere: Everywhere, known: Everywhere, rank: Rank
) -> tuple[dict[str, Workloads], tuple[Refusal, ...]]:
    """In `known`, if it is given, everybody has one place."""
    if not _has_clash(everywhere, known):
        return dict(everywhere), ()
    seen: dict[Key, str] = {}
    refusals = []
    kept: dict[str, Workloads] = {}
    for node in sorted(everywhere, key=rank):
        of_node = everywhere[node]
        lost = {key for key in of_node if key in seen}
        for key in sorted(lost):
            reason = f"runs on node {seen[key]} already: that on {node} is not in the mesh"
            refusals.append(Refusal(ObjectRef("Pod", *key), reason))
        kept[node] = {k: item for k, item in of_node.items() if k not in lost} if lost else of_node
        seen |= dict.fromkeys(kept[node], node)
    return kept, tuple(refusals)


def _has_clash(everywhere: Everywhere, known: Everywhere) -> bool:
    if not known:
        count = sum(len(of_node) for of_node in everywhere.values())
        return count != len(set().union(*everywhere.values()))
    came = {
        key
        for name, of_node in everywhere.items()
        if of_node is not (before := known.get(name, {}))
        for key in of_node.keys() - before.keys()
    }
    return any(sum(key in of_node for of_node in everywhere.values()) > 1 for key in came)
