"""A backend that answers with what it got: `echo.py NAME [CERTIFICATE KEY [AUTHORITIES]]`.

8080  HTTP/1.1, WebSocket on /ws; 8443 the same over TLS; 8081 HTTP/2 without TLS;
9090  gRPC, any method; 9000 TCP; 5353 UDP: both answer a line with the name and the line

An answer over HTTP is JSON: name, method, path, host, headers, protocol, and of TLS the server name
and whether the client showed a certificate. Of a path,
/status/N is answered with N; /delay/S after S seconds; /flaky/N/ID fails N times for each ID, with
503, and then is answered; /seen/ID tells how many requests bore `x-id: ID`; /cookie sets one.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

from aiohttp import WSMsgType, web
from grpclib.const import Cardinality, Handler
from grpclib.encoding.base import CodecBase
from grpclib.server import Server, Stream
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded
from h2.exceptions import ProtocolError

NAME = sys.argv[1]
Headers = dict[str, list[str]]
seen: Counter[str] = Counter()
failed: Counter[str] = Counter()


def described(method: str, path: str, host: str, headers: Headers, **more: Any) -> bytes:
    seen.update(headers.get("x-id", ()))
    told = {"name": NAME, "method": method, "path": path, "host": host, "headers": headers}
    return json.dumps(told | more).encode()


# --- HTTP/1.1 and WebSocket ---


async def http1(request: web.Request) -> web.StreamResponse:
    if request.headers.get("upgrade", "").lower() == "websocket":
        return await websocket(request)
    words = request.path.strip("/").split("/")
    status, answer_headers = 200, {}
    match words:
        case ["status", code]:
            status = int(code)
        case ["delay", seconds]:
            await asyncio.sleep(float(seconds))
        case ["flaky", times, name]:
            failed[name] += 1
            status = 503 if failed[name] <= int(times) else 200
        case ["seen", name]:
            return web.json_response({"seen": seen[name]})
        case ["cookie"]:
            answer_headers["set-cookie"] = "own=1"
    await request.read()
    body = described(
        request.method,
        request.path_qs,
        request.headers.get("host", ""),
        headers_of(request),
        protocol=f"HTTP/{request.version.major}.{request.version.minor}",
        **tls_of(request.transport),
    )
    answer_headers |= {"x-backend": NAME, "x-remove": "here", "x-set": "backend"}
    return web.Response(body=body, status=status, headers=answer_headers)


def headers_of(request: web.Request) -> Headers:
    found: Headers = {}
    for name, value in request.headers.items():
        found.setdefault(name.lower(), []).append(value)
    return found


def tls_of(transport: Any) -> dict[str, Any]:
    session = transport and transport.get_extra_info("ssl_object")
    if not session:
        return {}
    return {"sni": getattr(session, "asked", ""), "client": bool(session.getpeercert())}


async def websocket(request: web.Request) -> web.StreamResponse:
    answer = web.WebSocketResponse()
    await answer.prepare(request)
    async for message in answer:
        if message.type is WSMsgType.TEXT:
            await answer.send_str(f"{NAME} {message.data}")
    return answer


# --- HTTP/2 without TLS ---


class Http2(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.state = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.asked: dict[int, list[tuple[str, str]]] = {}
        self.state.initiate_connection()
        transport.write(self.state.data_to_send())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        try:
            for event in self.state.receive_data(data):
                if isinstance(event, RequestReceived):
                    self.asked[event.stream_id] = event.headers
                elif isinstance(event, StreamEnded):
                    self.answer(event.stream_id)
        except ProtocolError:  # HTTP/1.1, say
            self.transport.close()
            return
        self.transport.write(self.state.data_to_send())

    def answer(self, stream: int) -> None:
        pairs = self.asked.pop(stream)
        headers: Headers = {}
        for name, value in pairs:
            headers.setdefault(name, []).append(value)
        pseudo = [headers.pop(name, [""])[0] for name in (":method", ":path", ":authority")]
        headers.pop(":scheme", None)
        body = described(*pseudo, headers, protocol="HTTP/2")
        self.state.send_headers(stream, [(":status", "200"), ("x-backend", NAME)])
        self.state.send_data(stream, body, end_stream=True)


# --- gRPC ---


class Raw(CodecBase):
    """Messages as they are, whatever they mean."""

    __content_subtype__ = "proto"

    def encode(self, message: bytes, message_type: object) -> bytes:
        return message

    def decode(self, data: bytes, message_type: object) -> bytes:
        return data


class AnyMethod(Mapping[str, Handler]):
    """Every method answers with its name, and with the headers that it got."""

    def __getitem__(self, path: str) -> Handler:
        async def serve(stream: Stream[bytes, bytes]) -> None:
            await stream.recv_message()
            metadata = stream.metadata or {}
            headers = {str(name): [str(value)] for name, value in metadata.items()}
            await stream.send_message(described("POST", path, "", headers, protocol="gRPC"))

        return Handler(serve, Cardinality.UNARY_UNARY, bytes, bytes)  # type: ignore[arg-type]

    def get(self, path: str, default: Any = None) -> Handler:
        return self[path]

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 1


class Service:
    def __mapping__(self) -> dict[str, Handler]:
        return {"/": AnyMethod()["/"]}


async def serve_grpc() -> None:
    server = Server([Service()], codec=Raw())
    server._mapping = AnyMethod()  # type: ignore[assignment]
    await server.start(None, 9090)


# --- streams ---


async def tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(f"{NAME} {line.decode()}".encode())
    writer.close()


class Udp(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(f"{NAME} ".encode() + data, addr)


def tls(certificate: str, key: str, authorities: str = "") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def remember(session: Any, name: str | None, _: ssl.SSLContext) -> None:
        session.asked = name or ""

    context.sni_callback = remember
    if authorities:
        context.load_verify_locations(authorities)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


async def main() -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", http1)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    loop = asyncio.get_running_loop()
    await web.TCPSite(runner, "::", 8080, backlog=1024).start()
    await web.TCPSite(runner, "0.0.0.0", 8080, backlog=1024).start()  # noqa: S104
    await loop.create_server(Http2, None, 8081)
    await serve_grpc()
    await asyncio.start_server(tcp, None, 9000)
    await loop.create_datagram_endpoint(Udp, ("::", 5353))
    if sys.argv[2:]:
        context = tls(*sys.argv[2:])
        await web.TCPSite(runner, "::", 8443, ssl_context=context).start()
        await web.TCPSite(runner, "0.0.0.0", 8443, ssl_context=context).start()  # noqa: S104
        await asyncio.start_server(tcp, None, 9443, ssl=context)
    await asyncio.Event().wait()


asyncio.run(main())
