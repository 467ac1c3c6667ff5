"""A Service, the addresses that it answers on and what is behind it → its frontends."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from ipaddress import ip_network

from tulle.model.kinds import ref_of
from tulle.model.kubernetes import MAGLEV_ANNOTATION, Service, ServicePort
from tulle.model.world import IPNetwork

from .candidates import Chosen, Source, View, choose
from .frontend import Backend, Face, Frontend, Kind
from .proxied import Place

_NONE: tuple[Backend, ...] = ()


def frontends_of(
    source: Source,
    faces: Sequence[Face],
    view: View,
    dsr: bool,
    proxied: Collection[Place] = (),
) -> Iterator[Frontend]:
    """In the order of the faces. With `dsr` those served from outside have `local` too."""
    service = source.service
    spec, ref = service.spec, ref_of(service)
    sticky = spec.session_affinity == "ClientIP"
    affinity_s = spec.session_affinity_config.client_ip.timeout_seconds if sticky else 0
    maglev = service.metadata.says(MAGLEV_ANNOTATION)
    ports: dict[tuple[int, str], ServicePort] = {
        (port.port, port.protocol): port for port in spec.ports
    }
    memo: dict[tuple[int, str, int], Chosen] = {}
    for face in faces:
        place = face.service_port, face.protocol, face.family
        if place not in memo:
            port = ports[face.service_port, face.protocol]
            memo[place] = choose(source.candidates(view, port, face.family), view, source.affinity)
        outside = face.kind is not Kind.CLUSTER_IP
        only_here = spec.internal_traffic_policy == "Local" and not outside
        internal, external, local = _tables(service, memo[place], outside, dsr)
        ranges = _source_ranges(service, face)
        yield Frontend(
            ref,
            face,
            affinity_s,
            maglev,
            ranges,
            internal,
            external,
            local,
            only_here,
            (face.address, face.port, face.protocol) in proxied,
        )


def _tables(
    service: Service, chosen: Chosen, outside: bool, dsr: bool
) -> tuple[tuple[Backend, ...], tuple[Backend, ...], tuple[Backend, ...]]:
    """Who asks for an external address from inside gets all backends, as with kube-proxy."""
    spec = service.spec
    if not outside:
        internal = chosen.local if spec.internal_traffic_policy == "Local" else chosen.cluster
        return internal, _NONE, _NONE
    if spec.external_traffic_policy == "Local":
        return chosen.cluster, chosen.local, chosen.local if dsr else _NONE
    return chosen.cluster, chosen.cluster, chosen.local if dsr else _NONE


def _source_ranges(service: Service, face: Face) -> tuple[IPNetwork, ...] | None:
    """Those of the face's family: if a list names the other one only, nobody may come in."""
    given = service.spec.load_balancer_source_ranges
    if face.kind is not Kind.LOAD_BALANCER or not given:
        return None
    networks = (ip_network(text, strict=False) for text in given)
    return tuple(item for item in networks if item.version == face.family)
