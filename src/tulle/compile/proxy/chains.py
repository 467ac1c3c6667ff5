"""Servers of a front → its filter chains, and the route tables that they ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tulle.model.routing import Front, Server, Stream
from tulle.model.world import IPAddress

from .fields import Fields
from .hosts import ANY, Share, owner_of, shares_behind, shares_of
from .http import http_filter
from .logs import marks
from .selection import Selector
from .streams import closing_filter, stream_id, tcp_filter
from .targets import Scene, Target, targets_of_stream
from .tls import server_socket

_WEB = ("h2", "http/1.1")  # ALPN, what the proxy likes best first


@dataclass(frozen=True, slots=True)
class Chain:
    """A FilterChain; of HTTP with the name and content of the table of routes that it asks for."""

    name: str
    selector: Selector
    fields: Fields
    scene: Scene
    table: str = ""
    shares: tuple[Share, ...] = ()
    targets: tuple[Target, ...] = ()


def chains_of(front: Front) -> Iterator[Chain]:
    """No two of them have a name or a selector in common."""
    families = families_of(front)
    clients = dict.fromkeys(server.clients for server in front.servers)
    for family in families:
        for of in clients:
            yield from _Leg(front, family, len(families) > 1, of).chains()


def families_of(front: Front) -> tuple[int, ...]:
    """Of a mesh front those of its addresses, which are served apart; 0: the proxy's own."""
    return tuple(sorted({address.version for address in front.addresses})) if front.mesh else (0,)


@dataclass(frozen=True, slots=True)
class _Leg:
    """What comes in by a front from some clients and, if `apart`, by addresses of one family."""

    front: Front
    family: int
    apart: bool
    clients: tuple[IPAddress, ...]

    def chains(self) -> Iterator[Chain]:
        servers = [server for server in self.front.servers if server.clients == self.clients]
        if cleartext := [server for server in servers if server.protocol == "HTTP"]:
            yield self._web(cleartext)
        elif plain := [server for server in servers if server.protocol == "TCP"]:
            yield self._stream(plain[0], plain[0].streams[0] if plain[0].streams else None, ())
        secure = [server for server in servers if server.protocol in ("HTTPS", "TLS")]
        taken: set[str] = set()
        for server in secure:
            yield from self._named(server, secure, taken)

    def _named(self, server: Server, secure: Sequence[Server], taken: set[str]) -> Iterator[Chain]:
        """By SNI, each name once: the server that it belongs to serves it, or closes."""
        own = server.hostname or ANY
        if server.protocol == "TLS":
            for stream in server.streams:
                names = tuple(
                    name
                    for name in stream.hostnames or (own,)
                    if name not in taken and owner_of(name, secure) is server
                )
                taken.update(names)
                if names:
                    yield self._stream(server, stream, names)
        if own not in taken and owner_of(own, secure) is server:
            taken.add(own)
            if server.protocol == "TLS":
                yield self._stream(server, None, (own,))
            else:
                yield self._secure_web(server, secure)

    def _web(self, servers: Sequence[Server]) -> Chain:
        """Gateways' tables have the front's name, as do those for everybody."""
        own = f"/{servers[0].name}" if self.clients else ""
        table = f"{self.front.name}{own}{self._suffix}"
        return self._chain(
            f"http{own}",
            (),
            [http_filter(table, self.front.mesh)],
            table=table,
            shares=shares_of(servers),
        )

    def _secure_web(self, server: Server, servers: Sequence[Server]) -> Chain:
        table = f"{self.front.name}/{server.name}{self._suffix}"
        web = [item for item in servers if item.protocol == "HTTPS"]
        return self._chain(
            server.name,
            (server.hostname or ANY,),
            [http_filter(table, self.front.mesh)],
            socket=_socket(server, _WEB),
            table=table,
            shares=shares_behind(server, web),
        )

    def _stream(self, server: Server, stream: Stream | None, names: tuple[str, ...]) -> Chain:
        name = f"{server.name}/{names[0]}" if names else server.name
        if stream is None:
            return self._chain(name, names, [closing_filter()])
        scene = self._scene(False)
        return self._chain(
            name,
            names,
            [tcp_filter(stream, scene, self.front.mesh)],
            socket=_socket(server, ()),
            rule=stream_id(stream),
            targets=tuple(targets_of_stream(stream, scene)),
        )

    def _chain(
        self,
        name: str,
        names: tuple[str, ...],
        filters: Sequence[Fields],
        *,
        socket: Fields | None = None,
        rule: str = "",
        **rest: Any,
    ) -> Chain:
        name = f"{name}{self._suffix}"
        fields: Fields = {"name": name, "filters": [marks(self.front.name, rule), *filters]}
        if socket is not None:
            fields["transport_socket"] = socket
        selector = Selector(self.clients, self.family if self.apart else 0, names)
        return Chain(name, selector, fields, self._scene(socket is not None), **rest)

    @property
    def _suffix(self) -> str:
        return f"/ipv{self.family}" if self.apart else ""

    def _scene(self, tls: bool) -> Scene:
        return Scene(self.front.port, tls, self.family)


def _socket(server: Server, protocols: tuple[str, ...]) -> Fields | None:
    """Where TLS ends."""
    return server_socket(server.termination, protocols) if server.termination else None
