"""Sends requests from where it runs: a list of what to ask in, a line of JSON; the answers out.

What to ask is an object: `via` is http, h2 (without TLS), websocket, grpc, tcp, udp or tls; `to` an
address and `port`; of HTTP `host`, `method`, `path`, `headers`, `body`; with `tls` an object:
`authorities`, `certificate` and `key` (files), `http2`; `sni` in the place of the host; `count`
times. An answer has `status`, `headers`, `body`, or `error`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
from typing import Any

from aiohttp import ClientSession, ClientTimeout, TCPConnector, WSServerHandshakeError
from aiohttp.abc import AbstractResolver
from grpclib.client import Channel, Stream
from grpclib.const import Cardinality
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError
from yarl import URL

Json = dict[str, Any]
TIMEOUT_S = 4.0
AT_ONCE = 20


class To(AbstractResolver):
    """Every name is this address."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[Any]:
        found = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        return [
            {
                "hostname": host,
                "host": self._address,
                "port": port,
                "family": found,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
        ]

    async def close(self) -> None:
        pass


def context_of(tls: Json) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(tls["authorities"])
    if "certificate" in tls:
        context.load_cert_chain(tls["certificate"], tls["key"])
    return context


def session_for(asked: Json) -> ClientSession:
    connector = TCPConnector(
        resolver=To(asked["to"]), force_close=not asked.get("kept"), use_dns_cache=False
    )
    return ClientSession(connector=connector, timeout=ClientTimeout(TIMEOUT_S))


def url_of(asked: Json, scheme: str) -> str:
    secure = "s" if asked.get("tls") else ""
    host = asked.get("sni") or asked.get("host", "none.test").partition(":")[0]
    return f"{scheme}{secure}://{host}:{asked['port']}{asked.get('path', '/')}"


def headers_of(asked: Json) -> list[tuple[str, str]]:
    host = [("Host", asked["host"])] if asked.get("host") else []
    return [*host, *((name, value) for name, value in asked.get("headers", ()))]


async def http(asked: Json, session: ClientSession) -> Json:
    options: Json = {"ssl": context_of(asked["tls"])} if asked.get("tls") else {}
    async with session.request(
        asked.get("method", "GET"),
        URL(url_of(asked, "http"), encoded=True),
        headers=headers_of(asked),
        data=asked.get("body"),
        allow_redirects=False,
        **options,
    ) as answer:
        text = await answer.text()
        headers = [[name.lower(), value] for name, value in answer.headers.items()]
        return {"status": answer.status, "headers": headers, "body": text}


async def websocket(asked: Json, session: ClientSession) -> Json:
    url = url_of(asked, "ws")
    try:
        async with session.ws_connect(url, headers=dict(headers_of(asked))) as socket_:
            await socket_.send_str(asked.get("body", "hello"))
            return {"status": 101, "headers": [], "body": await socket_.receive_str()}
    except WSServerHandshakeError as error:
        return {"status": error.status, "headers": [], "body": ""}


async def h2(asked: Json) -> Json:
    """curl's: aiohttp has no HTTP/2."""
    secure = "s" if asked.get("tls") else ""
    host, port = asked.get("sni") or asked["host"], asked["port"]
    address = f"[{asked['to']}]" if ":" in asked["to"] else asked["to"]
    words = ["curl", "-s", "-i", "-m", str(TIMEOUT_S), "--noproxy", "*"]
    words += ["--connect-to", f"{host}:{port}:{address}:{port}", "-X", asked.get("method", "GET")]
    for name, value in headers_of(asked):
        words += ["-H", f"{name}: {value}"]
    if asked.get("tls"):
        words += ["--http2", "--cacert", asked["tls"]["authorities"]]
    else:
        words += ["--http2-prior-knowledge"]
    words.append(f"http{secure}://{host}:{port}{asked.get('path', '/')}")
    child = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate()
    if child.returncode:
        return {"error": f"curl: {child.returncode}"}
    head, _, body = out.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = [[name.lower(), value] for name, _, value in (x.partition(": ") for x in lines)]
    return {"status": int(first.split()[1]), "headers": headers, "body": body}


class Raw(CodecBase):
    __content_subtype__ = "proto"

    def encode(self, message: bytes, message_type: object) -> bytes:
        return message

    def decode(self, data: bytes, message_type: object) -> bytes:
        return data


async def grpc(asked: Json) -> Json:
    """`path` is /SERVICE/METHOD; `status` is gRPC's."""
    channel = Channel(asked["to"], asked["port"], codec=Raw())
    channel._authority = asked["host"]
    try:
        metadata = dict(asked.get("headers", ()))
        request: Stream[bytes, bytes] = channel.request(
            asked["path"],
            Cardinality.UNARY_UNARY,
            bytes,
            bytes,
            metadata=metadata,
            timeout=TIMEOUT_S,
        )
        async with request as stream:
            await stream.send_message(b"", end=True)
            body = await stream.recv_message()
            headers = [
                [name, str(value)] for name, value in (stream.initial_metadata or {}).items()
            ]
        return {"status": 0, "headers": headers, "body": (body or b"").decode()}
    except GRPCError as error:
        return {"status": error.status.value, "headers": [], "body": error.message or ""}
    finally:
        channel.close()


async def stream(asked: Json) -> Json:
    """A line there and back, over TCP or TLS."""
    options: Json = {}
    if asked.get("tls"):
        options = {"ssl": context_of(asked["tls"]), "server_hostname": asked["sni"]}
    reader, writer = await asyncio.open_connection(asked["to"], asked["port"], **options)
    try:
        writer.write(b"hello\n")
        line = await reader.readline()
    finally:
        writer.close()
    return {"status": 200, "headers": [], "body": line.decode()} if line else {"error": "closed"}


class Datagram(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.came: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self.came.done():
            self.came.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self.came.done():
            self.came.set_exception(error)


async def udp(asked: Json) -> Json:
    loop = asyncio.get_running_loop()
    transport, datagram = await loop.create_datagram_endpoint(
        Datagram, remote_addr=(asked["to"], asked["port"])
    )
    try:
        transport.sendto(b"hello\n")
        return {"status": 200, "headers": [], "body": (await datagram.came).decode()}
    finally:
        transport.close()


async def attempt(asked: Json, session: ClientSession, turn: asyncio.Semaphore) -> Json:
    async with turn:
        try:
            async with asyncio.timeout(TIMEOUT_S + 1):
                match asked["via"]:
                    case "http":
                        return await http(asked, session)
                    case "websocket":
                        return await websocket(asked, session)
                    case "h2":
                        return await h2(asked)
                    case "grpc":
                        return await grpc(asked)
                    case "udp":
                        return await udp(asked)
                    case _:
                        return await stream(asked)
        except Exception as error:  # the other end may do anything
            return {"error": f"{type(error).__name__}: {error}"}


async def several(asked: Json) -> list[Json]:
    turn = asyncio.Semaphore(1 if asked.get("kept") else AT_ONCE)
    async with session_for(asked) as session:
        tries = (attempt(asked, session, turn) for _ in range(asked.get("count", 1)))
        return await asyncio.gather(*tries)


async def main() -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        answers = await asyncio.gather(*map(several, json.loads(line)))
        print(json.dumps(answers), flush=True)


asyncio.run(main())
