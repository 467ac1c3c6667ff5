"""The gRPC server on a unix socket that Envoys of this node speak to."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from weakref import WeakSet

from grpclib.const import Handler
from grpclib.protocol import H2Protocol
from grpclib.server import Server


class _Service:
    def __init__(self, handlers: Iterable[tuple[str, Handler]]) -> None:
        self._handlers = dict(handlers)

    def __mapping__(self) -> dict[str, Handler]:
        return self._handlers


class _Server(Server):
    """One that ends connections too: on one that stays, Envoy would open its next stream."""

    def __init__(self, service: _Service) -> None:
        super().__init__([service])
        self._connections: WeakSet[H2Protocol] = WeakSet()

    def _protocol_factory(self) -> H2Protocol:
        protocol = super()._protocol_factory()
        self._connections.add(protocol)
        return protocol

    def close(self) -> None:
        super().close()
        for protocol in self._connections:
            protocol.connection.close()


class GrpcServer:
    """Serves from `start` until `close`. Only `owner` and root may connect; -1 is the caller."""

    def __init__(
        self, path: Path, handlers: Iterable[tuple[str, Handler]], owner: int = -1
    ) -> None:
        self._path, self._service, self._owner = path, _Service(handlers), owner
        self._server: Server | None = None

    async def start(self) -> None:
        """Raises OSError if the socket cannot be made. One that was left behind is replaced."""
        self._server = _Server(self._service)
        before = os.umask(0o177)
        try:
            await self._server.start(path=str(self._path))
            os.chown(self._path, self._owner, self._owner)
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Ends all streams; Envoys go on with what they have."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
