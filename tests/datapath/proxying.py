"""A transparent proxy for tests, which stands where the node's proxy would: a program of its own.

The argument is a list of listeners in JSON: `at` (address, port), `kind` ("TCP", "UDP") and `mark`
of the socket. Without `to` it answers each line or datagram with the ends as it sees them. With
`to`, an address and port or "original", it passes on under the client's address, or under `source`,
with the mark `leg`, from a port of UPSTREAM.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from contextlib import suppress
from typing import Any

SO_MARK, IP_TRANSPARENT, IPV6_TRANSPARENT = 36, 19, 75
IP_BIND_ADDRESS_NO_PORT, IP_LOCAL_PORT_RANGE = 24, 51
IP_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR = 20, 74
UPSTREAM = 49152, 60999


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def transparent(family: int, kind: int, mark: int) -> socket.socket:
    made = socket.socket(family, kind)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if mark:
        made.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
    return made


def upstream(source: str, to: tuple[str, int], mark: int) -> socket.socket:
    made = transparent(family_of(source), socket.SOCK_STREAM, mark)
    first, last = UPSTREAM
    made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    ports = struct.pack("=I", last << 16 | first)
    made.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, ports)
    made.bind((source, 0))
    made.settimeout(3)
    made.connect(to)
    made.settimeout(None)
    return made


def relay(src: socket.socket, dst: socket.socket) -> None:
    try:
        while data := src.recv(1 << 16):
            dst.sendall(data)
        dst.shutdown(socket.SHUT_WR)
    except OSError:  # an end that resets resets the other
        for each in (src, dst):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def tell(ends: tuple[Any, Any]) -> bytes:
    return (" ".join(f"{host} {port}" for host, port, *_ in ends) + "\n").encode()


def serve(client: socket.socket, item: dict[str, Any]) -> None:
    with client:
        if "to" not in item:
            for line in client.makefile("rb"):
                client.sendall(tell((client.getpeername(), client.getsockname())) + line)
            return
        to = client.getsockname() if item["to"] == "original" else item["to"]
        source = item.get("source") or client.getpeername()[0]
        try:
            other = upstream(source, tuple(to[:2]), item.get("leg", 0))
        except OSError as error:
            client.sendall(f"no upstream: {error.strerror or error}\n".encode())
            return
        with other:
            thread = threading.Thread(target=relay, args=(client, other))
            thread.start()
            relay(other, client)
            thread.join()


def accept(server: socket.socket, item: dict[str, Any]) -> None:
    while True:
        client, _ = server.accept()
        threading.Thread(target=serve, args=(client, item), daemon=True).start()


def answer(server: socket.socket) -> None:
    """From the address that was asked."""
    while True:
        data, peer = server.recvfrom(65536)
        server.sendto(tell((peer, server.getsockname())) + data, peer)


def main() -> None:
    for item in json.loads(sys.argv[1]):
        address, port = item["at"]
        kind = socket.SOCK_STREAM if item["kind"] == "TCP" else socket.SOCK_DGRAM
        server = transparent(family_of(address), kind, item["mark"])
        server.bind((address, port))
        if kind == socket.SOCK_STREAM:
            server.listen(64)
            work: Any = (accept, (server, item))
        else:
            work = (answer, (server,))
        threading.Thread(target=work[0], args=work[1], daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
