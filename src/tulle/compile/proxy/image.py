"""Routing → what the node's proxy should have. Only what changed is made anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from tulle.model.kubernetes import ObjectRef
from tulle.model.proxy import Resource, XdsImage, XdsKind
from tulle.model.routing import AppProtocol, Routing
from tulle.model.world import IPAddress

from ..services import Entry, ServiceParts, backends_of, entry_of
from .clusters import cluster_of
from .endpoints import endpoints_of
from .fronts import FrontMade, front_made
from .targets import Target
from .tls import secrets_of

K = TypeVar("K")
V = TypeVar("V")


class Known(NamedTuple):
    """Endpoints, and the services' entries of which they were made; None: not of those alone."""

    entries: tuple[Entry, ...] | None
    resource: Resource


@dataclass(frozen=True, slots=True)
class Proxied:
    """The image. A mapping in which nothing has changed is the same object as before."""

    image: XdsImage = field(default_factory=dict)
    fronts: Mapping[str, FrontMade] = field(default_factory=dict)
    clusters: Mapping[tuple[Target, bool], Resource] = field(default_factory=dict)
    endpoints: Mapping[str, Known] = field(default_factory=dict)
    sources: tuple[IPAddress, ...] = ()


def proxy_image(
    routing: Routing,
    services: ServiceParts,
    sources: Sequence[IPAddress] = (),
    before: Proxied | None = None,
) -> Proxied:
    """`sources` are the addresses that the proxy connects from in its own name.

    `before` only saves work. Fronts without an address are none yet.
    """
    old = before or Proxied()
    fronts = {
        name: front_made(front, old.fronts.get(name))
        for name, front in routing.fronts.items()
        if front.addresses
    }
    targets = dict.fromkeys(target for made in fronts.values() for target in made.targets)
    own = tuple(sources)
    kept = old.clusters if old.sources == own else {}
    wanted = [(target, _is_sticky(target, services)) for target in targets]
    clusters = {key: kept.get(key) or _cluster(*key, own) for key in wanted}
    endpoints = _endpoints(targets, services, old.endpoints)
    image: dict[XdsKind, Mapping[str, Resource]] = {
        "cluster": {target.name: resource for (target, _), resource in clusters.items()},
        "endpoints": {name: known.resource for name, known in endpoints.items()},
        "secret": _secrets(fronts.values(), targets),
        "listener": _all(made.listeners for made in fronts.values()),
        "route": _all(made.routes for made in fronts.values()),
    }
    same = {kind: _settled(old.image.get(kind, {}), now) for kind, now in image.items()}
    return Proxied(same, fronts, clusters, endpoints, own)


def _cluster(target: Target, sticky: bool, sources: Sequence[IPAddress]) -> Resource:
    return Resource(cluster_of(target, sources, sticky), _services(target))


def _is_sticky(target: Target, services: ServiceParts) -> bool:
    """As their Services have it, unless a traffic policy says otherwise (`use_of`)."""
    known = services.inputs.services
    found = [known.get(part.service) for part in target.parts if part.service]
    return all(item is not None and item.spec.session_affinity == "ClientIP" for item in found)


def _services(target: Target) -> tuple[ObjectRef, ...]:
    return tuple(ObjectRef("Service", *part.service) for part in target.parts if part.service)


def _endpoints(
    targets: Iterable[Target], services: ServiceParts, old: Mapping[str, Known]
) -> dict[str, Known]:
    found: dict[str, Known] = {}
    for target in targets:
        name = target.endpoints
        if name in found:
            continue
        entries, known = _entries(target, services), old.get(name)
        if known is None or entries is None or known.entries != entries:
            known = Known(entries, _made(name, target, services))
        found[name] = known
    return found


def _entries(target: Target, services: ServiceParts) -> tuple[Entry, ...] | None:
    """Of a headless service, which has no frontends, the entry does not tell its backends."""
    found = [entry_of(services, part.service) for part in target.parts if part.service]
    entries = tuple(entry for entry in found if entry is not None and entry.frontends)
    return entries if len(entries) == len(found) else None


def _made(name: str, target: Target, services: ServiceParts) -> Resource:
    protocol = "UDP" if target.protocol is AppProtocol.UDP else "TCP"
    backing = [
        (part, backends_of(services, part.service, part.port, protocol, target.family))
        if part.service
        else (part, ())
        for part in target.parts
    ]
    return Resource(endpoints_of(name, backing, protocol), _services(target))


def _secrets(fronts: Iterable[FrontMade], targets: Iterable[Target]) -> dict[str, Resource]:
    secrets = {
        name: Resource(body, (made.front.origin,))
        for made in fronts
        for name, body in made.secrets.items()
    }
    for target in targets:
        if target.tls is not None:
            for name, body in secrets_of(target.tls):
                secrets.setdefault(name, Resource(body, _services(target)))
    return secrets


def _all(parts: Iterable[Mapping[str, Resource]]) -> dict[str, Resource]:
    found: dict[str, Resource] = {}
    for part in parts:
        found.update(part)
    return found


def _settled(old: Mapping[K, V], new: Mapping[K, V]) -> Mapping[K, V]:
    """With the values of before where they are equal; all of it, if nothing is different."""
    same = {key: old[key] if old.get(key) == item else item for key, item in new.items()}
    if len(same) == len(old) and all(old.get(key) is item for key, item in same.items()):
        return old
    return same
