"""Services that say whether a request may go on: over HTTP, and over gRPC."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from grpclib.const import Cardinality, Handler
from grpclib.server import Server, Stream

from tulle import xds

_REQUEST = xds.message("envoy.service.auth.v3.CheckRequest")
_RESPONSE = xds.message("envoy.service.auth.v3.CheckResponse")
_PERMISSION_DENIED = 7  # google.rpc.Code

Proto = Any


class HttpAuthorizer(ThreadingHTTPServer):
    """Lets pass who bears `X-Pass: yes`; `wait` waits so many seconds, `error` is a 500."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.seen: list[dict[str, Any]] = []

    @property
    def port(self) -> int:
        port: int = self.server_address[1]
        return port

    def handle_error(self, request: object, client_address: object) -> None:
        """Who does not wait for an answer is part of the tests."""


class _Asked(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HttpAuthorizer

    def answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0))).decode()
        seen = {"method": self.command, "path": self.path, "headers": headers, "body": body}
        self.server.seen.append(seen)
        asked = headers.get("x-pass", "")
        if asked == "wait":
            time.sleep(2)
        self.send_response({"yes": 200, "error": 500}.get(asked, 403))
        self.send_header("X-Identity", "ada")
        self.send_header("X-Other", "more")
        self.send_header("Host", "bent.example")
        self.send_header("WWW-Authenticate", "Custom")
        self.send_header("Content-Length", "6")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"answer")

    do_GET = do_POST = do_HEAD = answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def http_authorizer() -> Iterator[HttpAuthorizer]:
    made = HttpAuthorizer()
    thread = threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()


class GrpcAuthorizer:
    """As above, as envoy.service.auth.v3.Authorization."""

    def __init__(self) -> None:
        self.seen: list[Proto] = []
        self.port = 0

    def __mapping__(self) -> dict[str, Handler]:
        name = "/envoy.service.auth.v3.Authorization/Check"
        return {name: Handler(self.check, Cardinality.UNARY_UNARY, _REQUEST, _RESPONSE)}

    async def check(self, stream: Stream[Proto, Proto]) -> None:
        request = await stream.recv_message()
        assert request is not None
        self.seen.append(request)
        asked = request.attributes.request.http.headers.get("x-pass")
        if asked == "wait":
            await asyncio.sleep(2)
        identity = [{"header": {"key": "x-identity", "value": "ada"}}]
        if asked == "yes":
            await stream.send_message(_RESPONSE(status={}, ok_response={"headers": identity}))
            return
        denied = {"status": {"code": 403}, "body": "not you", "headers": identity}
        status = {"code": _PERMISSION_DENIED}
        await stream.send_message(_RESPONSE(status=status, denied_response=denied))


@contextmanager
def grpc_authorizer() -> Iterator[GrpcAuthorizer]:
    made, loop, up = GrpcAuthorizer(), asyncio.new_event_loop(), threading.Event()
    over = asyncio.Event()

    async def serve() -> None:
        server = Server([made])
        await server.start("127.0.0.1", 0)
        assert server._server is not None
        made.port = server._server.sockets[0].getsockname()[1]
        up.set()
        await over.wait()
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    up.wait(5)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(5)
        loop.close()
