"""Who lives on which other node, by what an API server says of Nodes and Pods. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from ipaddress import ip_network

from tulle.edges.manifests.fields import FieldError
from tulle.errors import ManifestError
from tulle.model.kubernetes import NodeObject, ObjectRef
from tulle.model.world import IPAddress, IPNetwork, Key, Refusal, Workload

from ..mesh import without_ranges
from ..nodes import Others
from ..published import NodeState, world_node
from .cut import pod_of
from .decode import decode
from .facts import Dweller, dweller_of, node_of, placed

EVERYWHERE: tuple[IPNetwork, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@dataclass(slots=True)
class _Place:
    """What is known of one node. With other `ranges` nothing of `state` holds."""

    node: NodeObject | None = None
    problem: str = ""
    ranges: tuple[IPNetwork, ...] = ()
    pods: dict[Key, Dweller] = field(default_factory=dict)
    state: NodeState | None = None
    stale: bool = True


class Census:
    """One thread at a time. `own` is this node's name: it knows itself better."""

    def __init__(self, own: str, *, chained: bool = False) -> None:
        """`chained`: Pods' addresses are another CNI plugin's, of whatever range."""
        self._own, self._chained = own, chained
        self._places: dict[str, _Place] = {}
        self._homes: dict[Key, str] = {}  # of Pods: their nodes
        self._unreadable: dict[Key, Refusal] = {}
        self._others: Others | None = None

    def keep_nodes(self, names: Set[str]) -> bool:
        """There are no others; whether anything is different now."""
        gone = [self.drop_node(name) for name in self._places.keys() - names]
        return any(gone)

    def put_node(self, name: str, raw: bytes) -> bool:
        if name == self._own:
            return False
        place = self._places.setdefault(name, _Place())
        try:
            node = decode("Node", raw, "v1")
            assert isinstance(node, NodeObject)
            node = without_ranges(node) if self._chained else node_of(node)
        except ManifestError as error:
            reason = f"{error}; what it said before holds" if place.node else str(error)
            if place.problem == reason:
                return False
            place.problem = reason
            return self._touch(place)
        if place.node == node and not place.problem:
            return False
        ranges = EVERYWHERE if self._chained else world_node(node).pod_cidrs
        if ranges != place.ranges:
            place.ranges, place.state = ranges, None
        place.node, place.problem = node, ""
        return self._touch(place)

    def drop_node(self, name: str) -> bool:
        """Its Pods stay known: who deletes a Node may delete them later, or make it again."""
        place = self._places.get(name)
        if place is None or (place.node is None and not place.problem):
            return False
        place.node, place.problem, place.state = None, "", None
        if not place.pods:
            del self._places[name]
        return self._touch(place)

    def keep_pods(self, keys: Set[Key]) -> bool:
        others = (self._homes.keys() | self._unreadable.keys()) - keys
        gone = [self.drop_pod(key) for key in others]
        return any(gone)

    def put_pod(self, key: Key, raw: bytes) -> bool:
        try:
            pod = dweller_of(key, pod_of(raw))
        except FieldError as error:
            self.drop_pod(key)
            self._unreadable[key] = Refusal(ObjectRef("Pod", *key), f"{error}: it is cut off")
            self._others = None
            return True
        forgiven = self._unreadable.pop(key, None) is not None
        before = self._homes.get(key)
        if before == pod.home and self._places[before].pods[key] == pod:
            return forgiven
        if before is not None and before != pod.home:
            self.drop_pod(key)
        self._homes[key] = pod.home
        place = self._places.setdefault(pod.home, _Place())
        place.pods[key] = pod
        return self._touch(place)

    def drop_pod(self, key: Key) -> bool:
        forgiven = self._unreadable.pop(key, None) is not None
        home = self._homes.pop(key, None)
        if home is None:
            return forgiven and self._touch(_Place())
        place = self._places[home]
        del place.pods[key]
        if not place.pods and place.node is None and not place.problem:
            del self._places[home]
        return self._touch(place)

    def others(self) -> Others:
        """A node of which nothing changed is the same object as before."""
        if self._others is None:
            states, refusals = {}, list(self._unreadable.values())
            for name, place in sorted(self._places.items()):
                if place.problem:
                    refusals.append(Refusal(ObjectRef("Node", "", name), place.problem))
                if place.node is not None:
                    state = states[name] = _state_of(place)
                    refusals += state.refusals
            self._others = Others(states, tuple(refusals))
        return self._others

    def _touch(self, place: _Place) -> bool:
        place.stale, self._others = True, None
        return True


def _state_of(place: _Place) -> NodeState:
    before = place.state
    if before is not None and not place.stale:
        return before
    assert place.node is not None
    known = before.workloads if before is not None else {}
    found: dict[Key, Workload] = {}
    refusals: list[Refusal] = []
    for key, pod in place.pods.items():
        what = pod.what
        if isinstance(what, Workload) and known.get(key) is not what:
            what = placed(what, place.ranges)
        if isinstance(what, Workload):
            found[key] = what
        elif what is not None:
            refusals.append(what)
    workloads: Mapping[Key, Workload] = _one_address_each(found, place.pods)
    if before is not None and workloads == before.workloads:
        workloads = before.workloads
    place.state, place.stale = NodeState(place.node, workloads, {}, tuple(refusals)), False
    return place.state


def _one_address_each(
    found: Mapping[Key, Workload], pods: Mapping[Key, Dweller]
) -> Mapping[Key, Workload]:
    """An address may be a new Pod's before it is told that the old one has gone."""
    owners: dict[IPAddress, tuple[bool, str, Key]] = {}
    for key, item in found.items():
        claim = (not item.terminating, pods[key].created, key)
        for address in item.addresses:
            owners[address] = max(owners.get(address, claim), claim)
    return {
        key: item
        for key, item in found.items()
        if all(owners[address][2] == key for address in item.addresses)
    }
