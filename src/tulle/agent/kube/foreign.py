"""What another cluster says → what it is in this one's mesh. Pure.

Its nodes are CLUSTER/NAME here, and its workloads and slices bear such names in their namespaces:
no API has a name with a slash, so nothing of it can stand for something of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from ipaddress import ip_network

import msgspec

from tulle.compile.ranges import Ranges
from tulle.edges.manifests.directory import Snapshot
from tulle.model.kubernetes import (
    GLOBAL_ANNOTATIONS,
    HEADLESS,
    SERVICE_NAME_LABEL,
    SHARED_ANNOTATION,
    SOURCE_CLUSTER_LABEL,
    EndpointSlice,
    ObjectRef,
    Service,
)
from tulle.model.world import Key, Refusal, Workload

from ..nodes import Others
from ..published import NodeState, world_node
from .backing import is_of_hosts

Slices = Mapping[Key, EndpointSlice]


@dataclass(frozen=True, slots=True)
class Said:
    """What another cluster said last."""

    snapshot: Snapshot = field(default_factory=lambda: Snapshot({}, ()))
    others: Others = field(default_factory=Others)


def is_global(service: Service) -> bool:
    return any(map(service.metadata.says, GLOBAL_ANNOTATIONS))


def is_shared(service: Service) -> bool:
    """Whether other clusters may use its backends."""
    return is_global(service) and service.metadata.annotations.get(SHARED_ANNOTATION) != "false"


def shared_by_both(ours: Mapping[Key, Service], theirs: Snapshot) -> set[Key]:
    return {
        key
        for key, service in theirs.of(Service).items()
        if is_shared(service) and key in ours and is_global(ours[key])
    }


def named(cluster: str, name: str) -> str:
    return f"{cluster}/{name}"


class Abroad:
    """One other cluster. What stays as it was is the same object."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._states: dict[str, tuple[NodeState, NodeState]] = {}  # as given, and as made
        self._workloads: dict[Key, tuple[Workload, Workload]] = {}
        self._slices: dict[Key, tuple[EndpointSlice, EndpointSlice]] = {}
        self._others: tuple[Others, Others] | None = None

    def others(self, given: Others) -> Others:
        if self._others is None or self._others[0] is not given:
            known, self._states = self._states, {}
            workloads, self._workloads = self._workloads, {}
            for name, state in given.nodes.items():
                before = known.get(name)
                if before is None or before[0] is not state:
                    before = (state, self._state(state, workloads))
                else:
                    self._workloads |= {key: workloads[key] for key in state.workloads}
                self._states[name] = before
            nodes = {made.node.metadata.name: made for _, made in self._states.values()}
            refusals = tuple(map(self._refusal, given.refusals))
            self._others = given, Others(nodes, refusals)
        return self._others[1]

    def slices(self, services: Set[Key], theirs: Snapshot) -> Slices:
        """Those of these Services. Hosts beside theirs are not known."""
        known, self._slices = self._slices, {}
        for key, item in theirs.of(EndpointSlice).items():
            if is_of_hosts(item):
                continue
            if (key[0], item.metadata.labels.get(SERVICE_NAME_LABEL, "")) in services:
                before = known.get(key)
                same = before is not None and before[0] is item
                self._slices[key] = before if before and same else (item, self._slice(item))
        return {(key[0], named(self._cluster, key[1])): s for key, (_, s) in self._slices.items()}

    def _state(self, state: NodeState, known: Mapping[Key, tuple[Workload, Workload]]) -> NodeState:
        metadata = state.node.metadata
        name = named(self._cluster, metadata.name)
        node = msgspec.structs.replace(
            state.node, metadata=msgspec.structs.replace(metadata, name=name)
        )
        made = {}
        for key, workload in state.workloads.items():
            before = known.get(key)
            if before is None or before[0] is not workload:
                before = workload, self._workload(workload, name)
            self._workloads[key] = before
            made[before[1].key] = before[1]
        refusals = tuple(map(self._refusal, state.refusals))
        return NodeState(node, made, {}, refusals, self._cluster)

    def _workload(self, item: Workload, node: str) -> Workload:
        return replace(item, name=named(self._cluster, item.name), node=node, cluster=self._cluster)

    def _slice(self, item: EndpointSlice) -> EndpointSlice:
        """Its nodes' names are others here, too: one of ours may be called the same."""
        metadata = item.metadata
        labels = {**metadata.labels, SOURCE_CLUSTER_LABEL: self._cluster}
        name = named(self._cluster, metadata.name)
        endpoints = tuple(
            msgspec.structs.replace(
                each, node_name=each.node_name and named(self._cluster, each.node_name)
            )
            for each in item.endpoints
        )
        metadata = msgspec.structs.replace(metadata, name=name, labels=labels)
        return msgspec.structs.replace(item, metadata=metadata, endpoints=endpoints)

    def _refusal(self, item: Refusal) -> Refusal:
        return refused_in(self._cluster, item)


def refused_in(cluster: str, item: Refusal) -> Refusal:
    ref = item.ref
    return Refusal(ObjectRef(ref.kind, ref.namespace, named(cluster, ref.name)), item.reason)


def disjoint(others: Others, ours: Mapping[Key, Service], kind: str = "Node") -> Others:
    """Without nodes whose pod ranges have a Service of ours in them: it would lead there."""
    taken = Ranges()
    for (namespace, name), service in ours.items():
        for text in service.spec.cluster_ips or (service.spec.cluster_ip,):
            if text not in ("", HEADLESS):
                taken.add(ip_network(text), f"Service {namespace}/{name}")
    kept: dict[str, NodeState] = {}
    refusals = list(others.refusals)
    for name, state in others.nodes.items():
        if clash := _clash(state, taken):
            refusals.append(Refusal(ObjectRef(kind, "", name), clash))
        else:
            kept[name] = state
    return (
        Others(kept, tuple(refusals), others.guests) if len(kept) != len(others.nodes) else others
    )


def _clash(state: NodeState, taken: Ranges) -> str:
    for cidr in world_node(state.node).pod_cidrs:
        if owner := taken.owner(cidr):
            return f"pod range {cidr} has the address of {owner} of this cluster"
    return ""
