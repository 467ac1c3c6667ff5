"""What tests of this package are told with: a server, a client, and waiting for something."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Set

from tests.unit.edges.kubernetes.server import FakeServer
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.condition import Condition
from tulle.edges.kubernetes.wire import Item, Key

Json = dict[str, object]


def play(story: Callable[[FakeServer, Client], Awaitable[None]], minor: int = 20) -> None:
    async def main() -> None:
        async with FakeServer(minor=minor) as server:
            client = Client(server.access, timeout_s=5)
            try:
                async with asyncio.timeout(20):
                    await story(server, client)
            finally:
                await client.close()

    asyncio.run(main())


async def until(holds: Callable[[], object]) -> None:
    """Waits; the story's own limit ends it."""
    while not holds():  # noqa: ASYNC110 - of what another party does, not a task of ours
        await asyncio.sleep(0.005)


def config_map(name: str, value: str = "", namespace: str = "n", **labels: str) -> Json:
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"value": value}}


class Mirror:
    """A sink that keeps values of ConfigMaps, and how often it was told what."""

    def __init__(self) -> None:
        self.held: dict[Key, str] = {}
        self.versions: dict[Key, str] = {}
        self.lists = self.puts = self.drops = 0
        self.conditions: list[Condition] = []

    def keep(self, keys: Set[Key]) -> None:
        self.held = {key: value for key, value in self.held.items() if key in keys}
        self.versions = {key: version for key, version in self.versions.items() if key in keys}
        self.lists += 1

    def put(self, item: Item) -> None:
        self.held[item.key] = value_of(item.raw)
        self.versions[item.key] = item.version
        self.puts += 1

    def drop(self, key: Key, version: str) -> None:
        self.held.pop(key, None)
        self.versions.pop(key, None)
        self.drops += 1

    def state(self, now: Condition) -> None:
        self.conditions.append(now)

    @property
    def phase(self) -> str:
        return self.conditions[-1].phase if self.conditions else ""


def value_of(raw: bytes) -> str:
    value: str = json.loads(raw)["data"]["value"]
    return value
