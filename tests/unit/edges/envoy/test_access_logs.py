"""The access log service over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grpclib.client import Channel, StreamUnaryMethod

from tulle import xds
from tulle.edges.envoy.access import Entry
from tulle.edges.envoy.access_logs import MESSAGE, METHOD, RESPONSE, AccessLogs
from tulle.edges.envoy.server import GrpcServer


def test_entries_are_handed_on_as_they_come(tmp_path: Path) -> None:
    told: list[Entry] = []

    async def take(entries: Iterable[Entry]) -> None:
        told.extend(entries)

    def logs(*paths: str) -> Any:
        entries = [{"request": {"path": path}} for path in paths]
        entries.append({"common_properties": {"intermediate_log_entry": True}})
        return xds.message(MESSAGE)(http_logs={"log_entry": entries})

    async def main() -> None:
        server = GrpcServer(tmp_path / "ads.sock", AccessLogs(take).handlers())
        await server.start()
        channel, types = Channel(path=str(tmp_path / "ads.sock")), (MESSAGE, RESPONSE)
        method = StreamUnaryMethod[Any, Any](channel, METHOD, *map(xds.message, types))
        async with method.open() as stream:
            await stream.send_message(logs("/a", "/b"))
            await stream.send_message(logs("/c"))
            await stream.end()
            assert await stream.recv_message() is not None
        channel.close()
        await server.close()

    asyncio.run(main())
    assert [entry.access().request.path for entry in told] == ["/a", "/b", "/c"]
