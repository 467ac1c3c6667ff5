"""An Envoy's admin interface on its unix socket."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from tulle.errors import Unavailable

TIMEOUT = aiohttp.ClientTimeout(total=2.0)


async def ask(socket: Path, path: str) -> str:
    """The answer to a POST of `path`. Raises Unavailable if there is none, or none of 200."""
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(socket)), timeout=TIMEOUT
            ) as session,
            session.post(f"http://envoy{path}") as response,
        ):
            text = await response.text()
            if response.status != 200:
                raise Unavailable(f"the proxy's {path}: {response.status} {text.strip()}")
            return text
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable(f"the proxy's {path}: {error}") from error


async def connections(socket: Path) -> int:
    """Of clients, that it has now. Raises Unavailable."""
    text = await ask(socket, r"/stats?filter=^listener\..*\.worker_\d*\.downstream_cx_active$")
    return sum(int(line.rpartition(" ")[2]) for line in text.splitlines())


async def stop_listening(socket: Path) -> None:
    """From now on it takes no connection, and asks clients to leave those that they have.

    Raises Unavailable.
    """
    await ask(socket, "/drain_listeners?graceful&skip_exit")
    await ask(socket, "/drain_listeners")
