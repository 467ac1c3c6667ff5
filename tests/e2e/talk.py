"""A client that goes on asking. Prints "TIME ANSWER" lines, TIME on the clock of time.monotonic.

talk.py udp HOST PORT   one connected socket; after an error a new one
talk.py tcp HOST PORT   HTTP on one connection; ends with the name of the error that ends it
talk.py connects HOST PORT COUNT   new connections, one after the other: JSON of who answered,
    "" where nobody did within CONNECT_S
"""

from __future__ import annotations

import json
import socket
import sys
import time
from http.client import HTTPConnection, HTTPException

PAUSE_S = 0.05
CONNECT_S = 0.5
SILENCE_S = 0.2
HANGS_S = 20.0


def tell(said: str) -> None:
    print(time.monotonic(), said, flush=True)
    time.sleep(PAUSE_S)


def udp(host: str, port: int) -> None:
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(SILENCE_S)
            sock.connect((host, port))
            try:
                while True:
                    tell(ask(sock))
            except OSError as error:
                tell(type(error).__name__)


def ask(sock: socket.socket) -> str:
    sock.send(b"?")
    try:
        return sock.recv(100).decode()
    except TimeoutError:
        return "silent"


def tcp(host: str, port: int) -> None:
    connection = HTTPConnection(host, port, timeout=HANGS_S)
    try:
        while True:
            tell(get(connection))
    except (OSError, HTTPException) as error:
        tell(type(error).__name__)


def get(connection: HTTPConnection) -> str:
    connection.request("GET", "/")
    return connection.getresponse().read().decode()


def connects(host: str, port: int, count: int) -> None:
    said = []
    for _ in range(count):
        connection = HTTPConnection(host, port, timeout=CONNECT_S)
        try:
            said.append(get(connection))
        except (OSError, HTTPException):
            said.append("")
        connection.close()
    print(json.dumps(said))


if __name__ == "__main__":
    verb, host, *numbers = sys.argv[1:]
    {"udp": udp, "tcp": tcp, "connects": connects}[verb](host, *map(int, numbers))
