"""The node's proxy in the agent's pass: configured before the kernel sends anything there.

What cannot be started or configured never holds up the kernel's part for longer than WAIT_S; until
Envoy is there, the kernel drops what is meant for it, and says so.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from tulle.edges.cgroup import NodeCgroup
from tulle.edges.envoy.access_logs import AccessLogs, Take
from tulle.edges.envoy.ads import Ads
from tulle.edges.envoy.launch import USER
from tulle.edges.envoy.server import GrpcServer
from tulle.model.paths import NodePaths
from tulle.model.proxy import XdsImage
from tulle.model.world import Refusal

from .envoys import Envoys

Json = dict[str, Any]
WAIT_S = 2.0  # for Envoy to confirm what is added; it takes some milliseconds, or 300 to start
BROKEN_WAIT_S = 0.05  # for one that is not well


class Proxy:
    """`add` and `remove` are for the pass, on a thread of its own; all else is for the loop's."""

    def __init__(self, paths: NodePaths, cgroups: NodeCgroup, workers: int, take: Take) -> None:
        """`take` gets what Envoys tell of requests and connections."""
        self.ads = Ads()
        self.envoys = Envoys(paths, cgroups, workers, lambda: self.ads.settled_nodes)
        self._paths = paths
        logs = AccessLogs(take)
        self._server = GrpcServer(paths.ads, [*self.ads.handlers(), *logs.handlers()], USER)
        self._image: XdsImage = {}
        self._is_late = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Before the first pass. Raises OSError if the socket cannot be made."""
        self._loop = asyncio.get_running_loop()
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

    def add(self, image: XdsImage) -> None:
        """All of `image` beside all that is in use, confirmed if that does not take too long."""
        if not _are_same(image, self._image):
            assert self._loop
            together = merged(self._image, image)
            asyncio.run_coroutine_threadsafe(self._add(together), self._loop).result()

    def remove(self, image: XdsImage) -> None:
        """All that `image` has not; nobody needs to wait for it."""
        if not _are_same(image, self._image):
            assert self._loop
            self._image = image
            self._loop.call_soon_threadsafe(self._remove, image)

    async def _add(self, image: XdsImage) -> None:
        is_needed = bool(image.get("listener"))
        self.envoys.wanted = is_needed
        serving = self.ads.settled_nodes  # one that is just starting is not waited for
        self.ads.update(image)
        if is_needed:
            wait_s = BROKEN_WAIT_S if self.problems else WAIT_S
            self._is_late = not await self.ads.settled(wait_s, serving)

    def _remove(self, image: XdsImage) -> None:
        self.ads.update(image)
        self.envoys.wanted = bool(image.get("listener"))

    @property
    def problems(self) -> list[str]:
        if self.envoys.problem:
            return [f"proxy: {self.envoys.problem}"]
        is_late = self._is_late and self.envoys.wanted and not self.ads.is_settled
        return ["proxy: it has not confirmed its configuration"] if is_late else []

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Objects that Envoy does not take as they are; what it had of them before holds."""
        return tuple(Refusal(ref, reason) for ref, reason in self.ads.refusals.items())

    def status(self) -> Json:
        return {
            "envoys": [asdict(item) for item in self.envoys.status()],
            "restarts": self.envoys.restarts,
            "resources": {kind: len(items) for kind, items in self._image.items()},
            "refused": dict(self.ads.refused),
        }


def _are_same(one: XdsImage, other: XdsImage) -> bool:
    """Whether they have the very same objects of each kind."""
    return all(one.get(kind) is other.get(kind) for kind in one.keys() | other.keys())


def merged(before: XdsImage, after: XdsImage) -> XdsImage:
    """What both have, and where they differ what `after` has."""
    return {
        kind: {**before.get(kind, {}), **after.get(kind, {})}
        for kind in before.keys() | after.keys()
    }
