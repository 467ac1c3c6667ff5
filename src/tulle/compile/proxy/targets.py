"""Where the proxy sends to: each target is a cluster.

A service's port is one target for each way of speaking to it. One of the mesh has a family: the
proxy connects from the client's own address, so the backend's must be of the same family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from tulle.model.routing import AppProtocol, Destination, Filters, Rule, Stream, UpstreamTls
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
class Part:
    """A service's port, with its weight among others; no service: what is sent there is lost."""

    service: Key | None
    port: int
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Target:
    """Of several parts where one cluster has to be all there is to choose from.

    `name` is the cluster's, and says all but `traffic`: comparing it is enough. `endpoints` is the
    name of those, which targets of several ways to speak share.
    """

    parts: tuple[Part, ...] = field(compare=False)
    protocol: AppProtocol = field(compare=False)
    tls: UpstreamTls | None = field(default=None, compare=False)
    family: int = field(default=0, compare=False)
    traffic: BackendTraffic | None = None
    endpoints: str = field(init=False, compare=False)
    name: str = field(init=False)

    def __post_init__(self) -> None:
        udp = "/udp" if self.protocol is AppProtocol.UDP else ""
        family = f"/ipv{self.family}" if self.family else ""
        endpoints = f"{'+'.join(map(self._named, self.parts))}{udp}{family}"
        speaks = {AppProtocol.HTTP2: "/h2", AppProtocol.TCP: "/tcp"}.get(self.protocol, "")
        tls = f"/tls-{_digest(self.tls)}" if self.tls else ""
        object.__setattr__(self, "endpoints", endpoints)
        object.__setattr__(self, "name", f"{endpoints}{speaks}{tls}")

    def _named(self, part: Part) -> str:
        path = f"{'/'.join(part.service)}/{part.port}" if part.service else "nowhere"
        return f"{path}*{part.weight}" if len(self.parts) > 1 else path


@dataclass(frozen=True, slots=True)
class Portion:
    """What one destination gets of a rule's requests; without a target an error answers them."""

    target: Target | None
    weight: int
    filters: Filters | None = None

    @property
    def cluster(self) -> str:
        return self.target.name if self.target else NOWHERE


def portions_of(rule: Rule, scene: Scene) -> list[Portion]:
    """None at all where nothing can be reached.

    A session is bound to a host, which has to be looked for among all destinations. So they are
    one cluster, where they are spoken to alike.
    """
    found = [
        Portion(target_of(item, scene, is_grpc(rule)), item.weight, item.filters)
        for item in live(rule.destinations)
    ]
    whole = [item for item in found if item.target is not None]
    if not whole:
        return []
    if rule.session is None or len(whole) < 2 or any(item.filters for item in found):
        return found
    blend = blended([(item.target, item.weight) for item in whole if item.target])
    if blend is None:
        return found
    lost = [item for item in found if item.target is None]
    return [Portion(blend, sum(item.weight for item in whole)), *lost]


def blended(targets: Sequence[tuple[Target, int]]) -> Target | None:
    """One target with the parts of all by weight, if they are spoken to alike."""
    first = targets[0][0]
    if len(targets) == 1:
        return first
    if any(replace(target, parts=first.parts) != first for target, _ in targets):
        return None
    return replace(
        first,
        parts=tuple(
            replace(part, weight=weight) for target, weight in targets for part in target.parts
        ),
    )


def target_of(destination: Destination, scene: Scene, grpc: bool = False) -> Target | None:
    """None of a broken one. gRPC needs HTTP/2 from end to end; a WebSocket starts as HTTP/1.1."""
    if destination.broken:
        return None
    protocol = destination.protocol
    if grpc:
        protocol = AppProtocol.HTTP2
    elif protocol is AppProtocol.WEBSOCKET:
        protocol = AppProtocol.HTTP1
    part = Part(destination.service, destination.port)
    return Target((part,), protocol, destination.tls, scene.family, destination.traffic)


def cluster_name(destination: Destination, scene: Scene, grpc: bool = False) -> str:
    target = target_of(destination, scene, grpc)
    return target.name if target else NOWHERE


def target_in_own_name(destination: Destination, scene: Scene, grpc: bool = False) -> Target | None:
    """What the proxy asks for itself, in the mesh, too; None: there is nobody to ask."""
    if destination.broken:
        return None
    return target_of(destination, replace(scene, family=0), grpc)


def is_grpc(rule: Rule) -> bool:
    return rule.origin.kind == "GRPCRoute"


def live(destinations: Iterable[Destination]) -> list[Destination]:
    """Those that get a share."""
    return [item for item in destinations if item.weight > 0]


def targets_of_rule(rule: Rule, scene: Scene) -> Iterator[Target]:
    if rule.filters.redirect is not None:
        return
    for portion in portions_of(rule, scene):
        if portion.target is not None:
            yield portion.target
    for mirror in rule.filters.mirrors:
        target = target_of(mirror.destination, scene, is_grpc(rule))
        if target is not None:
            yield target


def targets_of_stream(stream: Stream, scene: Scene) -> Iterator[Target]:
    for destination in live(stream.destinations):
        target = target_of(destination, scene)
        if target is not None:
            yield target


def _digest(tls: UpstreamTls) -> str:
    client = tls.client.name if tls.client else ""
    parts = tls.sni, tls.authorities, tls.system_authorities, tls.names, tls.uris, client
    return f"{digest64(repr(parts).encode()):016x}"
