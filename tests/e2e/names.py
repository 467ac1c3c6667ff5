"""What a workload asks of DNS, and whom it then reaches; run in workloads by test_dns.py.

`ask SERVER NAME TYPE` prints the response code and the addresses of an answer; `reach SERVER NAME`
asks for both and connects to what it got at once, `storm SERVER NAMES SECONDS` does so on and on.
`connect ADDRESS` tells whether it can. `tcp SERVER NAME SIZE` asks by TCP, so many bytes at once.
`resolve SERVER NAME` is what programs do: it leaves to the C library how to ask, and prints how
many addresses that found, and whether it can connect to the first and to the last.
"""

from __future__ import annotations

import random
import socket
import struct
import subprocess
import sys
import time
from ipaddress import ip_address
from tempfile import NamedTemporaryFile

TYPES = {"A": 1, "AAAA": 28}


def question(number: int, name: str, kind: str) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    head = struct.pack("!6H", number, 0x0100, 1, 0, 0, 0)
    return head + labels + b"\0" + struct.pack("!HH", TYPES[kind], 1)


def skip_name(message: bytes, at: int) -> int:
    while message[at] and message[at] < 0xC0:
        at += message[at] + 1
    return at + (2 if message[at] else 1)


def answer(message: bytes) -> tuple[int, list[str]]:
    """The response code, and what addresses it brings."""
    at = skip_name(message, 12) + 4
    found: list[str] = []
    for _ in range(struct.unpack_from("!H", message, 6)[0]):
        at = skip_name(message, at)
        kind, _, _, size = struct.unpack_from("!HHIH", message, at)
        at += 10
        if kind in TYPES.values():
            found.append(str(ip_address(message[at : at + size])))
        at += size
    return message[3] & 15, found


def ask(server: str, name: str, kind: str, timeout_s: float = 2.0) -> tuple[int, list[str]]:
    """Response code -1: none came."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout_s)
        sock.connect((server, 53))
        sock.send(question(random.randrange(1 << 16), name, kind))
        try:
            return answer(sock.recv(4096))
        except OSError:
            return -1, []


def receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (more := sock.recv(size - len(data))):
            raise ConnectionError("ended")
        data += more
    return data


def ask_by_tcp(server: str, name: str, size: int) -> str:
    """In pieces of so many bytes, each a segment of its own."""
    message = question(random.randrange(1 << 16), name, "A")
    data = struct.pack("!H", len(message)) + message
    try:
        with socket.create_connection((server, 53), 2.0) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(data), size):
                sock.send(data[at : at + size])
                time.sleep(0.05)
            code, found = answer(receive(sock, int.from_bytes(receive(sock, 2), "big")))
    except OSError as error:
        return type(error).__name__
    return f"{code} {' '.join(found)}"


def resolve(server: str, name: str) -> str:
    """Needs a mount namespace of its own."""
    with NamedTemporaryFile("w") as file:
        file.write(f"nameserver {server}\noptions timeout:2 attempts:1\n")
        file.flush()
        subprocess.run(["mount", "--bind", file.name, "/etc/resolv.conf"], check=True)
    rows = socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)
    found = sorted({str(row[4][0]) for row in rows}, key=ip_address)
    return f"{len(found)} {connects(found[0])} {connects(found[-1])}"


def connects(address: str, timeout_s: float = 1.0) -> bool:
    try:
        socket.create_connection((address, 80), timeout_s).close()
    except OSError:
        return False
    return True


def main() -> None:
    verb, server, *more = sys.argv[1:]
    name, *rest = more or [""]
    if verb == "connect":
        print(connects(server))
    elif verb == "tcp":
        print(ask_by_tcp(server, name, int(rest[0])))
    elif verb == "resolve":
        print(resolve(server, name))
    elif verb == "ask":
        code, found = ask(server, name, *rest)
        print(code, *found)
    elif verb == "reach":
        found = [address for kind in TYPES for address in ask(server, name, kind)[1]]
        print(*(f"{address}={connects(address)}" for address in found))
    elif verb == "storm":
        until, tried, failed = time.monotonic() + float(rest[0]), 0, 0
        print("begun", flush=True)
        while time.monotonic() < until:
            place = random.randrange(int(name))
            _, found = ask(server, f"h{place}.storm.example", "A", 10.0)
            tried += 1
            failed += not found or not connects(found[0], 10.0)  # the machine may be slow
        print(tried, failed)


if __name__ == "__main__":
    main()
