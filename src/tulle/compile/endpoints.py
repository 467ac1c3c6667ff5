"""Rows of the endpoints map: everybody who lives in the mesh."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import NamedTuple

from tulle import abi
from tulle.abi import Direction, EndpointFlag, Identity, Vni
from tulle.model.bandwidth import Bandwidth
from tulle.model.kubernetes import OBSERVE_LABEL
from tulle.model.world import Key, Wire

from .claims import Claim
from .identities import INGRESS, Peer
from .isolation import Who
from .parts import NOTHING, Part, packed
from .places import Places, Row
from .survey import Survey

Sets = Mapping[Who, tuple[int, ...]]  # ingress and egress
Numbers = Mapping[Peer, int]
# TCP gets the rate if it finds it whole again when it goes on after a timeout of at least 200 ms
USUAL_BURST_NS = 250 * 10**6
LONGEST_BURST_NS = 10**15


class NodePart(NamedTuple):
    """Another node's part, and what it was made from."""

    part: Part
    places: Places
    claim: Claim


class LocalPart(NamedTuple):
    """A workload's part, and what it was made from."""

    part: Part
    row: Row
    sets: tuple[int, ...]


class EndpointParts(NamedTuple):
    host: Part = NOTHING
    local: Mapping[Key, LocalPart] = {}
    nodes: Mapping[str, NodePart] = {}

    def parts(self) -> dict[Hashable, Part]:
        return {
            ("host",): self.host,
            **{("workload", *key): item.part for key, item in self.local.items()},
            **{("node", name): item.part for name, item in self.nodes.items()},
        }


def endpoint_parts(
    survey: Survey, numbers: Numbers, sets: Sets, before: EndpointParts
) -> EndpointParts:
    """`numbers` are those of before where peers have stayed."""
    host = _host(survey.claims.here, survey.local, numbers, sets)
    local = {}
    for key, row in survey.local.rows.items():
        known = before.local.get(key)
        if known is None or known.row is not row or known.sets != sets[key]:
            known = LocalPart(_workload(row, numbers, sets[key]), row, sets[key])
        local[key] = known
    nodes = {}
    for name, places in survey.remote.items():
        node, claim = before.nodes.get(name), survey.claim_of[name]
        if node is None or node.places is not places or node.claim is not claim:
            node = NodePart(_node(claim, places, numbers), places, claim)
        nodes[name] = node
    return EndpointParts(before.host if host == before.host else host, local, nodes)


def _host(claim: Claim, places: Places, numbers: Numbers, sets: Sets) -> Part:
    ingress, egress = sets[None]
    flags = EndpointFlag.HOST
    entry = abi.Endpoint(0, int(Identity.HOST), flags, Vni.HOST, ingress, egress).pack()
    entries = {packed(address): entry for address in claim.addresses}
    proxy = EndpointFlag.HOST | EndpointFlag.INGRESS
    for address, peer in places.own:
        entries[address] = abi.Endpoint(0, numbers[peer], proxy, Vni.HOST).pack()
    return {"endpoints": entries}


def _workload(row: Row, numbers: Numbers, sets: tuple[int, ...]) -> Part:
    (ingress, egress), ifindex, flags = sets, row.workload.ifindex, int(EndpointFlag.WORKLOAD)
    if row.workload.labels.get(OBSERVE_LABEL) == "http":
        flags |= EndpointFlag.WATCHED
    part = {
        "endpoints": {
            address: abi.Endpoint(ifindex, numbers[peer], flags, row.vni, ingress, egress).pack()
            for address, peer in row.places
        }
    }
    if limits := dict(_limits(ifindex, row.workload.bandwidth)):
        part["bandwidth"] = limits
    if row.workload.wire:
        part["wires"] = {ifindex.to_bytes(4, "little"): _wire(row.workload.wire)}
    return part


def _wire(wire: Wire) -> bytes:
    return abi.Wire(_mac(wire.workload_mac), _mac(wire.node_mac), wire.bridge).pack()


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _limits(ifindex: int, given: Bandwidth) -> Iterator[tuple[bytes, bytes]]:
    directions = (Direction.INGRESS, given.ingress), (Direction.EGRESS, given.egress)
    for direction, limit in directions:
        if limit is not None:
            burst_ns = limit.burst_bits * 10**9 // limit.bits_per_s or USUAL_BURST_NS
            row = abi.Bandwidth(limit.bits_per_s, min(burst_ns, LONGEST_BURST_NS))
            yield abi.BandwidthKey(ifindex, direction).pack(), row.pack()


def _node(claim: Claim, places: Places, numbers: Numbers) -> Part:
    underlay = claim.node.underlay
    node = packed(underlay) if underlay else bytes(16)
    known: dict[tuple[int, ...], bytes] = {}  # many workloads differ in their addresses only

    def entry(peer: Peer, flags: int, vni: int) -> bytes:
        number = numbers[peer]
        if (number, flags, vni) not in known:
            known[number, flags, vni] = abi.Endpoint(0, number, flags, vni, 0, 0, node).pack()
        return known[number, flags, vni]

    # What the proxy sends comes as workloads' does, and from nowhere else.
    proxy = EndpointFlag.REMOTE | EndpointFlag.INGRESS
    entries = {
        address: entry(peer, proxy if peer.kind == INGRESS else EndpointFlag.NODE, Vni.HOST)
        for address, peer in places.own
    }
    for row in places.rows.values():
        for address, peer in row.places:
            entries[address] = entry(peer, EndpointFlag.REMOTE, row.vni)
    return {"endpoints": entries}
