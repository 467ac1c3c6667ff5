"""The access log service: takes what Envoys tell of requests.

Envoy never waits for it. What it cannot send for a while it keeps in a buffer of bounded size, and
then drops; who is slow here is slow to read, and that is all that Envoy sees of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from grpclib.const import Cardinality, Handler
from grpclib.server import Stream

from tulle import xds

from .access import Entry, packed

Take = Callable[[Iterable[Entry]], Awaitable[None]]
METHOD = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
MESSAGE = "envoy.service.accesslog.v3.StreamAccessLogsMessage"
RESPONSE = "envoy.service.accesslog.v3.StreamAccessLogsResponse"


class AccessLogs:
    """`take` is given the entries as they come, some at a time."""

    def __init__(self, take: Take) -> None:
        self._take = take

    def handlers(self) -> Iterator[tuple[str, Handler]]:
        """For the gRPC server: path and how it is served."""
        message, response = xds.message(MESSAGE), xds.message(RESPONSE)
        yield METHOD, Handler(self._serve, Cardinality.STREAM_UNARY, message, response)

    async def _serve(self, stream: Stream[Any, Any]) -> None:
        async for message in stream:
            await self._take(entries(message))
        await stream.send_message(xds.message(RESPONSE)())


def entries(message: Any) -> list[Entry]:
    """Of what has ended; what Envoy tells of meanwhile is left out."""
    requests, connections = message.http_logs.log_entry, message.tcp_logs.log_entry
    return [
        *(packed("HTTP", item) for item in requests if _has_ended(item)),
        *(packed("TCP", item) for item in connections if _has_ended(item)),
    ]


def _has_ended(entry: Any) -> bool:
    return not entry.common_properties.intermediate_log_entry
