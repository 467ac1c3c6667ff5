"""Services that have a policy and no route: their clients' connections go by the proxy, too.

A policy on a Service would else be in force only where a route leads. Where a port is said to speak
something else than HTTP, TLS among it, the proxy can read no requests: it limits and balances
connections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from tulle.model.kinds import ref_of
from tulle.model.kubernetes import Service, ServicePort
from tulle.model.routing import Front, RequestMatch, Rule, Server, Stream, VirtualHost
from tulle.model.traffic import BackendPolicy, BackendTrafficSpec
from tulle.model.world import World

from ..app_protocols import WEB
from ..routes.fronts import front_name
from ..routes.services import OWNER_LABEL
from ..services.wishes import addresses_of
from .claims import Target
from .holding import Holding

_EVERYBODY = "everybody"  # as compile/routes/mesh names the server of those without routes


class _Port(NamedTuple):
    service: Service
    port: ServicePort
    web: bool

    @property
    def front(self) -> str:
        meta = self.service.metadata
        return front_name("service", (meta.namespace, meta.name), self.port.port, "TCP")


def with_bare(fronts: Mapping[str, Front], holding: Holding, world: World) -> dict[str, Front]:
    """`fronts` with those of such Services. Where a route holds for some clients only, the policy
    holds for the others."""
    found = dict(fronts)
    for item in _ports(holding, world):
        known = found.get(item.front)
        if known is None:
            found[item.front] = _front(item, _server(item, holding))
        elif item.web:
            servers = (
                _server(item, holding) if _is_as_ever(server) else server
                for server in known.servers
            )
            found[item.front] = replace(known, servers=tuple(servers))
    return found


def _ports(holding: Holding, world: World) -> Iterator[_Port]:
    """TCP ports that a policy names, or whose Service it does."""
    of_requests = {
        target
        for target, claimants in holding.backends.of.items()
        if _speaks_of_requests(claimants[0])
    }
    requests = {*of_requests, *holding.limits.of, *holding.faults.of, *holding.auth.of}
    named = sorted({target.of for target in (*requests, *holding.backends.of)})
    for ref in named:
        service = world.services.get((ref.namespace, ref.name)) if ref.kind == "Service" else None
        if service is None or not addresses_of(service) or OWNER_LABEL in service.metadata.labels:
            continue  # one that stands for a Gateway has fronts of its own
        for port in service.spec.ports:
            places = {Target(ref), Target(ref, port.name)}
            spoken, asked = port.app_protocol.lower(), bool(places & requests)
            web = spoken in WEB or (asked and not spoken)  # as a policy for requests says so
            if port.protocol == "TCP" and ((web and asked) or places & holding.backends.of.keys()):
                yield _Port(service, port, web)


def _speaks_of_requests(policy: BackendPolicy) -> bool:
    """Of what a connection that is passed on whole has not."""
    spec = policy.spec
    if spec.retry_constraint is not None or spec.session_persistence is not None:
        return True
    if not isinstance(spec, BackendTrafficSpec):
        return False
    balancing, limits = spec.load_balancing, spec.circuit_limits
    keys = balancing.hash_on if balancing else ()
    return (
        any(key.type != "SourceIP" for key in keys)
        or (balancing is not None and balancing.type == "Latency")
        or (limits is not None and (limits.requests, limits.retries) != (None, None))
    )


def _front(item: _Port, server: Server) -> Front:
    meta = item.service.metadata
    return Front(
        name=item.front,
        origin=ref_of(item.service),
        service=(meta.namespace, meta.name),
        addresses=addresses_of(item.service),
        port=item.port.port,
        mesh=True,
        servers=(server,),
    )


def _server(item: _Port, holding: Holding) -> Server:
    ref = ref_of(item.service)
    if not item.web:
        destination = holding.references.of_port(item.service, item.port, "TCP")
        return Server(_EVERYBODY, protocol="TCP", streams=(Stream((destination,), ref),))
    destination = holding.references.of_port(item.service, item.port, "HTTP")
    rule = Rule(ref, 0, item.port.name, destinations=(destination,))
    host = VirtualHost("*", ((RequestMatch(), rule),))
    return Server(_EVERYBODY, protocol="HTTP", hosts=(host,))


def _is_as_ever(server: Server) -> bool:
    return server.protocol == "TCP" and all(stream.origin is None for stream in server.streams)
