"""The node's proxies: one for each scope that something asks for, and what moves between them.

Who is given a scope of its own, or loses it, moves from one proxy to another. Both listen for a
while: the old one stops only when the new one has confirmed all, so that no connection is refused.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any

from tulle.compile.proxy import Scoped
from tulle.edges.cgroup import NodeCgroup
from tulle.edges.envoy.access_logs import Take
from tulle.errors import TulleError
from tulle.model.paths import NodePaths
from tulle.model.scopes import Scope, tenant_of
from tulle.model.world import Refusal

from .envoys import DRAIN_S
from .options import ProxyOptions
from .proxy import Proxy, are_same
from .records import write_atomically

log = logging.getLogger("tulle")

Json = dict[str, Any]
Images = Mapping[Scope, Scoped]
STEP_S = 0.5  # between two looks at what has moved and what has ended
NOTHING = Scoped()
# Scopes that one namespace's Gateways and Services may have, of two Envoys each: who may write
# there could have any number else, and take the node down.
MOST = 8


class ProxyScopes:
    """`add` and `remove` are for the pass, on a thread of its own; all else is for the loop's."""

    def __init__(
        self,
        paths: NodePaths,
        cgroups: NodeCgroup,
        options: ProxyOptions,
        take: Take,
        followed: Callable[[], bool],
    ) -> None:
        """`take` gets what Envoys tell of requests and connections; all, while `followed`."""
        self._paths, self._cgroups = paths, cgroups
        self._options, self._take, self._followed = options, take, followed
        self._proxies: dict[Scope, Proxy] = {}
        self._tasks: dict[Scope, asyncio.Task[None]] = {}
        self._inherited: set[Scope] = set()  # of which nobody has said what they should have
        self._failed: dict[Scope, str] = {}  # that could not be opened
        self._images: Images = {}
        self._giving: set[Scope] = set()  # who still has what another one should
        self._draining_until_s: dict[Scope, float] = {}  # who has given something away
        self._changing = asyncio.Lock()
        self._is_adding = False  # more is in use than `_images` say
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Before the first pass: takes over what an earlier agent left. Raises OSError."""
        self._loop = asyncio.get_running_loop()
        self._paths.proxies.mkdir(exist_ok=True)
        for file in sorted(self._paths.proxies.glob("*/scope")):
            scope = file.read_text()
            await self._open(scope)
            self._inherited.add(scope)
        known = {proxy.envoys.cgroup for proxy in self._proxies.values()}
        for cgroup in self._cgroups.children(self._cgroups.root / "proxy"):
            if cgroup not in known:
                await self._remove_cgroup(cgroup)

    async def run(self) -> None:
        """Until cancelled; Envoys go on."""
        try:
            while True:
                await asyncio.sleep(STEP_S)
                async with self._changing:
                    if not self._is_adding:
                        self._give()
                    for scope, task in list(self._tasks.items()):
                        if task.done():
                            task.result()
                        if self._proxies[scope].envoys.is_idle:
                            await self._close(scope)
                    for proxy in self._all():
                        proxy.tell(STEP_S, self._followed())
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def stop(self) -> None:
        """Ends all Envoys."""
        await asyncio.gather(*(proxy.stop() for proxy in self._proxies.values()))

    def add(self, images: Images) -> None:
        """All of `images` beside all that is in use, confirmed if that does not take too long."""
        if self._failed or not self._are_same(images):
            assert self._loop
            asyncio.run_coroutine_threadsafe(self._add(images), self._loop).result()

    def remove(self, images: Images) -> None:
        """All that `images` have not, but for what has moved and is not confirmed yet."""
        if self._is_adding or not self._are_same(images):
            assert self._loop
            self._loop.call_soon_threadsafe(self._remove, images)

    def _are_same(self, images: Images) -> bool:
        return images.keys() == self._images.keys() and all(
            item.memory_bytes == self._images[scope].memory_bytes
            and are_same(item.image, self._images[scope].image)
            for scope, item in images.items()
        )

    # --- on the loop's thread ---

    async def _add(self, images: Images) -> None:
        async with self._changing:
            self._is_adding = True
            self._giving.clear()
            self._failed.clear()
            for scope, item in images.items():
                if scope not in self._proxies and item.image.get("listener"):
                    await self._try_to_open(scope)
            known = {scope for scope, item in images.items() if item.image.get("listener")}
            self._inherited -= known
            await asyncio.gather(
                *(
                    self._proxies[scope].add(item.image, item.memory_bytes)
                    for scope, item in images.items()
                    if scope in self._proxies and scope not in self._inherited
                )
            )

    def _remove(self, images: Images) -> None:
        self._images, self._is_adding = images, False
        for scope, proxy in self._proxies.items():
            if self._receivers(scope):
                self._giving.add(scope)
            else:
                self._settle(scope, proxy)

    def _settle(self, scope: Scope, proxy: Proxy) -> None:
        """Requests on connections that it had before it gave them away are served to the end."""
        image = self._images.get(scope, NOTHING).image
        if scope in self._inherited:
            proxy.envoys.wanted = False  # they go with all that they have
        elif time.monotonic() < self._draining_until_s.get(scope, 0.0):
            proxy.leave(image)
        else:
            self._draining_until_s.pop(scope, None)
            proxy.remove(image)

    def _give(self) -> None:
        """What those have confirmed by now that it goes to."""
        for scope in list(self._giving):
            if all(self._has_taken(to, names) for to, names in self._receivers(scope).items()):
                self._giving.discard(scope)
                self._draining_until_s[scope] = time.monotonic() + DRAIN_S
                self._settle(scope, self._proxies[scope])
        for scope, until_s in list(self._draining_until_s.items()):
            if time.monotonic() >= until_s and scope not in self._giving:
                self._settle(scope, self._proxies[scope])

    def _has_taken(self, scope: Scope, names: Set[str]) -> bool:
        """What is refused stays where its last good version is."""
        proxy = self._proxies.get(scope)
        if proxy is None or not proxy.ads.is_settled:
            return False
        refused = [name.partition(" ")[2] for name in proxy.ads.refused]
        return not any(
            name in names or name.startswith(tuple(f"{one}/" for one in names)) for name in refused
        )

    def _receivers(self, scope: Scope) -> dict[Scope, Set[str]]:
        """Where listeners are to be that are still here."""
        now = self._images.get(scope, NOTHING).image.get("listener", {})
        if scope in self._inherited:
            images = {other: item.image.get("listener", {}) for other, item in self._images.items()}
            return {other: listeners.keys() for other, listeners in images.items() if listeners}
        leaving = self._proxies[scope].image.get("listener", {}).keys() - now.keys()
        if not leaving:
            return {}
        return {
            other: names
            for other, item in self._images.items()
            if other != scope and (names := leaving & item.image.get("listener", {}).keys())
        }

    async def _try_to_open(self, scope: Scope) -> None:
        """What another proxy has of a scope that cannot be opened stays there."""
        tenant = tenant_of(scope)
        if tenant and sum(tenant_of(other) == tenant for other in self._proxies) >= MOST:
            self._failed[scope] = f"namespace {tenant} has {MOST} already, and may have no more"
            return
        try:
            await self._open(scope)
        except OSError as error:
            self._failed[scope] = str(error)

    async def _open(self, scope: Scope) -> None:
        proxy = Proxy(self._paths, scope, self._cgroups, self._options, self._take)
        await proxy.start()
        write_atomically(self._paths.proxy(scope) / "scope", scope.encode())
        self._proxies[scope] = proxy
        self._tasks[scope] = asyncio.create_task(proxy.run())

    async def _close(self, scope: Scope) -> None:
        """Its last trace goes last: what is interrupted, the next agent ends."""
        task, proxy = self._tasks[scope], self._proxies[scope]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._remove_cgroup(proxy.envoys.cgroup)
        await asyncio.to_thread(shutil.rmtree, self._paths.proxy(scope), ignore_errors=True)
        del self._tasks[scope], self._proxies[scope]
        self._draining_until_s.pop(scope, None)
        self._inherited.discard(scope)

    async def _remove_cgroup(self, path: Path) -> None:
        """One that cannot be removed now, the next agent removes; it is in nobody's way."""
        try:
            await asyncio.to_thread(self._cgroups.remove, path)
        except TulleError as error:
            log.error("what is left of Envoys cannot be removed: %s", error)

    # --- what is told ---

    @property
    def problems(self) -> list[str]:
        failed = [f"proxy of {scope}: {text}" for scope, text in list(self._failed.items())]
        return failed + [text for proxy in self._all() for text in proxy.problems]

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Objects that Envoy does not take as they are; what it had of them before holds."""
        return tuple(item for proxy in self._all() for item in proxy.refusals)

    def status(self) -> Json:
        """Of all together, and under `scopes` of each."""
        scopes = {scope: proxy.status() for scope, proxy in sorted(self._proxies.items())}
        resources: Counter[str] = Counter()
        for item in scopes.values():
            resources.update(item["resources"])
        return {
            "envoys": [
                {"scope": scope, **envoy} for scope, of in scopes.items() for envoy in of["envoys"]
            ],
            "restarts": sum(item["restarts"] for item in scopes.values()),
            "resources": dict(resources),
            "refused": {
                name: reason for item in scopes.values() for name, reason in item["refused"].items()
            },
            "scopes": scopes,
        }

    def _all(self) -> list[Proxy]:
        return list(self._proxies.values())
