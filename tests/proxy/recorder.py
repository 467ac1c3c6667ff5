"""A server that records every byte which reaches it, and answers each request with 200."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Recorder(socketserver.ThreadingTCPServer):
    """`seen` is what came, in the order in which it came."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)
        self.seen: list[bytes] = []
        self.clients: list[str] = []

    @property
    def port(self) -> int:
        port: int = self.server_address[1]
        return port

    def note(self, port: int, data: bytes) -> None:
        """From a client's `port`."""
        self.seen.append(data)

    def taken(self) -> bytes:
        """All since the last time."""
        found, self.seen = b"".join(self.seen), []
        return found


class _Handler(socketserver.BaseRequestHandler):
    server: Recorder

    def handle(self) -> None:
        self.server.clients.append(self.client_address[0])
        self.request.settimeout(60)  # waits as servers do that have many: recv() itself never does
        waiting = b""
        try:
            while data := self.request.recv(65536):
                self.server.note(self.client_address[1], data)
                waiting += data
                if data.startswith(b"GET /public/socket "):
                    self.request.sendall(SWITCHING)
                    waiting = b""
                    continue
                while (rest := after_one(waiting)) is not None:
                    waiting = rest
                    self.request.sendall(ANSWER)
        except OSError:
            pass


def after_one(data: bytes) -> bytes | None:
    """What is left behind the first request; None if that is not whole yet."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    headers = {
        name.strip().lower(): value.strip().lower()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    if headers.get(b"transfer-encoding") == b"chunked":
        return _after_chunks(rest)
    length = int(headers.get(b"content-length", b"0"))
    return rest[length:] if len(rest) >= length else None


def _after_chunks(data: bytes) -> bytes | None:
    while True:
        line, end, data = data.partition(b"\r\n")
        if not end:
            return None
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            return _after_trailers(data)
        if len(data) < size + 2:
            return None
        data = data[size + 2 :]


def _after_trailers(data: bytes) -> bytes | None:
    while True:
        line, end, data = data.partition(b"\r\n")
        if not line:
            return data if end else None


@contextmanager
def recording() -> Iterator[Recorder]:
    with Recorder() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


class _Writer(Recorder):
    """Into a file; or, below a directory, one for each port."""

    def __init__(self, address: tuple[str, int], path: Path) -> None:
        super().__init__(address)
        self._path = path

    def note(self, port: int, data: bytes) -> None:
        path = self._path / str(port) if self._path.is_dir() else self._path
        with path.open("ab") as out:
            out.write(data)


def main() -> None:
    """`recorder.py PORT PATH`: serves both families; PATH gets every byte."""
    port, path = int(sys.argv[1]), Path(sys.argv[2])
    with _Writer(("::", port), path) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
