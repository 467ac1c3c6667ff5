"""Routing with the policies of tulle.io on its rules and destinations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import (
    Destination,
    Filters,
    Front,
    Mirror,
    Routing,
    Rule,
    Server,
    Stream,
    VirtualHost,
)
from tulle.model.world import World

from ..routes import route as plain_route
from .bare import with_bare
from .claims import Target
from .holding import Holding, Said
from .status import statuses

Rules = Mapping[tuple[int, ...], tuple[Rule, Rule]]  # by identities of what one is made from

# Of the world, what policies and their status are made from, besides the routing.
_SOURCES = (
    *("backend_traffic", "x_backend_traffic", "rate_limits", "faults", "auth_policies"),
    *("services", "gateways", "http_routes", "grpc_routes", "ingresses"),
    *("grants", "backend_tls", "config_maps"),
)


@dataclass(frozen=True, slots=True)
class Attached:
    """`routing` with policies. The rest saves work next time."""

    routing: Routing
    values: Mapping[Said, object] = field(default_factory=dict)
    rules: Rules = field(default_factory=dict)
    fronts: Mapping[str, Front] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Memo:
    """What the next routing may take over; `plain` is without policies."""

    world: World
    plain: Routing
    attached: Attached


def route(world: World, before: Routing | None = None) -> Routing:
    """As `compile.routes.route`, with the policies of tulle.io. `before` only saves work."""
    old = before.memo if before is not None and isinstance(before.memo, Memo) else None
    plain = plain_route(world, old.plain if old else None)
    if before is not None and old is not None and old.plain is plain:
        same = (getattr(old.world, name) is getattr(world, name) for name in _SOURCES)
        if all(same):
            return before
    attached = attach(plain, world, old.attached if old else None)
    return replace(attached.routing, memo=Memo(world, plain, attached))


def attach(routing: Routing, world: World, before: Attached | None = None) -> Attached:
    """What is as before is the same object. Without any policy `routing` is left alone."""
    policies = (world.backend_traffic, world.x_backend_traffic, world.rate_limits)
    if not any((*policies, world.faults, world.auth_policies)):
        return Attached(routing)
    old = before or Attached(routing)
    holding = Holding(world, old.values)
    walk = _Walk(holding, old)
    bare = with_bare(routing.fronts, holding, world)
    fronts = {name: walk.front(front) for name, front in bare.items()}
    status = {**routing.status, **statuses(holding, world)}
    made = replace(routing, fronts=fronts, status=status, memo=None)
    return Attached(made, holding.values, walk.rules, fronts)


class _Walk:
    """One pass over all rules."""

    def __init__(self, holding: Holding, before: Attached) -> None:
        self.holding, self._before = holding, before
        self.rules: dict[tuple[int, ...], tuple[Rule, Rule]] = {}

    def front(self, front: Front) -> Front:
        port = self.holding.port_name(front.service, front.port) if front.mesh else ""
        made = replace(
            front, servers=tuple(self._server(front.origin, port, item) for item in front.servers)
        )
        old = self._before.fronts.get(front.name)
        return old if old == made else made

    def _server(self, origin: ObjectRef, port: str, server: Server) -> Server:
        places = (Target(origin, port or server.name), Target(origin))
        return replace(
            server,
            hosts=tuple(self._host(host, places) for host in server.hosts),
            streams=tuple(self._stream(stream, origin) for stream in server.streams),
        )

    def _host(self, host: VirtualHost, outer: Sequence[Target]) -> VirtualHost:
        entries = tuple((match, self._rule(rule, outer)) for match, rule in host.entries)
        return VirtualHost(host.hostname, entries)

    def _rule(self, rule: Rule, outer: Sequence[Target]) -> Rule:
        front = outer[-1].of
        places = (Target(rule.origin, rule.name), Target(rule.origin), *outer)
        policies = self.holding.policies_at(places, front)
        backings = [self.holding.backing(item, front) for item in _destinations(rule)]
        parts = policies.rate_limit, policies.tokens, policies.authorization, policies.fault
        key = id(rule), *map(id, parts), *map(id, backings)
        known = self.rules.get(key) or self._before.rules.get(key)
        if known is None:
            sessions = (self.holding.backing(item, front).session for item in _live(rule))
            made = replace(
                rule,
                policies=policies,
                destinations=tuple(self._destination(item, front) for item in rule.destinations),
                filters=self._filters(rule.filters, front),
                session=rule.session or next(filter(None, sessions), None),
            )
            known = rule, made
        self.rules[key] = known
        return known[1]

    def _destination(self, destination: Destination, front: ObjectRef) -> Destination:
        made = self.holding.backed(destination, front)
        filters = destination.filters
        return replace(made, filters=self._filters(filters, front)) if filters else made

    def _filters(self, filters: Filters, front: ObjectRef) -> Filters:
        mirrors, asked = filters.mirrors, filters.authorization
        if not mirrors and asked is None:
            return filters
        return replace(
            filters,
            mirrors=tuple(self._mirror(mirror, front) for mirror in mirrors),
            authorization=asked
            and replace(asked, destination=self.holding.backed(asked.destination, front)),
        )

    def _mirror(self, mirror: Mirror, front: ObjectRef) -> Mirror:
        return replace(mirror, destination=self.holding.backed(mirror.destination, front))

    def _stream(self, stream: Stream, front: ObjectRef) -> Stream:
        backed = tuple(self.holding.backed(item, front) for item in stream.destinations)
        return replace(stream, destinations=backed)


def _live(rule: Rule) -> Iterator[Destination]:
    return (item for item in rule.destinations if item.weight)


def _destinations(rule: Rule) -> Iterator[Destination]:
    """All that a rule's requests are sent to."""
    yield from rule.destinations
    for filters in (rule.filters, *(item.filters for item in rule.destinations if item.filters)):
        yield from (mirror.destination for mirror in filters.mirrors)
        if filters.authorization is not None:
            yield filters.authorization.destination
