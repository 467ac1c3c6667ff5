#!/usr/bin/env python3
"""The shop's API: counts visits in redis and orders in PostgreSQL, both found by service name.

`api.py PORT [--shaky]`. Standard library only: it stands for any program that knows nothing of a
mesh. With `--shaky` it needs neither, and answers every second request with 503.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

TIMEOUT_S = 5
SHAKY = "--shaky" in sys.argv
_NUMBERS = count(1)
ORDER = "insert into orders default values; select count(*) from orders"


class Api(BaseHTTPRequestHandler):
    """`GET /` is a visit, `GET /orders` places an order; the answer names the replica."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if SHAKY:
            self._answer(503 if next(_NUMBERS) % 2 else 200, {})
            return
        try:
            answer = {"orders": order()} if self.path == "/orders" else {"visits": visit()}
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._answer(503, {"error": str(error)})
        else:
            self._answer(200, answer)

    do_POST = do_GET

    def _answer(self, status: int, answer: Mapping[str, int | str]) -> None:
        body = json.dumps({"replica": os.environ["HOSTNAME"], **answer}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a line a request would drown what matters."""


def visit() -> int:
    with socket.create_connection(("redis", 6379), TIMEOUT_S) as redis:
        redis.sendall(b"INCR visits\r\n")
        return int(redis.recv(64).lstrip(b":"))


def order() -> int:
    line = [os.environ["PSQL"], "-h", "db", "-U", "postgres", "-Atqc", ORDER]
    done = subprocess.run(line, capture_output=True, timeout=TIMEOUT_S, check=True)
    return int(done.stdout)


class Server(ThreadingHTTPServer):
    request_queue_size = 256


if __name__ == "__main__":
    Server(("", int(sys.argv[1])), Api).serve_forever()
