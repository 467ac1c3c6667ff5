"""What tests of this package are told with: a server, a client, and waiting for something."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.unit.edges.kubernetes.server import FakeServer
from tulle.edges.kubernetes.client import Client

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
