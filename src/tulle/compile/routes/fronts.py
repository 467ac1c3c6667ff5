"""Gateways → fronts of the proxy: one for each port, with a server for each listener in force."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal, cast

from tulle.model.kinds import ref_of
from tulle.model.routing import Certificate, Destination, Front, Rule, Server, Stream
from tulle.model.world import IPAddress

from .gateways import Owned
from .hosts import Hosts, streams_of
from .listeners import Spot

Protocol = Literal["HTTP", "HTTPS", "TLS", "TCP", "UDP"]
Transport = Literal["TCP", "UDP"]


def gateway_fronts(owned: Owned, addresses: tuple[IPAddress, ...], hosts: Hosts) -> Iterator[Front]:
    """None if nothing of it can be served."""
    if not addresses or not owned.accepted.holds:
        return
    by_port: dict[tuple[int, str], list[Server]] = defaultdict(list)
    for spot in owned.all_spots():
        if spot.in_force:
            place = (spot.listener.port, spot.transport)
            by_port[place].append(_server(owned, spot, hosts))
    for (port, transport), servers in sorted(by_port.items()):
        yield Front(
            name=front_name("gateway", owned.key, port, transport),
            origin=ref_of(owned.gateway),
            service=owned.service,
            addresses=addresses,
            port=port,
            protocol=cast(Transport, transport),
            servers=tuple(servers),
        )


def front_name(kind: str, key: tuple[str, str], port: int, transport: str) -> str:
    """One for TCP and one for UDP may stand side by side."""
    return "/".join((kind, *key, str(port), *(("UDP",) if transport == "UDP" else ())))


def _server(owned: Owned, spot: Spot, hosts: Hosts) -> Server:
    listener, name = spot.listener, spot.listener.name
    if spot.owner is not owned.gateway:
        name = f"{spot.namespace}/{spot.owner.metadata.name}/{name}"
    server = Server(name, listener.hostname, cast(Protocol, listener.protocol), spot.termination)
    seats = spot.routes.values()
    change = _showing(owned.certificate) if owned.certificate else None
    if listener.protocol in ("HTTP", "HTTPS"):
        place = (*owned.key, listener.port, name)
        return replace(server, hosts=hosts.of(place, listener.hostname, seats, change))
    sealed = listener.protocol == "TLS" and not spot.terminates
    streams = streams_of(listener.hostname, seats, sealed)
    if owned.certificate:
        streams = tuple(_shown(stream, owned.certificate) for stream in streams)
    return replace(server, streams=streams)


def _showing(certificate: Certificate) -> Callable[[Rule], Rule]:
    """Rules whose backends are shown a Gateway's certificate."""
    made: dict[int, Rule] = {}

    def change(rule: Rule) -> Rule:
        if id(rule) not in made:
            found = tuple(_with_client(item, certificate) for item in rule.destinations)
            mirrors = tuple(
                replace(item, destination=_with_client(item.destination, certificate))
                for item in rule.filters.mirrors
            )
            filters = replace(rule.filters, mirrors=mirrors)
            made[id(rule)] = replace(rule, destinations=found, filters=filters)
        return made[id(rule)]

    return change


def _shown(stream: Stream, certificate: Certificate) -> Stream:
    found = tuple(_with_client(item, certificate) for item in stream.destinations)
    return replace(stream, destinations=found)


def _with_client(destination: Destination, certificate: Certificate) -> Destination:
    if destination.tls is None:
        return destination
    return replace(destination, tls=replace(destination.tls, client=certificate))
