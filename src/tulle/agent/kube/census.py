"""Who lives on which other node, by what an API server says of Nodes and Pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tulle.edges.manifests.fields import FieldError
from tulle.errors import ManifestError
from tulle.model.kubernetes import NodeObject, ObjectRef
from tulle.model.world import IPAddress, IPNetwork, Key, Refusal, Workload

from ..nodes import Others
from ..published import NodeState, world_node
from .cut import PodCut, pod_of
from .decode import decode
from .facts import node_of, workload_of


@dataclass(slots=True)
class _Place:
    """What is known of one node. `made` says what became of each Pod, and of which version."""

    node: NodeObject | None = None
    problem: str = ""
    ranges: tuple[IPNetwork, ...] = ()
    pods: dict[Key, PodCut] = field(default_factory=dict)
    made: dict[Key, tuple[PodCut, Workload | Refusal | None]] = field(default_factory=dict)
    state: NodeState | None = None
    stale: bool = True


class Census:
    """One thread at a time. `own` is this node's name: it knows itself better."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._places: dict[str, _Place] = {}
        self._homes: dict[Key, str] = {}  # of Pods: their nodes
        self._unreadable: dict[Key, Refusal] = {}
        self._others: Others | None = None

    def replace_nodes(self, told: Iterable[tuple[str, bytes]]) -> bool:
        """All there are; whether anything is different now."""
        told = list(told)
        names = {name for name, _ in told}
        gone = [self.drop_node(name) for name in set(self._places) - names]
        return any([*gone, *(self.put_node(name, raw) for name, raw in told)])

    def put_node(self, name: str, raw: bytes) -> bool:
        if name == self._own:
            return False
        place = self._places.setdefault(name, _Place())
        try:
            node = decode("Node", raw, "v1")
            assert isinstance(node, NodeObject)
            node = node_of(node)
        except ManifestError as error:
            reason = f"{error}; what it said before holds" if place.node else str(error)
            if place.problem == reason:
                return False
            place.problem = reason
            return self._touch(place)
        if place.node == node and not place.problem:
            return False
        ranges = world_node(node).pod_cidrs
        if ranges != place.ranges:
            place.ranges, place.made = ranges, {}
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

    def replace_pods(self, told: Iterable[tuple[Key, bytes]]) -> bool:
        told = list(told)
        present = {key for key, _ in told}
        gone = [self.drop_pod(key) for key in {*self._homes, *self._unreadable} - present]
        return any([*gone, *(self.put_pod(key, raw) for key, raw in told)])

    def put_pod(self, key: Key, raw: bytes) -> bool:
        try:
            pod = pod_of(raw)
        except FieldError as error:
            self.drop_pod(key)
            self._unreadable[key] = Refusal(ObjectRef("Pod", *key), f"{error}: it is cut off")
            self._others = None
            return True
        forgiven = self._unreadable.pop(key, None) is not None
        home = pod.spec.node_name or ""
        before = self._homes.get(key)
        if before == home and self._places[home].pods[key] == pod:
            return forgiven
        if before is not None and before != home:
            self.drop_pod(key)
        self._homes[key] = home
        place = self._places.setdefault(home, _Place())
        place.pods[key] = pod
        return self._touch(place)

    def drop_pod(self, key: Key) -> bool:
        forgiven = self._unreadable.pop(key, None) is not None
        home = self._homes.pop(key, None)
        if home is None:
            return forgiven and self._touch(_Place())
        place = self._places[home]
        del place.pods[key]
        place.made.pop(key, None)
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
                    state = states[name] = _state_of(name, place)
                    refusals += state.refusals
            self._others = Others(states, tuple(refusals))
        return self._others

    def _touch(self, place: _Place) -> bool:
        place.stale, self._others = True, None
        return True


def _state_of(name: str, place: _Place) -> NodeState:
    before = place.state
    if before is not None and not place.stale:
        return before
    assert place.node is not None
    for key, pod in place.pods.items():
        known = place.made.get(key)
        if known is None or known[0] is not pod:
            place.made[key] = (pod, workload_of(pod, name, place.ranges))
    found = (made for _, made in place.made.values())
    refusals = tuple(item for item in found if isinstance(item, Refusal))
    workloads = _one_address_each(place.made)
    if before is not None and workloads == before.workloads:
        workloads = before.workloads
    place.state, place.stale = NodeState(place.node, workloads, {}, refusals), False
    return place.state


def _one_address_each(
    made: Mapping[Key, tuple[PodCut, Workload | Refusal | None]],
) -> Mapping[Key, Workload]:
    """An address may be a new Pod's before it is told that the old one has gone."""
    owners: dict[IPAddress, tuple[bool, str, Key]] = {}
    found = {key: item for key, (_, item) in made.items() if isinstance(item, Workload)}
    for key, item in found.items():
        created = made[key][0].metadata.creation_timestamp or ""
        claim = (not item.terminating, created, key)
        for address in item.addresses:
            owners[address] = max(owners.get(address, claim), claim)
    return {
        key: item
        for key, item in found.items()
        if all(owners[address][2] == key for address in item.addresses)
    }
