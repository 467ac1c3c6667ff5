"""The proxy of one scope in the agent's pass: configured before the kernel sends anything there.

What cannot be started or configured never holds up the kernel's part for longer than WAIT_S; until
Envoy is there, the kernel drops what is meant for it, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from tulle.compile.proxy.logs import told
from tulle.edges.cgroup import NodeCgroup
from tulle.edges.envoy.access import Entry
from tulle.edges.envoy.access_logs import AccessLogs, Take
from tulle.edges.envoy.ads import Ads
from tulle.edges.envoy.launch import USER
from tulle.edges.envoy.server import GrpcServer
from tulle.model.paths import NodePaths
from tulle.model.proxy import TOLD_LAYER, XdsImage
from tulle.model.scopes import MEMORY, NODE, Scope
from tulle.model.world import Refusal

from .envoys import Envoys
from .options import ProxyOptions
from .telling import Telling

Json = dict[str, Any]
WAIT_S = 2.0  # for Envoy to confirm what is added; it takes some milliseconds, or 300 to start
BROKEN_WAIT_S = 0.05  # for one that is not well
UNLIMITED = f"{MEMORY} does not hold: the node's cgroup has no memory controller"


class Proxy:
    """Methods are for the event loop's thread."""

    def __init__(
        self, paths: NodePaths, scope: Scope, cgroups: NodeCgroup, options: ProxyOptions, take: Take
    ) -> None:
        """`take` gets what Envoys tell of requests and connections."""
        self.ads = Ads()
        self.envoys = Envoys(paths, scope, cgroups, options, lambda: self.ads.settled_nodes)
        self.image: XdsImage = {}  # what they should have, and what may be in use still
        self._take, self._told, self._telling = take, 0, Telling()
        logs = AccessLogs(self._count)
        handlers = [*self.ads.handlers(), *logs.handlers()]
        self._server = GrpcServer(paths.ads(scope), handlers, USER)
        self._name = "proxy" if scope == NODE else f"proxy of {scope}"
        self._is_late = False

    async def start(self) -> None:
        """Before the first image. Raises OSError if the socket cannot be made."""
        self.envoys.make_place()
        await self._server.start()

    async def run(self) -> None:
        """Until cancelled; Envoys go on."""
        try:
            await self.envoys.run()
        finally:
            await self._server.close()

    async def stop(self) -> None:
        """Ends all Envoys."""
        await self.envoys.stop()

    async def add(self, image: XdsImage, memory_bytes: int = 0) -> None:
        """All of `image` beside all that is in use, confirmed if that does not take too long.

        It is in use from now on, whatever becomes of the pass, until `remove` says what is not.
        """
        self.envoys.memory_bytes = memory_bytes
        if are_same(image, self.image):
            return
        self.image = merged(self.image, image)
        is_needed = bool(self.image.get("listener"))
        self.envoys.wanted = is_needed
        serving = self.ads.settled_nodes  # one that is just starting is not waited for
        self._serve()
        if is_needed:
            wait_s = BROKEN_WAIT_S if self.problems else WAIT_S
            self._is_late = not await self.ads.settled(wait_s, serving)

    def remove(self, image: XdsImage) -> None:
        """All that `image` has not; nobody needs to wait for it."""
        self.image = image
        self._serve()
        self.envoys.wanted = bool(image.get("listener"))

    def leave(self, image: XdsImage) -> None:
        """As `remove`, but all stays that connections need which a listener had before."""
        kept = merged(self.image, image)
        self.remove({**kept, "listener": image.get("listener", {})})

    def tell(self, seconds: float, followed: bool) -> None:
        """To be called every `seconds`: how many requests its Envoys tell of from now on.

        Never before there is an image: Envoys of an earlier agent would take it for all there is.
        """
        before, told_now, self._told = self._telling.one_in, self._told, 0
        self._telling.observe(told_now, seconds, followed)
        if self.image and self._telling.one_in != before:
            self._serve()

    def _serve(self) -> None:
        part = told(self._telling.one_in)
        self.ads.update({**self.image, "runtime": {TOLD_LAYER: part}})

    async def _count(self, entries: Iterable[Entry]) -> None:
        entries = list(entries)
        self._told += sum(entry.went_well for entry in entries)
        await self._take(entries)

    @property
    def problems(self) -> list[str]:
        found = [self.envoys.problem] if self.envoys.problem else []
        if not found and self._is_late and self.envoys.wanted and not self.ads.is_settled:
            found.append("it has not confirmed its configuration")
        if self.envoys.memory_bytes and not self.envoys.is_limited:
            found.append(UNLIMITED)
        return [f"{self._name}: {text}" for text in found]

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Objects that Envoy does not take as they are; what it had of them before holds."""
        return tuple(Refusal(ref, reason) for ref, reason in self.ads.refusals.items())

    def status(self) -> Json:
        return {
            "envoys": [asdict(item) for item in self.envoys.status()],
            "restarts": self.envoys.restarts,
            "resources": {kind: len(items) for kind, items in self.image.items()},
            "refused": dict(self.ads.refused),
            "requests_told_one_in": self._telling.one_in,
            "memory_limit_bytes": self.envoys.limit_bytes,
            "cgroup": str(self.envoys.cgroup),
        }


def are_same(one: XdsImage, other: XdsImage) -> bool:
    """Whether they have the very same objects of each kind."""
    return all(one.get(kind) is other.get(kind) for kind in one.keys() | other.keys())


def merged(before: XdsImage, after: XdsImage) -> XdsImage:
    """What both have, and where they differ what `after` has."""
    return {
        kind: {**before.get(kind, {}), **after.get(kind, {})}
        for kind in before.keys() | after.keys()
    }
