"""A client that holds connections and tells which of them end: `holder.py tcp|udp HOST PORT COUNT`.

Prints a line of JSON with who answered on each, then, for each that ends, one with its index, the
error and the time (CLOCK_MONOTONIC). When stdin closes, one with who answers on those that are
left, and on new ones in the place of those that ended.
"""

from __future__ import annotations

import errno
import json
import re
import select
import socket
import sys
import time

KIND = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[sys.argv[1]]
HOST, PORT, COUNT = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
LAST_HEADER = re.compile(rb"Content-Length: (\d+)\r\n\r\n")  # as server.py sends it
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def connect() -> socket.socket:
    family = socket.AF_INET6 if ":" in HOST else socket.AF_INET
    made = socket.socket(family, KIND)
    made.settimeout(2)
    made.connect((HOST, PORT))
    return made


def ask(sock: socket.socket) -> str:
    """The name that a datagram holds, or the body of an HTTP answer."""
    sock.settimeout(2)
    sock.send(REQUEST)
    answer = sock.recv(2048)
    if KIND == socket.SOCK_DGRAM:
        return answer.decode()
    while not (found := LAST_HEADER.search(answer)) or len(answer) < found.end() + int(found[1]):
        answer += sock.recv(2048)
    return answer[found.end() :].decode()


def tell(**words: object) -> None:
    print(json.dumps(words), flush=True)


held = [connect() for _ in range(COUNT)]
tell(answers=[ask(sock) for sock in held])
ended: set[int] = set()
while True:
    watched = [sock for index, sock in enumerate(held) if index not in ended]
    readable, _, _ = select.select([sys.stdin, *watched], [], [])
    if sys.stdin in readable:
        break
    for sock in readable:
        try:
            got = "closed" if sock.recv(1) == b"" else "data"
        except OSError as error:
            got = errno.errorcode[error.errno or 0]
        index = held.index(sock)
        ended.add(index)
        tell(index=index, error=got, at_s=time.monotonic())
for index in ended:
    held[index] = connect()
tell(answers=[ask(sock) for sock in held])
