"""Where a service's connections go, for who connects to its backends himself, as the proxy does."""

from __future__ import annotations

from tulle.model.kubernetes import HEADLESS
from tulle.model.world import Key

from .build import Entry, ServiceParts
from .candidates import choose
from .frontend import Backend, Kind
from .room import SERVICE

_VERSIONS = {"IPv4": 4, "IPv6": 6}


def entry_of(services: ServiceParts, service: Key) -> Entry | None:
    """The same object as long as nothing has changed of what is behind a cluster IP."""
    return services.entries.get((SERVICE, *service))


def backends_of(
    services: ServiceParts, service: Key, port: int, protocol: str, family: int = 0
) -> tuple[Backend, ...]:
    """What a client on this node gets behind a port of a service, which may be headless.

    Without a family those of the service's first family that has any.
    """
    spec_of = services.inputs.services.get(service)
    if spec_of is None:
        return ()
    if spec_of.spec.cluster_ip == HEADLESS:
        return _of_headless(services, service, (port, protocol), family)
    entry = entry_of(services, service)
    for frontend in entry.frontends if entry else ():
        face = frontend.face
        if (
            face.kind is Kind.CLUSTER_IP
            and (face.service_port, face.protocol) == (port, protocol)
            and face.family == (family or face.family)
            and frontend.internal
        ):
            return frontend.internal
    return ()


def _of_headless(
    services: ServiceParts, key: Key, place: tuple[int, str], family: int
) -> tuple[Backend, ...]:
    inputs = services.inputs
    service, source = inputs.services[key], inputs.source(key)
    named = [_VERSIONS[item] for item in service.spec.ip_families] or [4, 6]
    for port in service.spec.ports:
        if (port.port, port.protocol) != place:
            continue
        for version in (family,) if family else named:
            candidates = source.candidates(inputs.view, port, version)
            chosen = choose(candidates, inputs.view, source.affinity)
            local = service.spec.internal_traffic_policy == "Local"
            if found := chosen.local if local else chosen.cluster:
                return found
    return ()
