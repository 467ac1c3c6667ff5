"""A duty that runs for as long as a test tells its story."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from tulle.edges.kubernetes.client import Client


@asynccontextmanager
async def beside(duty: Coroutine[Any, Any, None], client: Client) -> AsyncIterator[None]:
    """The duty must not have ended by itself; the client is closed after it."""
    running = asyncio.create_task(duty)
    try:
        yield
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await client.close()
