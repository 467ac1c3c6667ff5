"""Where workloads and nodes are: each address of the mesh, with its peer.

A node's workloads are looked at one by one only when that node's mapping is a new one, and then
only those that are new themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import is_
from typing import NamedTuple

from tulle.model.kubernetes import Namespace, ObjectRef
from tulle.model.world import Key, Refusal, Workload, World

from .claims import Claim
from .identities import Distinctions, Pairs, Peer, labels_of, node_labels_of, vni_of
from .parts import packed, unpacked

Place = tuple[bytes, Peer]


class Row(NamedTuple):
    """A workload's addresses; its namespace is what its labels are also made from."""

    workload: Workload
    namespace: Namespace | None
    vni: int
    places: tuple[Place, ...]


class Places(NamedTuple):
    """All of one node, this one or another."""

    rows: Mapping[Key, Row] = {}
    own: tuple[Place, ...] = ()  # of the node itself
    peers: frozenset[Peer] = frozenset()
    size: int = 0  # addresses
    workloads: Mapping[Key, Workload] = {}  # of the rows: as they were given, if that is all
    refusals: tuple[Refusal, ...] = ()
    made_from: tuple[object, ...] = ()


class Surveyor:
    """Makes Places; equal labels are worked out once, and equal peers kept once."""

    def __init__(self, world: World, distinctions: Distinctions) -> None:
        self._world = world
        self._distinctions = distinctions
        self._any_address = world.settings.chained  # whose they are is known to another plugin
        self._known: dict[tuple[object, ...], tuple[Pairs, int]] = {}
        self._peers: dict[Peer, Peer] = {}

    def local(self, claim: Claim, before: Places) -> Places:
        """This node's workloads, those with the lowest interface first."""
        workloads = self._world.workloads
        if self._is_current(before, workloads, claim):
            return before
        ordered = sorted(workloads.items(), key=lambda item: (item[1].ifindex, item[0]))
        return self._survey(ordered, workloads, claim, before, is_local=True)

    def remote(self, claim: Claim, workloads: Mapping[Key, Workload], before: Places) -> Places:
        if self._is_current(before, workloads, claim):
            return before
        return self._survey(sorted(workloads.items()), workloads, claim, before, is_local=False)

    def _is_current(self, places: Places, workloads: object, claim: Claim) -> bool:
        now = workloads, self._namespaces(claim), claim, self._distinctions
        return len(places.made_from) == 4 and all(map(is_, now, places.made_from))

    def _namespaces(self, claim: Claim) -> Mapping[str, Namespace]:
        return self._world.namespaces_of(claim.node.cluster)

    def _survey(
        self,
        ordered: Iterable[tuple[Key, Workload]],
        workloads: Mapping[Key, Workload],
        claim: Claim,
        before: Places,
        is_local: bool,
    ) -> Places:
        namespaces = self._namespaces(claim)
        holds = before.made_from and all(
            map(is_, before.made_from[2:], (claim, self._distinctions))
        )
        known = before.rows if holds else {}
        taken = (*claim.addresses, *claim.ingress)
        owners = {packed(address): f"node {claim.node.name}" for address in taken}
        rows: dict[Key, Row] = {}
        refusals: list[Refusal] = []
        for key, workload in ordered:
            row, problem = known.get(key), ""
            stands = row is not None and row.workload is workload
            if row is None or not stands or row.namespace is not namespaces.get(key[0]):
                problem = "" if is_local or self._any_address else _outside(workload, claim)
                row = self._row(workload)
            for address, _ in row.places:
                if address in owners:
                    problem = f"address {unpacked(address)} belongs to {owners[address]}"
            if problem:
                refusals.append(_refusal(workload, problem))
                continue
            rows[key] = row
            for address, _ in row.places:
                owners[address] = f"Pod {workload}"
        own = tuple(self._own(claim, is_local))
        made_from = workloads, namespaces, claim, self._distinctions
        return _places(rows, own, refusals, workloads)._replace(made_from=made_from)

    def _own(self, claim: Claim, is_local: bool) -> Iterator[Place]:
        """This node itself is nobody's peer."""
        node = claim.node
        labels = node_labels_of(self._world, node)
        for address in () if is_local else claim.addresses:
            peer = self._distinctions.node(labels, address, node.cluster)
            yield packed(address), self._same(peer)
        for address in claim.ingress:
            peer = self._distinctions.ingress(address, node.cluster)
            yield packed(address), self._same(peer)

    def _row(self, workload: Workload) -> Row:
        chosen, vni = self._labels(workload)
        places = tuple(
            (
                packed(address),
                self._same(
                    self._distinctions.workload(chosen, workload.ports, address, workload.cluster)
                ),
            )
            for address in workload.addresses
        )
        namespaces = self._world.namespaces_of(workload.cluster)
        return Row(workload, namespaces.get(workload.namespace), vni, places)

    def _labels(self, workload: Workload) -> tuple[Pairs, int]:
        labels_and_place = frozenset(workload.labels.items()), workload.cluster
        key = (workload.namespace, workload.service_account, *labels_and_place)
        if key not in self._known:
            labels = labels_of(self._world, workload)
            chosen = self._distinctions.chosen(labels, workload.cluster)
            self._known[key] = chosen, vni_of(labels)
        return self._known[key]

    def _same(self, peer: Peer) -> Peer:
        return self._peers.setdefault(peer, peer)


def _refusal(workload: Workload, problem: str) -> Refusal:
    """Who has no entry here cannot talk; of another node he can, as somebody without labels."""
    outcome = "no policy knows who it is" if workload.node else "it is cut off"
    return Refusal(ObjectRef("Pod", *workload.key), f"{problem}: {outcome}")


def _outside(workload: Workload, claim: Claim) -> str:
    """Says which address its node may not give."""
    for address in workload.addresses:
        if not any(address in network for network in claim.ranges):
            return f"address {address} is outside of the pod ranges of node {claim.node.name}"
    return ""


def fitting(places: Places, room: int, full: str) -> Places:
    """The same with no more than `room` addresses; who comes last is refused."""
    rows: dict[Key, Row] = {}
    refusals = list(places.refusals)
    own = places.own[: max(room, 0)]
    room -= len(own)
    for key, row in places.rows.items():
        if len(row.places) > room:
            refusals.append(_refusal(row.workload, full))
            continue
        room -= len(row.places)
        rows[key] = row
    return _places(rows, own, refusals, places.workloads)


def _places(
    rows: Mapping[Key, Row],
    own: tuple[Place, ...],
    refusals: list[Refusal],
    given: Mapping[Key, Workload],
) -> Places:
    listed = [*own, *(place for row in rows.values() for place in row.places)]
    peers = frozenset(peer for _, peer in listed)
    if len(rows) != len(given):
        given = {key: row.workload for key, row in rows.items()}
    return Places(rows, own, peers, len(listed), given, tuple(refusals))
