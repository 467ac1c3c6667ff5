"""Of two that want one address and port, who has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef, Service
from tulle.model.world import IPAddress, Key

from .frontend import Face, Kind
from .ranges import WorkloadRanges

Place = tuple[IPAddress | int, int, str]  # address, or a family for all nodes'; port, protocol

_FIELDS = {
    Kind.CLUSTER_IP: "spec.clusterIP",
    Kind.NODE_PORT: "spec.ports.nodePort",
    Kind.EXTERNAL_IP: "spec.externalIPs",
    Kind.LOAD_BALANCER: "status.loadBalancer",
}


@dataclass(frozen=True, slots=True)
class Claims:
    """`granted`: what each service has of what it wants; without its cluster IP it has nothing.

    `owned`: for whom of those that share an address its row is written, by that one's key.
    """

    granted: Mapping[Key, tuple[Face, ...]] = field(default_factory=dict)
    refused: Mapping[Key, str] = field(default_factory=dict)
    owned: Mapping[Key, tuple[IPAddress, ...]] = field(default_factory=dict)
    places: Mapping[Place, ObjectRef] = field(default_factory=dict)


def place_of(face: Face) -> Place:
    return face.address or face.family, face.port, face.protocol


def claims_of(
    services: Mapping[Key, Service],
    faces: Mapping[Key, tuple[Face, ...]],
    workloads: WorkloadRanges,
) -> Claims:
    """The first by name has what two want; the other one loses that, and keeps the rest.

    Cluster IPs go before all else: nobody takes one by listing it among his external addresses, and
    who loses his own is not in force at all. A workload's address is nobody's: who had it as a
    service would get what is meant for it.
    """
    cluster_ips = _cluster_ips(services, faces)
    rows: set[IPAddress] = set()
    places: dict[Place, ObjectRef] = {}
    granted: dict[Key, tuple[Face, ...]] = {}
    refused: dict[Key, str] = {}
    owned: dict[Key, tuple[IPAddress, ...]] = {}
    for key in sorted(services):
        ref = ref_of(services[key])
        lost = {
            face: reason
            for face in faces[key]
            if (reason := _amid(face, workloads) or _clash(ref, face, cluster_ips, places))
        }
        whole = next((lost[face] for face in lost if face.kind is Kind.CLUSTER_IP), "")
        if whole:
            refused[key] = whole
            continue
        if lost:
            refused[key] = f"{next(iter(lost.values()))}; the rest of it is in force"
        own = tuple(face for face in faces[key] if face not in lost) if lost else faces[key]
        granted[key] = own
        places |= {place_of(face): ref for face in own}
        addresses = dict.fromkeys(item.address for item in own if item.address is not None)
        owned[key] = tuple(address for address in addresses if address not in rows)
        rows.update(owned[key])
    return Claims(granted, refused, owned, places)


def _cluster_ips(
    services: Mapping[Key, Service], faces: Mapping[Key, tuple[Face, ...]]
) -> dict[IPAddress, ObjectRef]:
    """Each with its owner; who cannot have all of his has none."""
    owners: dict[IPAddress, ObjectRef] = {}
    for key in sorted(services):
        own = {face.address for face in faces[key] if face.kind is Kind.CLUSTER_IP}
        if owners.keys().isdisjoint(own):
            owners |= {address: ref_of(services[key]) for address in own if address is not None}
    return owners


def _amid(face: Face, workloads: WorkloadRanges) -> str:
    if face.address is None or not (found := workloads.around(face.address)):
        return ""
    return f"{_FIELDS[face.kind]}: {face.address} is in a range of workloads, {found}"


def _clash(
    ref: ObjectRef,
    face: Face,
    cluster_ips: Mapping[IPAddress, ObjectRef],
    places: Mapping[Place, ObjectRef],
) -> str:
    """A cluster IP is one service's on all its ports; of other addresses each port is."""
    address = face.address
    if address is not None and (owner := cluster_ips.get(address, ref)) != ref:
        return f"{_FIELDS[face.kind]}: {address} belongs to {owner}"
    if (other := places.get(place_of(face))) is not None:
        return f"{_FIELDS[face.kind]}: {face} belongs to {other}"
    return ""
