"""Delta ADS: gives the Envoys of this node their configuration, and learns what they make of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from typing import Any

from grpclib.const import Cardinality, Handler
from grpclib.server import Stream

from tulle import xds
from tulle.model.kubernetes import ObjectRef
from tulle.model.proxy import XdsImage

from .catalogue import Catalogue, Names
from .subscriber import REQUEST, RESPONSE, Subscriber

log = logging.getLogger("tulle")

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
FOLLOW_UP_S = 0.005  # so soon after it confirmed a listener, an Envoy asks for its routes


class Ads:
    """Methods are for the event loop's thread."""

    def __init__(self) -> None:
        self._catalogue = Catalogue()
        self._streams: dict[Subscriber, asyncio.Event] = {}
        self._progress = asyncio.Event()

    @property
    def refusals(self) -> Mapping[ObjectRef, str]:
        """Whose configuration Envoy refuses, and why. What it had before stays in force."""
        found: dict[ObjectRef, str] = {}
        for refused in self._catalogue.refused.values():
            for refusal in list(refused.values()):  # the loop may go on meanwhile
                for origin in refusal.origins:
                    found.setdefault(origin, f"the proxy refuses it: {refusal.reason}")
        return found

    @property
    def refused(self) -> Mapping[str, str]:
        """Resources that Envoy refuses, and why; of those without an origin nobody else tells."""
        return {
            f"{kind} {name}": refusal.reason
            for kind, refused in self._catalogue.refused.items()
            for name, refusal in list(refused.items())
        }

    @property
    def settled_nodes(self) -> frozenset[str]:
        """Ids of the Envoys that have confirmed all that they should have."""
        if not self._catalogue.complete:
            return frozenset()
        return frozenset(each.node for each in list(self._streams) if each.settled)

    @property
    def is_settled(self) -> bool:
        """Whether all that are connected have confirmed all, and there is one at least."""
        return self._are_settled(frozenset())

    def update(self, image: XdsImage) -> None:
        """What every Envoy should have from now on."""
        self._tell(self._catalogue.update(image))

    async def settled(self, timeout_s: float, nodes: Set[str] = frozenset()) -> bool:
        """Whether within `timeout_s` those of `nodes` that are connected have confirmed all.

        If none of them is, all that are. What they refuse counts as confirmed. With nobody
        connected nothing is settled.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    while not self._are_settled(nodes):
                        self._progress.clear()
                        await self._progress.wait()
                    if all(each.has_asked_for_all for each in self._of(nodes)):
                        return True
                    await asyncio.sleep(FOLLOW_UP_S)
                    if self._are_settled(nodes):
                        return True
        return False

    def _are_settled(self, nodes: Set[str]) -> bool:
        subscribers = self._of(nodes)
        return bool(subscribers) and all(each.settled for each in subscribers)

    def _of(self, nodes: Set[str]) -> list[Subscriber]:
        connected = list(self._streams)
        return [each for each in connected if each.node in nodes] or connected

    def handlers(self) -> Iterator[tuple[str, Handler]]:
        """For the gRPC server: path and how it is served."""
        request, response = xds.message(REQUEST), xds.message(RESPONSE)
        yield METHOD, Handler(self._serve, Cardinality.STREAM_STREAM, request, response)

    async def _serve(self, stream: Stream[Any, Any]) -> None:
        """If one of its two tasks fails so does the stream, and the Envoy opens another one."""
        subscriber, news = Subscriber(self._catalogue), asyncio.Event()
        self._streams[subscriber] = news
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send(stream, subscriber, news))
                while (request := await stream.recv_message()) is not None:
                    self._tell(subscriber.receive(request))
                    news.set()
                sending.cancel()
        finally:
            del self._streams[subscriber]
            self._progress.set()

    async def _send(
        self, stream: Stream[Any, Any], subscriber: Subscriber, news: asyncio.Event
    ) -> None:
        while True:
            while (response := subscriber.next()) is not None:
                await stream.send_message(response)
            self._progress.set()
            await news.wait()
            news.clear()

    def _tell(self, names: Names) -> None:
        """Wakes all: each finds out what concerns it."""
        for kind, name in names:
            if refusal := self._catalogue.refused[kind].get(name):
                log.warning("the proxy refuses %s %s: %s", kind, name, refusal.reason)
        for subscriber, news in self._streams.items():
            subscriber.changed(names)
            news.set()
