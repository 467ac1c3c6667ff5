"""hostPort: a port of this node that leads to one workload on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from tulle.model.kubernetes import ContainerPort, ObjectRef
from tulle.model.world import IPAddress, Key, Refusal, Workload

from .claims import Place, place_of
from .frontend import Backend, Face, Frontend, Kind


@dataclass(frozen=True, slots=True)
class HostPorts:
    frontends: Mapping[Key, tuple[Frontend, ...]] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()


def host_ports_of(
    workloads: Mapping[Key, Workload],
    own: Sequence[IPAddress],
    taken: Mapping[Place, ObjectRef],
) -> HostPorts:
    """Services' places go before, then the workload that was there first."""
    places = dict(taken)
    frontends: dict[Key, tuple[Frontend, ...]] = {}
    refusals: list[Refusal] = []
    # Interfaces are numbered as they are made.
    for key, workload in sorted(workloads.items(), key=lambda item: (item[1].ifindex, item[0])):
        ref = ObjectRef("Pod", *key)
        wanted = list(_frontends(ref, workload, own))
        if reason := _foreign(workload, own) or _clash(wanted, places):
            refusals.append(Refusal(ref, f"{reason}: it has no host ports"))
        elif wanted:
            places.update((place_of(item.face), ref) for item in wanted)
            frontends[key] = tuple(wanted)
    return HostPorts(frontends, tuple(refusals))


def _foreign(workload: Workload, own: Sequence[IPAddress]) -> str:
    for port in workload.ports:
        if port.host_port and port.host_ip:
            address = ip_address(port.host_ip)
            if not (address in own or address.is_unspecified or address.is_loopback):
                return f"hostIP: {address} is not an address of this node"
    return ""


def _clash(wanted: Sequence[Frontend], places: Mapping[Place, ObjectRef]) -> str:
    """Somebody has the place itself, or the port on all nodes."""
    for frontend in wanted:
        face = frontend.face
        everywhere = face.family, face.port, face.protocol
        owner = places.get(place_of(face)) or places.get(everywhere)
        if owner is not None:
            return f"hostPort: {face} belongs to {owner}"
    return ""


def _frontends(ref: ObjectRef, workload: Workload, own: Sequence[IPAddress]) -> Iterator[Frontend]:
    for port in workload.ports:
        if port.host_port is None:
            continue
        for address in _addresses(port, own):
            inside = next((ip for ip in workload.addresses if ip.version == address.version), None)
            if inside is None:
                continue
            face = Face(
                Kind.HOST_PORT,
                address,
                address.version,
                port.host_port,
                port.protocol,
                port.container_port,
            )
            to = (Backend(str(inside), port.container_port, 1, str(workload), workload.node),)
            yield Frontend(ref, face, internal=to, external=to)


def _addresses(port: ContainerPort, own: Sequence[IPAddress]) -> Sequence[IPAddress]:
    """`hostIP`, of which the unspecified address means all."""
    if not port.host_ip:
        return own
    address = ip_address(port.host_ip)
    if address.is_unspecified:
        return [item for item in own if item.version == address.version]
    return (address,)
