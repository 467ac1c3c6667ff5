"""Where the proxy sends to: each target is a cluster.

A service's port is one target for each way of speaking to it. One of the mesh has a family: the
proxy connects from the client's own address, so the backend's must be of the same family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tulle.model.routing import AppProtocol, Destination, Rule, Stream, UpstreamTls
from tulle.model.routing_policies import BackendTraffic
from tulle.model.world import Key

from ..parts import digest64

# A cluster that never exists. Envoy answers as the route says, and closes connections.
NOWHERE = "tulle_nowhere"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a route's translation depends on besides itself: where it is attached.

    `family` (4, 6) is that of the mesh's clients; 0: the proxy connects from its own addresses.
    """

    port: int
    tls: bool = False
    family: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    service: Key
    port: int
    protocol: AppProtocol
    tls: UpstreamTls | None = None
    family: int = 0
    traffic: BackendTraffic | None = None

    @property
    def endpoints(self) -> str:
        """Name of the endpoints, which targets of several ways to speak share."""
        udp = "/udp" if self.protocol is AppProtocol.UDP else ""
        family = f"/ipv{self.family}" if self.family else ""
        return f"{self.service[0]}/{self.service[1]}/{self.port}{udp}{family}"

    @property
    def name(self) -> str:
        """Name of the cluster."""
        speaks = {AppProtocol.HTTP2: "/h2", AppProtocol.TCP: "/tcp"}.get(self.protocol, "")
        return f"{self.endpoints}{speaks}{f'/tls-{_digest(self.tls)}' if self.tls else ''}"


def target_of(destination: Destination, scene: Scene, grpc: bool = False) -> Target:
    """gRPC needs HTTP/2 from end to end; a WebSocket starts as HTTP/1.1."""
    protocol = destination.protocol
    if grpc:
        protocol = AppProtocol.HTTP2
    elif protocol is AppProtocol.WEBSOCKET:
        protocol = AppProtocol.HTTP1
    return Target(
        destination.service,
        destination.port,
        protocol,
        destination.tls,
        scene.family,
        destination.traffic,
    )


def is_grpc(rule: Rule) -> bool:
    return rule.origin.kind == "GRPCRoute"


def live(destinations: Iterable[Destination]) -> list[Destination]:
    """Those that get a share."""
    return [item for item in destinations if item.weight > 0]


def targets_of_rule(rule: Rule, scene: Scene) -> Iterator[Target]:
    if rule.filters.redirect is not None:
        return
    filters = (rule.filters, *(item.filters for item in rule.destinations if item.filters))
    mirrors = (mirror.destination for item in filters for mirror in item.mirrors)
    for destination in (*live(rule.destinations), *mirrors):
        if not destination.broken:
            yield target_of(destination, scene, is_grpc(rule))


def targets_of_stream(stream: Stream, scene: Scene) -> Iterator[Target]:
    for destination in live(stream.destinations):
        if not destination.broken:
            yield target_of(destination, scene)


def _digest(tls: UpstreamTls) -> str:
    client = tls.client.name if tls.client else ""
    parts = tls.sni, tls.authorities, tls.system_authorities, tls.names, tls.uris, client
    return f"{digest64(repr(parts).encode()):016x}"
