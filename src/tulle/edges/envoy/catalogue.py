"""What Envoy should have, with what it refused. Pure; one for all Envoys of the node."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from google.protobuf.message import DecodeError

from tulle import xds
from tulle.errors import printable
from tulle.model.kubernetes import ObjectRef
from tulle.model.proxy import Resource, XdsImage, XdsKind

from .listeners import LISTENER, shared

# Referents first: in this order things are added, and removed in the reverse.
TYPES: Mapping[XdsKind, str] = {
    "runtime": "envoy.service.runtime.v3.Runtime",
    "cluster": "envoy.config.cluster.v3.Cluster",
    "endpoints": "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "secret": "envoy.extensions.transport_sockets.tls.v3.Secret",
    "extension": "envoy.config.core.v3.TypedExtensionConfig",
    "listener": LISTENER,
    "route": "envoy.config.route.v3.RouteConfiguration",
}
ORDER: tuple[XdsKind, ...] = tuple(TYPES)
_QUOTED = ": Proto constraint validation failed ("  # after the whole message
_LEADING = re.compile(
    r"^Error adding/updating (cluster|listener)\(s\) \S+: (error adding listener named '\S+': )?"
)

GROUPS = (ORDER[:5], ORDER[5:])  # the second is for when the first is in force
KINDS: Mapping[str, XdsKind] = {xds.TYPE_URL + name: kind for kind, name in TYPES.items()}


@dataclass(frozen=True, slots=True)
class Item:
    """A resource as it is sent. `endpoints` names those that a cluster waits for, "" none."""

    body: bytes
    version: str  # follows from the content
    origins: tuple[ObjectRef, ...]
    endpoints: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    version: str
    reason: str
    origins: tuple[ObjectRef, ...]


Names = list[tuple[XdsKind, str]]


class Catalogue:
    """`complete` once an image was given: until then nobody may conclude that anything is gone."""

    def __init__(self) -> None:
        self.complete = False
        self.refused: dict[XdsKind, dict[str, Refusal]] = {kind: {} for kind in ORDER}
        self._image: XdsImage = {}
        self._wanted: dict[XdsKind, dict[str, Item]] = {kind: {} for kind in ORDER}
        self._good: dict[XdsKind, dict[str, Item]] = {kind: {} for kind in ORDER}

    def update(self, image: XdsImage) -> Names:
        """Take the image; what has changed. A resource that is the same object costs a compare."""
        self.complete = True
        before, self._image = self._image, image
        changed: list[tuple[XdsKind, str]] = []
        for kind in ORDER:
            old, new = before.get(kind, {}), image.get(kind, {})
            names = {name for name in new if old.get(name) is not new[name]}
            changed += ((kind, name) for name in names if self._put(kind, name, new[name]))
            for name in old.keys() - new.keys():
                del self._wanted[kind][name]
                self._good[kind].pop(name, None)  # not for another one of that name
                self.refused[kind].pop(name, None)
                changed.append((kind, name))
        return changed

    def _put(self, kind: XdsKind, name: str, resource: Resource) -> bool:
        """Whether Envoy would see a change."""
        before, item = self._wanted[kind].get(name), _item(kind, name, resource)
        self._wanted[kind][name] = item
        if before and before.version == item.version:
            return False
        self.refused[kind].pop(name, None)
        return True

    def served(self, kind: XdsKind, name: str) -> Item | None:
        """What Envoy gets: what is wanted or, if that was refused, what was good before."""
        item = self._wanted[kind].get(name)
        refusal = self.refused[kind].get(name)
        if item and refusal and refusal.version == item.version:
            return self._good[kind].get(name)
        return item

    def names(self, kind: XdsKind) -> Set[str]:
        return self._wanted[kind].keys()

    def accept(self, kind: XdsKind, name: str, version: str) -> None:
        """An Envoy has it in force."""
        item = self._wanted[kind].get(name)
        if item and item.version == version:
            self._good[kind][name] = item
            self.refused[kind].pop(name, None)

    def refuse(self, kind: XdsKind, name: str, version: str, reason: str) -> bool:
        """Whether that is news."""
        item = self._wanted[kind].get(name)
        if item is None or item.version != version or name in self.refused[kind]:
            return False
        self.refused[kind][name] = Refusal(version, printable(readable(reason)), item.origins)
        return True

    def forgive(self, kind: XdsKind) -> Names:
        """Refusals whose cause may be gone with what was removed; they are to be tried again."""
        names, self.refused[kind] = list(self.refused[kind]), {}
        return [(kind, name) for name in names]


def readable(reason: str) -> str:
    """Envoy's words without the message that it quotes, in which a key may stand.

    >>> readable("Error adding/updating listener(s) a: error adding listener named 'a': no filter")
    'no filter'
    """
    _, found, validation = reason.rpartition(_QUOTED)
    text = validation.removesuffix(")") if found else _LEADING.sub("", reason)
    return " ".join(text.split())


def _item(kind: XdsKind, name: str, resource: Resource) -> Item:
    body = shared(resource.body) if kind == "listener" else resource.body
    version = blake2b(body, digest_size=8).hexdigest()
    endpoints = _endpoints_of(body, name) if kind == "cluster" else ""
    return Item(body, version, resource.origins, endpoints)


def _endpoints_of(body: bytes, name: str) -> str:
    """What cannot be parsed has none: Envoy says why it refuses it."""
    try:
        cluster: Any = xds.message(TYPES["cluster"]).FromString(body)
    except DecodeError:
        return ""
    return (cluster.eds_cluster_config.service_name or name) if cluster.type == cluster.EDS else ""
