#!/usr/bin/env python3
"""Bulk TCP and small UDP packets, counted where they arrive. Standard library only.

traffic.py serve TCP_PORT UDP_PORT                   take both, on every IPv4 address
traffic.py bulk HOST TCP_PORT UDP_PORT SECONDS       one TCP connection
traffic.py packets HOST TCP_PORT UDP_PORT SECONDS    UDP packets from FLOWS sockets

The last two print {"arrived": bytes or packets, "seconds": how long that took}.

The first byte of a TCP connection says what it wants: BULK to be counted, or TELL to be told how
many UDP packets have arrived so far. Nobody reads the UDP socket: once its buffer is full, the
kernel counts what arrives and throws it away, which costs the receiver almost nothing.
"""

from __future__ import annotations

import ctypes
import json
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

BULK, TELL = b"b", b"t"
CHUNK = 1 << 20
FLOWS = 16
BURST = 32  # packets a system call
PAYLOAD = b"x" * 18  # 60 bytes with the headers: the smallest Ethernet frame
TIMEOUT_S = 5.0
_COUNT = struct.Struct("!Q")


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_char_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """struct mmsghdr of a connected socket: only the data is set."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("data", ctypes.POINTER(_Iovec)),
        ("data_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_size_t),  # an int that ends a struct of its own: with its padding
        ("sent", ctypes.c_uint),
    )


def burst() -> ctypes.Array[_Message]:
    data = ctypes.pointer(_Iovec(PAYLOAD, len(PAYLOAD)))
    return (_Message * BURST)(*(_Message(data=data, data_length=1) for _ in range(BURST)))


def serve(tcp_port: int, udp_port: int) -> NoReturn:
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("", udp_port))
    with socket.create_server(("", tcp_port), backlog=64) as listener:
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=_answer, args=(peer,), daemon=True).start()


def _answer(peer: socket.socket) -> None:
    with peer, suppress(OSError):  # a client that goes away is nobody's loss
        wanted = peer.recv(1)
        count = packets_so_far() if wanted == TELL else _drain(peer)
        peer.sendall(_COUNT.pack(count))


def _drain(peer: socket.socket) -> int:
    buffer, count = bytearray(CHUNK), 0
    while got := peer.recv_into(buffer):
        count += got
    return count


def packets_so_far() -> int:
    """UDP packets that reached a socket of this network namespace."""
    lines = Path("/proc/self/net/snmp").read_text().splitlines()
    names, values = (line.split()[1:] for line in lines if line.startswith("Udp:"))
    found = dict(zip(names, map(int, values), strict=True))
    return found["InDatagrams"] + found["RcvbufErrors"]


def bulk(host: str, port: int, seconds: float) -> tuple[int, float]:
    """Bytes that arrived, and the seconds from before the connection to the last of them."""
    began, chunk = time.monotonic(), bytes(CHUNK)
    with socket.create_connection((host, port), TIMEOUT_S) as peer:
        peer.sendall(BULK)
        while time.monotonic() - began < seconds:
            peer.sendall(chunk)
        peer.shutdown(socket.SHUT_WR)
        return _told(peer), time.monotonic() - began


def packets(host: str, tcp_port: int, udp_port: int, seconds: float) -> tuple[int, float]:
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(FLOWS)]
    for sock in sockets:
        sock.connect((host, udp_port))
    send, messages = ctypes.CDLL(None).sendmmsg, burst()
    before, began = _tell(host, tcp_port), time.monotonic()
    while time.monotonic() - began < seconds:
        for sock in sockets:
            send(sock.fileno(), messages, BURST, 0)
    took = time.monotonic() - began
    return _tell(host, tcp_port) - before, took


def _tell(host: str, port: int) -> int:
    with socket.create_connection((host, port), TIMEOUT_S) as peer:
        peer.sendall(TELL)
        return _told(peer)


def _told(peer: socket.socket) -> int:
    raw = peer.recv(_COUNT.size, socket.MSG_WAITALL)
    if len(raw) < _COUNT.size:
        raise ConnectionError("the server went away")
    count: int = _COUNT.unpack(raw)[0]
    return count


def main(verb: str, *rest: str) -> None:
    if verb == "serve":
        serve(*map(int, rest))
    host, tcp_port, udp_port, seconds = rest[0], int(rest[1]), int(rest[2]), float(rest[3])
    if verb == "bulk":
        arrived, took = bulk(host, tcp_port, seconds)
    else:
        arrived, took = packets(host, tcp_port, udp_port, seconds)
    print(json.dumps({"arrived": arrived, "seconds": took}))


if __name__ == "__main__":
    main(*sys.argv[1:])
