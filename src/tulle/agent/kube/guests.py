"""Hosts that joined the mesh of a cluster, as their own objects tell: further nodes with workloads.

Pure, but for what it keeps from one look to the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from tulle.edges.manifests.directory import Snapshot
from tulle.edges.manifests.fields import FieldError
from tulle.errors import ManifestError
from tulle.model.hosts import MeshNode, MeshWorkload
from tulle.model.kubernetes import (
    ContainerPort,
    NodeAddress,
    NodeObject,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    ObjectRef,
    Service,
)
from tulle.model.world import IPAddress, IPNetwork, Key, Refusal, Workload

from ..network import HOSTNAME_LABEL
from ..nodes import Others
from ..published import INTERNAL, NodeState, world_node
from .facts import node_of
from .foreign import disjoint

Told = Mapping[Key, MeshWorkload]
_PRIVATE = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)


@dataclass(frozen=True, slots=True)
class _Host:
    """What its objects said, and what that came to."""

    node: MeshNode
    told: Told
    state: NodeState


class Guests:
    """One thread at a time. `own` is this node's name: it knows itself better."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._seen: tuple[object, ...] = ()
        self._hosts: dict[str, _Host] = {}
        self._others = Others()

    def of(self, snapshot: Snapshot) -> Others:
        """What has not changed is the same object as before."""
        nodes, workloads = snapshot.named(MeshNode), snapshot.of(MeshWorkload)
        is_node = self._own in snapshot.named(NodeObject)
        services = snapshot.of(Service) if nodes else {}
        seen = (nodes, workloads, services, is_node)
        if len(self._seen) == len(seen) and all(map(_is, self._seen, seen)):
            return self._others
        told: dict[str, dict[Key, MeshWorkload]] = defaultdict(dict)
        for key, item in workloads.items():
            told[item.spec.node][key] = item
        hosts: dict[str, _Host] = {}
        refusals: list[Refusal] = []
        for name, node in sorted(nodes.items()):
            if name == self._own:
                continue
            try:
                hosts[name] = self._host(node, told.get(name, {}))
            except ManifestError as error:
                refusals.append(Refusal(ObjectRef("MeshNode", "", name), str(error)))
            else:
                refusals += hosts[name].state.refusals
        self._hosts = hosts
        for name in sorted(told.keys() - nodes.keys()):
            refusals += [
                _refusal(key, f"spec.node: there is no MeshNode {name!r}") for key in told[name]
            ]
        states = {name: host.state for name, host in self._hosts.items()}
        guests = states.keys() | (set() if is_node else nodes.keys() & {self._own})
        others = Others(states, tuple(refusals), frozenset(guests))
        self._seen, self._others = seen, disjoint(others, services, "MeshNode")
        return self._others

    def _host(self, node: MeshNode, told: Told) -> _Host:
        before = self._hosts.get(node.metadata.name)
        if before and before.node is node and before.told == told:
            return before
        state = _state_of(node, told)
        if before and state.node == before.state.node:
            workloads = state.workloads
            if workloads == before.state.workloads:
                workloads = before.state.workloads
            state = NodeState(before.state.node, workloads, {}, state.refusals)
        return _Host(node, told, state)


def _is(one: object, other: object) -> bool:
    return one is other


def _state_of(node: MeshNode, told: Told) -> NodeState:
    made = _node_object(node)
    ranges = world_node(made).pod_cidrs
    found = _one_address_each({key: _workload(item, ranges) for key, item in _by_age(told)})
    workloads = {key: item for key, item in found.items() if isinstance(item, Workload)}
    refusals = tuple(item for item in found.values() if isinstance(item, Refusal))
    return NodeState(made, workloads, {}, refusals)


def _by_age(told: Told) -> list[tuple[Key, MeshWorkload]]:
    return sorted(
        told.items(), key=lambda item: (item[1].metadata.creation_timestamp or "", *item[0])
    )


def _one_address_each(
    found: Mapping[Key, Workload | Refusal],
) -> dict[Key, Workload | Refusal]:
    """Who was told of first has it: rights to objects do not say whose node may stand in them."""
    owners: dict[IPAddress, Workload] = {}
    kept: dict[Key, Workload | Refusal] = {}
    for key, item in found.items():
        kept[key] = item
        if isinstance(item, Refusal):
            continue
        taken = next((address for address in item.addresses if address in owners), None)
        if taken:
            kept[key] = _refusal(key, f"address {taken} is that of {owners[taken]}: it is cut off")
        else:
            owners |= dict.fromkeys(item.addresses, item)
    return kept


def _node_object(node: MeshNode) -> NodeObject:
    """As if the cluster had it as a Node. Raises ManifestError for what no host may have."""
    meta, spec = node.metadata, node.spec
    for place, text in enumerate(spec.pod_cidrs):
        if not _is_private(ip_network(text)):
            reason = "is no private range (RFC 1918, 4193, 6598): others' traffic would go there"
            raise FieldError(reason, "spec", "podCIDRs", place)
    labels = {HOSTNAME_LABEL: meta.name, **meta.labels}
    addresses = tuple(NodeAddress(text, INTERNAL) for text in spec.addresses)
    return node_of(
        NodeObject(
            ObjectMeta(meta.name, labels=labels, creation_timestamp=meta.creation_timestamp),
            NodeSpec(spec.pod_cidrs[0], spec.pod_cidrs),
            status=NodeStatus(addresses),
        )
    )


def _workload(obj: MeshWorkload, ranges: tuple[IPNetwork, ...]) -> Workload | Refusal:
    """A host speaks for its own ranges only: there its workloads are looked for."""
    meta, spec = obj.metadata, obj.spec
    addresses = tuple(map(ip_address, spec.addresses))
    for place, address in enumerate(addresses):
        if not any(address in network for network in ranges):
            reason = f"spec.addresses[{place}]: is not in the podCIDRs of MeshNode {spec.node}"
            return _refusal((meta.namespace, meta.name), f"{reason}: it is cut off")
    return Workload(
        namespace=meta.namespace,
        name=meta.name,
        labels=meta.labels,
        addresses=addresses,
        ifindex=0,
        ports=tuple(ContainerPort(item.port, item.name, item.protocol) for item in spec.ports),
        weight=spec.weight,
        ready=spec.ready,
        service_account=spec.service_account_name,
        node=spec.node,
    )


def _is_private(network: IPNetwork) -> bool:
    ends = network.network_address, network.broadcast_address
    return any(ends[0] in private and ends[1] in private for private in _PRIVATE)


def _refusal(key: Key, reason: str) -> Refusal:
    return Refusal(ObjectRef("MeshWorkload", *key), reason)
