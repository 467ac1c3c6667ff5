"""Tries connections, and answers them: for workloads, nodes and hosts outside.

probe.py serve NAME   answers on every port of PORTS, TCP and UDP, with its name and the client's
    address
probe.py ask          reads a line of JSON, a list of [protocol, host, port, family], tries all at
    once, and answers with a line of JSON, [outcome, answer] for each

An outcome is "answered", "refused" if the network or the other end said no, or "silent" if nothing
came within TIMEOUT_S. Protocols are TCP, UDP, and ICMP and ICMPv6, whose port is the type of the
request; families are 4 and 6.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import sys

PORTS = (5353, 8080, 8081, 8082, 8083, 8084)
TIMEOUT_S = 0.4
ANSWER_TO = {8: 0, 13: 14, 128: 129}  # types of ICMP: echo, timestamp, echo of ICMPv6


class Server(asyncio.DatagramProtocol):
    def __init__(self, name: str) -> None:
        self._name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(self.answer(addr[0]), addr)  # type: ignore[attr-defined]

    async def accepted(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.answer(writer.get_extra_info("peername")[0]))
        writer.close()

    def answer(self, client: str) -> bytes:
        return f"{self._name} {client.removeprefix('::ffff:')}".encode()


class Client(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.came: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self.came.done():
            self.came.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self.came.done():
            self.came.set_exception(error)


async def serve(name: str) -> None:
    loop, server = asyncio.get_running_loop(), Server(name)
    for port in PORTS:
        await asyncio.start_server(server.accepted, None, port)  # both families
        await loop.create_datagram_endpoint(lambda: Server(name), ("::", port))  # these, too
    print("ready", flush=True)
    await asyncio.Event().wait()


async def tcp(host: str, port: int, family: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port, family=family)
    answer = await reader.read()
    writer.close()
    if not answer:
        raise ConnectionResetError
    return answer


async def udp(host: str, port: int, family: int) -> bytes:
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(
        Client, remote_addr=(host, port), family=family
    )
    try:
        transport.sendto(b"?")
        return await client.came
    finally:
        transport.close()


async def icmp(host: str, kind: int, family: int) -> bytes:
    """A raw socket sees every answer that comes to this host: ours bears our number."""
    six = family == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    mine = int.from_bytes(os.urandom(2))
    packet = struct.pack("!BBHHH", kind, 0, 0, mine, 1) + bytes(12)
    if not six:  # the kernel fills in ICMPv6's
        packet = packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]
    with socket.socket(family, socket.SOCK_RAW, protocol) as raw:
        raw.setblocking(False)
        raw.connect((host, 0))
        raw.send(packet)
        loop = asyncio.get_running_loop()
        while True:
            data = await loop.sock_recv(raw, 2048)
            head = data if six else data[(data[0] & 15) * 4 :]
            if head[0] == ANSWER_TO[kind] and head[4:6] == mine.to_bytes(2):
                return b""


def checksum(packet: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


async def attempt(protocol: str, host: str, port: int, family: int) -> tuple[str, str]:
    way = {"TCP": tcp, "UDP": udp, "ICMP": icmp, "ICMPv6": icmp}[protocol]
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    try:
        answer = await asyncio.wait_for(way(host, port, kind), TIMEOUT_S)
    except TimeoutError:
        return "silent", ""
    except OSError as error:
        return "refused", str(error)
    return "answered", answer.decode()


async def ask() -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        tries = [attempt(*item) for item in json.loads(line)]
        print(json.dumps(await asyncio.gather(*tries)), flush=True)


if __name__ == "__main__":
    asyncio.run(ask() if sys.argv[1] == "ask" else serve(sys.argv[2]))
