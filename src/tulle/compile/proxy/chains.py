"""Servers of a front → its filter chains, and the route tables that they ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tulle.model.routing import Front, Server, Stream
from tulle.model.world import IPAddress

from .fields import Fields
from .hosts import ANY, Share, owner_of, shares_behind, shares_of
from .http import http_filter
from .logs import marks
from .streams import closing_filter, stream_id, tcp_filter
from .targets import Scene, Target, targets_of_stream
from .tls import server_socket

_WEB = ("h2", "http/1.1")  # ALPN, what the proxy likes best first
_EVERYWHERE = {4: "0.0.0.0", 6: "::"}  # noqa: S104 (prefixes of all)


@dataclass(frozen=True, slots=True)
class Chain:
    """A FilterChain; of HTTP with the name and content of the table of routes that it asks for."""

    fields: Fields
    scene: Scene
    table: str = ""
    shares: tuple[Share, ...] = ()
    targets: tuple[Target, ...] = ()


def chains_of(front: Front) -> Iterator[Chain]:
    """No two of them match the same: Envoy would refuse all."""
    families = families_of(front)
    groups: dict[tuple[IPAddress, ...], list[Server]] = {}
    for server in front.servers:
        groups.setdefault(server.clients, []).append(server)
    for family in families:
        for clients, servers in groups.items():
            own = tuple(address for address in clients if family in (0, address.version))
            if own or not clients:
                yield from _Leg(front, family, len(families) > 1, tuple(servers), own).chains()


def families_of(front: Front) -> tuple[int, ...]:
    """Of a mesh front those of its addresses, which are served apart; 0: the proxy's own."""
    return tuple(sorted({address.version for address in front.addresses})) if front.mesh else (0,)


@dataclass(frozen=True, slots=True)
class _Leg:
    """What comes in by a front: all of it or, if `apart`, by its addresses of one family.

    With `clients` only from them: Envoy takes the most specific source.
    """

    front: Front
    family: int
    apart: bool
    servers: tuple[Server, ...]
    clients: tuple[IPAddress, ...]

    def chains(self) -> Iterator[Chain]:
        servers = self.servers
        if cleartext := [server for server in servers if server.protocol == "HTTP"]:
            yield self._web(cleartext)
        elif plain := [server for server in servers if server.protocol == "TCP"]:
            yield self._stream(plain[0], plain[0].streams[0] if plain[0].streams else None, [])
        secure = [server for server in servers if server.protocol in ("HTTPS", "TLS")]
        taken: set[str] = set()
        for server in secure:
            yield from self._named(server, secure, taken)

    def _named(self, server: Server, secure: Sequence[Server], taken: set[str]) -> Iterator[Chain]:
        """By SNI, each name once: the server that it belongs to serves it, or closes."""
        own = server.hostname or ANY
        if server.protocol == "TLS":
            for stream in server.streams:
                names = [
                    name
                    for name in stream.hostnames or (own,)
                    if name not in taken and owner_of(name, secure) is server
                ]
                taken.update(names)
                if names:
                    yield self._stream(server, stream, names)
        if own not in taken and owner_of(own, secure) is server:
            taken.add(own)
            if server.protocol == "TLS":
                yield self._stream(server, None, [own])
            else:
                yield self._secure_web(
                    server, [item for item in secure if item.protocol == "HTTPS"]
                )

    def _web(self, servers: Sequence[Server]) -> Chain:
        table = f"{self.front.name}{self._suffix}"
        fields = self._chain("http", [], [http_filter(table, self.front.mesh)])
        return Chain(fields, self._scene(False), table, shares_of(servers))

    def _secure_web(self, server: Server, servers: Sequence[Server]) -> Chain:
        table = f"{self.front.name}/{server.name}{self._suffix}"
        names = [server.hostname or ANY]
        fields = self._chain(server.name, names, [http_filter(table, self.front.mesh)])
        if server.termination is not None:
            fields["transport_socket"] = server_socket(server.termination, _WEB)
        web = [item for item in servers if item.protocol == "HTTPS"]
        return Chain(fields, self._scene(True), table, shares_behind(server, web))

    def _stream(self, server: Server, stream: Stream | None, names: Sequence[str]) -> Chain:
        scene = self._scene(server.termination is not None)
        name = f"{server.name}/{names[0]}" if names else server.name
        if stream is None:
            return Chain(self._chain(name, names, [closing_filter()]), scene)
        passing = tcp_filter(stream, scene, self.front.mesh)
        fields = self._chain(name, names, [passing], stream_id(stream))
        if server.termination is not None:
            fields["transport_socket"] = server_socket(server.termination, ())
        return Chain(fields, scene, targets=tuple(targets_of_stream(stream, scene)))

    def _chain(
        self, name: str, names: Sequence[str], filters: Sequence[Fields], rule: str = ""
    ) -> Fields:
        match: Fields = {"server_names": [item for item in names if item != ANY]}
        if self.apart:
            everywhere = {"address_prefix": _EVERYWHERE[self.family], "prefix_len": {"value": 0}}
            match["prefix_ranges"] = [everywhere]
        if self.clients:
            match["source_prefix_ranges"] = [
                {"address_prefix": str(item), "prefix_len": {"value": item.max_prefixlen}}
                for item in self.clients
            ]
        return {
            "name": f"{name}{self._suffix}",
            "filter_chain_match": match,
            "filters": [marks(self.front.name, rule), *filters],
        }

    @property
    def _suffix(self) -> str:
        of_clients = f"/{self.servers[0].name}" if self.clients else ""
        return of_clients + (f"/ipv{self.family}" if self.apart else "")

    def _scene(self, tls: bool) -> Scene:
        return Scene(self.front.port, tls, self.family)
