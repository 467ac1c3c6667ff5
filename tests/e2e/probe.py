"""A workload that answers on every port of PORTS, TCP and UDP; or, with `ask`, one that asks.

`ask` reads a line of JSON, a list of [protocol, host, port], tries all of them at once, and answers
with a line of JSON: for each whether somebody answered within TIMEOUT_S.
"""

from __future__ import annotations

import asyncio
import json
import sys

PORTS = (5353, 8080, 8081, 8082, 8083, 8084)
TIMEOUT_S = 0.4


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)  # type: ignore[attr-defined]


class Answer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.came = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self.came.done():
            self.came.set_result(data)


async def serve() -> None:
    loop = asyncio.get_running_loop()
    for port in PORTS:
        await asyncio.start_server(lambda _, writer: writer.close(), None, port)  # both families
        await loop.create_datagram_endpoint(Echo, ("::", port))
    print("ready", flush=True)
    await asyncio.Event().wait()


async def tcp(host: str, port: int) -> None:
    _, writer = await asyncio.open_connection(host, port)
    writer.close()


async def udp(host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    transport, answer = await loop.create_datagram_endpoint(Answer, remote_addr=(host, port))
    try:
        transport.sendto(b"?")
        await answer.came
    finally:
        transport.close()


async def attempt(protocol: str, host: str, port: int) -> bool:
    try:
        await asyncio.wait_for({"TCP": tcp, "UDP": udp}[protocol](host, port), TIMEOUT_S)
    except (TimeoutError, OSError):
        return False
    return True


async def ask() -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        tries = [attempt(*item) for item in json.loads(line)]
        print(json.dumps(await asyncio.gather(*tries)), flush=True)


asyncio.run(ask() if sys.argv[1:] == ["ask"] else serve())
