"""One Envoy on its delta ADS stream: what it asked for, has, and should be sent next. Pure.

Of each kind one response at most is without its answer. Listeners and routes are not sent before
all clusters were confirmed, which Envoy does when they have their endpoints, and nothing is removed
before all additions were: so no route ever names a cluster that is not there (Envoy's "xDS
protocol", make before break).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tulle import xds
from tulle.model.proxy import XdsKind

from .catalogue import GROUPS, KINDS, ORDER, TYPES, Catalogue, Item, Names

REQUEST = "envoy.service.discovery.v3.DeltaDiscoveryRequest"
RESPONSE = "envoy.service.discovery.v3.DeltaDiscoveryResponse"
WILDCARD = "*"
NOTHING = ""  # version of what the client was told does not exist


@dataclass(slots=True)
class Sent:
    """A response without its answer yet."""

    nonce: str
    items: dict[str, Item]
    removed: tuple[str, ...]


@dataclass(slots=True)
class Kind:
    """Of one kind, what the client has."""

    asked: bool = False  # at all
    wildcard: bool = False
    names: set[str] = field(default_factory=set)  # subscribed one by one
    known: dict[str, str] = field(default_factory=dict)  # name → version
    dirty: set[str] = field(default_factory=set)  # may differ from what is served
    forced: set[str] = field(default_factory=set)  # to be sent again although it is the same
    unanswered: bool = False  # it waits for a first answer, be there nothing to send
    apart: deque[set[str]] = field(default_factory=deque)  # after a refusal: find the culprit
    sent: Sent | None = None

    def concerns(self, name: str) -> bool:
        return self.asked and (self.wildcard or name in self.names)


class Subscriber:
    """`receive` a request, then send `next()` until there is none. `changed` tells of news."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.node = ""  # id of the Envoy, once it has said it
        self._catalogue = catalogue
        self._kinds = {kind: Kind() for kind in ORDER}
        self._nonces = count(1)

    @property
    def settled(self) -> bool:
        """Whether it has confirmed all that it asked for. To be asked after `next` gave None."""
        kinds = self._kinds.values()
        asked = self._kinds["cluster"].asked and self._kinds["listener"].asked
        return asked and not any(kind.sent or kind.dirty for kind in kinds)

    @property
    def has_asked_for_all(self) -> bool:
        """Else it may be about to: a listener that it has just confirmed needs its routes."""
        return all(
            state.wildcard or self._catalogue.names(kind) <= state.names
            for kind, state in self._kinds.items()
        )

    def changed(self, names: Names) -> None:
        for kind, name in names:
            if self._kinds[kind].concerns(name):
                self._kinds[kind].dirty.add(name)

    def receive(self, request: Any) -> Names:
        """Returns what is to be told to all subscribers, as something was refused or forgiven.

        Types that are not served are never answered, as Envoy's protocol has it.
        """
        self.node = request.node.id or self.node
        kind = KINDS.get(request.type_url)
        if kind is None:
            return []
        self._subscribe(kind, request)
        return self._answered(kind, request) if request.response_nonce else []

    def next(self) -> Any | None:
        """The response that is due, or None until something changes."""
        if not self._catalogue.complete:
            return None
        for group in GROUPS:
            for kind in group:
                if (response := self._addition(kind)) is not None:
                    return response
            if any(self._kinds[kind].sent for kind in group):
                return None
        for kind in reversed(ORDER):
            if (response := self._removal(kind)) is not None:
                return response
            if self._kinds[kind].sent:
                return None
        return None

    # --- what the client says ---

    def _subscribe(self, kind: XdsKind, request: Any) -> None:
        state, names = self._kinds[kind], set(request.resource_names_subscribe)
        first, state.asked = not state.asked, True
        if first:
            state.known.update(request.initial_resource_versions)
            state.dirty.update(state.known)
        if WILDCARD in names or (first and not names):
            state.wildcard = True
            state.unanswered = not state.known
            state.dirty.update(self._catalogue.names(kind))
        names.discard(WILDCARD)
        state.names |= names
        state.dirty |= names
        # what a client asks for a second time it wants to be told again, be it the same
        state.forced |= set() if first else {name for name in names if name in state.known}
        self._unsubscribe(state, set(request.resource_names_unsubscribe))

    def _unsubscribe(self, state: Kind, names: set[str]) -> None:
        state.wildcard = state.wildcard and WILDCARD not in names
        for name in names:
            state.names.discard(name)
            if not state.wildcard:
                state.known.pop(name, None)
                state.dirty.discard(name)

    def _answered(self, kind: XdsKind, request: Any) -> Names:
        state = self._kinds[kind]
        sent = state.sent
        if sent is None or sent.nonce != request.response_nonce:
            return []
        state.sent = None
        if request.HasField("error_detail") and sent.items:
            return self._refused(kind, sent, request.error_detail.message)
        return self._accepted(kind, sent)

    def _accepted(self, kind: XdsKind, sent: Sent) -> Names:
        state = self._kinds[kind]
        for name, item in sent.items.items():
            state.known[name] = item.version
            self._catalogue.accept(kind, name, item.version)
        for name in sent.removed:
            state.known.pop(name, None)
            if name in state.names:
                state.known[name] = NOTHING
        return self._catalogue.forgive(kind) if sent.removed else []

    def _refused(self, kind: XdsKind, sent: Sent, reason: str) -> Names:
        """Of several, those that Envoy names are tried alone, the rest together, or by halves."""
        names = sorted(sent.items)
        if len(names) == 1:
            news = self._catalogue.refuse(kind, names[0], sent.items[names[0]].version, reason)
            return [(kind, names[0])] if news else []
        named = [name for name in names if name in reason]
        rest = [name for name in names if name not in named]
        if named and len(named) < len(names):
            parts = [rest, *([name] for name in named)]
        else:
            parts = [names[: len(names) // 2], names[len(names) // 2 :]]
        self._kinds[kind].apart.extendleft(set(part) for part in reversed(parts))
        return []

    # --- what it is sent ---

    def _addition(self, kind: XdsKind) -> Any | None:
        state = self._kinds[kind]
        if state.sent or not state.asked:
            return None
        while state.apart:
            if response := self._send(kind, self._due(kind, state.apart.popleft())):
                return response
        due, missing = self._due(kind, state.dirty), self._missing(kind)
        return self._send(kind, due, missing, even_if_empty=state.unanswered)

    def _due(self, kind: XdsKind, names: Iterable[str]) -> dict[str, Item]:
        """Those of `names` that the client lacks; what it has already is no longer dirty."""
        state, due = self._kinds[kind], {}
        for name in list(names):
            item = self._catalogue.served(kind, name) if state.concerns(name) else None
            if item is None:
                continue
            if state.known.get(name) != item.version or name in state.forced:
                due[name] = item
            state.dirty.discard(name)
            state.forced.discard(name)
        return due

    def _missing(self, kind: XdsKind) -> tuple[str, ...]:
        """What was asked for and is not there: clusters and listeners would wait for it."""
        state = self._kinds[kind]
        missing = {
            name
            for name in state.dirty & state.names - self._catalogue.names(kind)
            if name not in state.known or name in state.forced
        }
        state.dirty -= missing
        state.forced -= missing
        return tuple(sorted(missing))

    def _removal(self, kind: XdsKind) -> Any | None:
        state = self._kinds[kind]
        if state.sent or not state.asked:
            return None
        gone = [
            name
            for name in state.dirty - self._catalogue.names(kind)
            if state.known.get(name, NOTHING) != NOTHING
        ]
        state.dirty.clear()
        state.forced.clear()
        return self._send(kind, {}, tuple(sorted(gone)))

    def _send(
        self,
        kind: XdsKind,
        items: dict[str, Item],
        removed: tuple[str, ...] = (),
        *,
        even_if_empty: bool = False,
    ) -> Any | None:
        if not (items or removed or even_if_empty):
            return None
        sent = Sent(str(next(self._nonces)), items, removed)
        self._kinds[kind].sent, self._kinds[kind].unanswered = sent, False
        if kind == "cluster":
            self._renew_endpoints(items.values())
        type_url = xds.TYPE_URL + TYPES[kind]
        return xds.message(RESPONSE)(
            type_url=type_url,
            nonce=sent.nonce,
            removed_resources=removed,
            resources=[
                {
                    "name": name,
                    "version": item.version,
                    "resource": {"type_url": type_url, "value": item.body},
                }
                for name, item in items.items()
            ],
        )

    def _renew_endpoints(self, clusters: Iterable[Item]) -> None:
        """A changed cluster warms up until it is told its endpoints, be they what they were."""
        endpoints = self._kinds["endpoints"]
        again = {cluster.endpoints for cluster in clusters} & endpoints.names
        endpoints.forced |= again
        endpoints.dirty |= again
