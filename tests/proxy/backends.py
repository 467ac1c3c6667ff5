"""Small servers that tell what reached them."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Backend(ThreadingHTTPServer):
    """Answers with what it was asked, as JSON. The query says how else:

    `status=503` with that status, `times=N` only for the first N requests; `wait=S` after so many
    seconds; `reset` by cutting the connection.
    """

    daemon_threads = True

    def __init__(self, name: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.name = name
        self.seen: list[dict[str, object]] = []
        self.failures = 0
        self.always = 200
        self.slowness_s = 0.0
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        port: int = self.server_address[1]
        return port

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits for the client's delayed ACK
    server: Backend

    def answer(self) -> None:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        body = self.body()
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            known = headers.get(name.lower())
            headers[name.lower()] = f"{known},{value}" if known else value
        seen: dict[str, object] = {
            "backend": self.server.name,
            "method": self.command,
            "path": self.path,
            "headers": headers,
            "body": body.decode(),
        }
        self.server.seen.append(seen)
        time.sleep(float(query.get("wait", ["0"])[0]) + self.server.slowness_s)
        if "reset" in query:
            self.close_connection = True
            self.connection.close()
            return
        status = self.server.always
        if "status" in query and self.server.failures < int(query.get("times", ["1000000"])[0]):
            self.server.failures += 1
            status = int(query["status"][0])
        text = json.dumps(seen).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-Backend", self.server.name)
        self.send_header("X-Drop", "yes")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def backends(*names: str, tls: ssl.SSLContext | None = None) -> Iterator[dict[str, Backend]]:
    made = {name: Backend(name, tls) for name in names}
    for backend in made.values():
        backend.thread.start()
    try:
        yield made
    finally:
        for backend in made.values():
            backend.shutdown()
            backend.server_close()
