"""Routing → what the node's proxy should have. Only what changed is made anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
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
    targets: Mapping[Target, int] = field(default_factory=dict)  # how many fronts lead there
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
    fronts = dict(_fronts(routing, old))
    was = [made for name, made in old.fronts.items() if fronts.get(name) is not made]
    now = [made for name, made in fronts.items() if old.fronts.get(name) is not made]
    targets = _counted(old.targets, was, now)
    own = tuple(sources)
    kept = old.clusters if old.sources == own else {}
    wanted = [(target, _is_sticky(target, services)) for target in targets]
    clusters = {key: kept.get(key) or _cluster(*key, own) for key in wanted}
    endpoints = _endpoints(targets, services, old.endpoints)
    whole: dict[XdsKind, Mapping[str, Resource]] = {
        "cluster": {target.name: resource for (target, _), resource in clusters.items()},
        "endpoints": {name: known.resource for name, known in endpoints.items()},
        "secret": _secrets(fronts.values(), targets),
    }
    image: dict[XdsKind, Mapping[str, Resource]] = {
        "listener": _settled(
            old.image.get("listener", {}),
            {name for made in was for name in made.listeners},
            _all(made.listeners for made in now),
        ),
        "route": _settled(
            old.image.get("route", {}),
            {name for made in was for name in made.routes},
            _all(made.routes for made in now),
        ),
    }
    for kind, resources in whole.items():
        known = old.image.get(kind, {})
        image[kind] = _settled(known, known.keys(), resources)
    return Proxied(image, fronts, targets, clusters, endpoints, own)


def _fronts(routing: Routing, old: Proxied) -> Iterator[tuple[str, FrontMade]]:
    for name, front in routing.fronts.items():
        known = old.fronts.get(name)
        if known is not None and known.front is front:
            yield name, known
        elif front.addresses:
            yield name, front_made(front, known)


def _counted(
    old: Mapping[Target, int], was: Iterable[FrontMade], now: Iterable[FrontMade]
) -> dict[Target, int]:
    """How many fronts lead to each target."""
    found = dict(old)
    for made in now:
        for target in made.targets:
            found[target] = found.pop(target, 0) + 1  # the new one: certificates may differ
    for made in was:
        for target in made.targets:
            found[target] -= 1
            if not found[target]:
                del found[target]
    return found


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


def _settled(old: Mapping[K, V], gone: Set[K], new: Mapping[K, V]) -> Mapping[K, V]:
    """`old` without what has gone and with what is new; itself, if nothing is different."""
    changed = {
        key: item
        for key, item in new.items()
        if (known := old.get(key)) is not item and known != item
    }
    left = gone - new.keys()
    if not changed and not left:
        return old
    found = {key: item for key, item in old.items() if key not in left} if left else dict(old)
    found.update(changed)
    return found
