"""One front → its listeners, its tables of routes, and what they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tulle.model.kubernetes import ObjectRef
from tulle.model.proxy import Resource
from tulle.model.routing import Front

from .chains import Chain, chains_of, families_of
from .datagrams import target_of_datagrams
from .listeners import tcp_listener, udp_listeners
from .routes import Table, table_of
from .targets import Scene, Target
from .tls import secrets_of


@dataclass(frozen=True, slots=True)
class FrontMade:
    """`tables` with the scenes that they were made in, by name; `routes` are the same, ready."""

    front: Front
    listeners: Mapping[str, Resource]
    tables: Mapping[str, tuple[Scene, Table]]
    routes: Mapping[str, Resource]
    targets: tuple[Target, ...]
    secrets: Mapping[str, bytes]


def front_made(front: Front, before: FrontMade | None) -> FrontMade:
    """`before` if nothing has changed; else it saves work."""
    if before is not None and before.front is front:
        return before
    origins = _origins(front)
    if front.protocol == "UDP":
        listeners = {name: Resource(body, origins) for name, body in udp_listeners(front)}
        return FrontMade(front, listeners, {}, {}, _of_datagrams(front), {})
    chains = tuple(chains_of(front))
    tables = {chain.table: _table(chain, before) for chain in chains if chain.table}
    parts = [*(chain.targets for chain in chains), *(t.made.targets for _, t in tables.values())]
    secrets = {
        name: body
        for server in front.servers
        if server.termination is not None
        for name, body in secrets_of(server.termination)
    }
    return FrontMade(
        front,
        {front.name: Resource(tcp_listener(front, chains), origins)},
        tables,
        {name: _resource(table, front) for name, (_, table) in tables.items()},
        tuple({target: None for part in parts for target in part}),
        secrets,
    )


def _resource(table: Table, front: Front) -> Resource:
    return Resource(table.made.body, table.made.origins or (front.origin,))


def _table(chain: Chain, before: FrontMade | None) -> tuple[Scene, Table]:
    scene, old = before.tables.get(chain.table, (None, None)) if before else (None, None)
    same = old if scene == chain.scene else None
    return chain.scene, table_of(chain.table, chain.shares, chain.scene, same)


def _of_datagrams(front: Front) -> tuple[Target, ...]:
    scenes = (Scene(front.port, False, family) for family in families_of(front))
    return tuple(filter(None, (target_of_datagrams(front, scene) for scene in scenes)))


def _origins(front: Front) -> tuple[ObjectRef, ...]:
    """The front's own object and, as their SNIs stand in the listener, those of streams."""
    return tuple(dict.fromkeys([front.origin, *_streams(front)]))


def _streams(front: Front) -> Iterator[ObjectRef]:
    for server in front.servers:
        for stream in server.streams:
            if stream.origin is not None:
                yield stream.origin
