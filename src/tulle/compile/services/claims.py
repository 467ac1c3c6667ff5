"""Of two that want one address and port, who has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef, Service
from tulle.model.world import IPAddress, Key

from .frontend import Face, Kind
from .ranges import Ranges

Place = tuple[IPAddress | int, int, str]  # address, or a family for all nodes'; port, protocol

_FIELDS = {
    Kind.CLUSTER_IP: "spec.clusterIP",
    Kind.NODE_PORT: "spec.ports.nodePort",
    Kind.EXTERNAL_IP: "spec.externalIPs",
    Kind.LOAD_BALANCER: "status.loadBalancer",
}


@dataclass(frozen=True, slots=True)
class Claims:
    """`owned`: for whom of those that share an address its row is written, by that one's key."""

    refused: Mapping[Key, str] = field(default_factory=dict)
    owned: Mapping[Key, tuple[IPAddress, ...]] = field(default_factory=dict)
    places: Mapping[Place, ObjectRef] = field(default_factory=dict)


def place_of(face: Face) -> Place:
    return face.address or face.family, face.port, face.protocol


def claims_of(
    services: Mapping[Key, Service], faces: Mapping[Key, tuple[Face, ...]], workloads: Ranges
) -> Claims:
    """The first by name has what two want; the other one is not in force at all.

    Cluster IPs go before all else: nobody takes one by listing it among his external addresses.
    A workload's address is nobody's: who had it as a service would get what is meant for it.
    """
    cluster_ips = _cluster_ips(services, faces)
    rows: set[IPAddress] = set()
    places: dict[Place, ObjectRef] = {}
    refused: dict[Key, str] = {}
    owned: dict[Key, tuple[IPAddress, ...]] = {}
    for key in sorted(services):
        ref = ref_of(services[key])
        reason = _amid(faces[key], workloads) or _clash(ref, faces[key], cluster_ips, places)
        if reason:
            refused[key] = reason
            continue
        for face in faces[key]:
            places[place_of(face)] = ref
        own = dict.fromkeys(item.address for item in faces[key] if item.address is not None)
        owned[key] = tuple(address for address in own if address not in rows)
        rows.update(owned[key])
    return Claims(refused, owned, places)


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


def _amid(faces: Iterable[Face], workloads: Ranges) -> str:
    for face in faces:
        if face.address is not None and (found := workloads.around(face.address)) is not None:
            return f"{_FIELDS[face.kind]}: {face.address} is in a range of workloads, {found}"
    return ""


def _clash(
    ref: ObjectRef,
    faces: Iterable[Face],
    cluster_ips: Mapping[IPAddress, ObjectRef],
    places: Mapping[Place, ObjectRef],
) -> str:
    """A cluster IP is one service's on all its ports; of other addresses each port is."""
    for face in faces:
        address = face.address
        if address is not None and (owner := cluster_ips.get(address, ref)) != ref:
            return f"{_FIELDS[face.kind]}: {address} belongs to {owner}"
        if (other := places.get(place_of(face))) is not None:
            return f"{_FIELDS[face.kind]}: {face} belongs to {other}"
    return ""
