"""Ports of workloads that are said to speak what the kernel does not read: HTTP/2, or TLS.

Who says so: a Service that selects the workload, a GRPCRoute of that Service's namespace, or the
workload itself by the port's name. It is only ever a reason to leave requests to the proxy, which
reads HTTP/1.1 as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from operator import is_
from typing import NamedTuple

from tulle.model.gateway_routes import GRPCRoute
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import Service, ServicePort
from tulle.model.references import BackendObjectReference, ParentReference
from tulle.model.world import Key, Workload, World

from .app_protocols import unread
from .cells import Unread
from .places import Row
from .services.candidates import target_port
from .services.members import changed


class _Saying(NamedTuple):
    """Of what a Service leads one of its ports to."""

    port: ServicePort
    words: str


class _Said(NamedTuple):
    selector: Mapping[str, str]
    sayings: tuple[_Saying, ...]


class Speech(NamedTuple):
    """The rest is what it was made from."""

    of: Mapping[Key, Unread] = {}
    said: Mapping[Key, _Said] = {}
    services: Mapping[Key, Service] = {}
    routes: Mapping[Key, GRPCRoute] = {}
    rows: Mapping[Key, Row] = {}


def speech_of(world: World, rows: Mapping[Key, Row], before: Speech) -> Speech:
    """Of workloads of this node; `before` itself if nothing has changed.

    Nobody asks where the kernel judges no requests.
    """
    if not world.settings.stream:
        return before if before == Speech() else Speech()
    said = _said(world, before)
    if said is before.said and rows is before.rows:
        return before._replace(services=world.services, routes=world.grpc_routes)
    by_namespace = _by_namespace(said)
    found = {}
    for key, row in rows.items():
        if unread_here := _unread(row.workload, by_namespace.get(key[0], ())):
            found[key] = unread_here
    of = before.of if found == before.of else found
    return Speech(of, said, world.services, world.grpc_routes, rows)


def unread_ports(world: World, workload: Workload) -> Unread:
    """The same for one, looked up from the start."""
    routed = _routed(world.grpc_routes)
    own = (
        _said_by(service, routed.get(key, {}))
        for key, service in world.services.items()
        if key[0] == workload.namespace
    )
    return _unread(workload, filter(None, own))


def _said(world: World, before: Speech) -> Mapping[Key, _Said]:
    """Of Services that say something."""
    same_routes = _same(world.grpc_routes, before.routes)
    if same_routes and world.services is before.services:
        return before.said
    keys: Iterable[Key] = changed(before.services, world.services)
    if not same_routes:
        keys = {*before.services, *world.services}
    routed = _routed(world.grpc_routes)
    said = dict(before.said)
    for key in keys:
        said.pop(key, None)
        service = world.services.get(key)
        if service and (found := _said_by(service, routed.get(key, {}))):
            said[key] = found
    return before.said if said == before.said else said


def _same(now: Mapping[Key, GRPCRoute], before: Mapping[Key, GRPCRoute]) -> bool:
    return len(now) == len(before) and all(map(is_, now.values(), before.values()))


def _routed(routes: Mapping[Key, GRPCRoute]) -> Mapping[Key, Mapping[int | None, str]]:
    """Services and their ports, None for all, to which GRPCRoutes of their namespace lead."""
    found: dict[Key, dict[int | None, str]] = defaultdict(dict)
    for route in routes.values():
        own, name = route.metadata.namespace, str(ref_of(route))
        refs: list[ParentReference | BackendObjectReference] = [
            *route.spec.parent_refs,
            *(ref for rule in route.spec.rules for ref in rule.backend_refs),
        ]
        for ref in refs:
            if (ref.group, ref.kind) == ("", "Service") and ref.namespace in ("", own):
                found[own, ref.name].setdefault(ref.port, name)
    return found


def _said_by(service: Service, routed: Mapping[int | None, str]) -> _Said | None:
    name, selector = str(ref_of(service)), service.spec.selector
    sayings = tuple(
        _Saying(port, words)
        for port in service.spec.ports
        if port.protocol == "TCP" and (words := _words(port, name, routed))
    )
    return _Said(selector, sayings) if sayings and selector else None


def _words(port: ServicePort, service: str, routed: Mapping[int | None, str]) -> str:
    spoken, why = unread(port.app_protocol, port.name)
    if spoken:
        return f"{spoken}: {why} in {service}"
    route = routed.get(port.port) or routed.get(None)
    return f"HTTP/2: {route} leads to {service}" if route else ""


def _by_namespace(said: Mapping[Key, _Said]) -> Mapping[str, list[_Said]]:
    """In the order of their names, as the first counts."""
    found: dict[str, list[_Said]] = defaultdict(list)
    for key in sorted(said):
        found[key[0]].append(said[key])
    return found


def _unread(workload: Workload, said: Iterable[_Said]) -> Unread:
    found: dict[int, str] = {}
    for item in said:
        if item.selector.items() <= workload.labels.items():
            for saying in item.sayings:
                if (number := target_port(workload, saying.port)) is not None:
                    found.setdefault(number, saying.words)
    for own in workload.ports:
        spoken, why = unread("", own.name)
        if spoken and own.protocol == "TCP":
            found.setdefault(own.container_port, f"{spoken}: {why} of the workload's own")
    return tuple(sorted((port, f"port {port} speaks {words}") for port, words in found.items()))
