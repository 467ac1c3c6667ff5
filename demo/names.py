#!/usr/bin/env python3
"""A name server that knows every name, and one who asks it. Standard library only.

names.py serve   answer each question for an IPv4 address with the same
names.py ask SERVER NAME   print the answer
"""

from __future__ import annotations

import os
import socket
import struct
import sys

ADDRESS = "192.0.2.80"
TIMEOUT_S = 2.0
REFUSED = 5
_HEAD = struct.Struct("!6H")


def question(name: str) -> bytes:
    number = int.from_bytes(os.urandom(2), "big")
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return _HEAD.pack(number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)


def answer(asked: bytes) -> bytes:
    number = _HEAD.unpack_from(asked)[0]
    record = struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(ADDRESS)
    end = asked.index(b"\0", _HEAD.size) + 5
    return _HEAD.pack(number, 0x8180, 1, 1, 0, 0) + asked[_HEAD.size : end] + record


def serve() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", 53))
        while True:
            asked, client = sock.recvfrom(512)
            sock.sendto(answer(asked), client)


def ask(server: str, name: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT_S)
        sock.connect((server, 53))
        sock.send(question(name))
        found = sock.recv(512)
    if found[3] & 15 == REFUSED:
        return "REFUSED"
    return socket.inet_ntoa(found[-4:])


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    print(ask(*sys.argv[2:4]))
