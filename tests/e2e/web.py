"""Servers of HTTP/1.1 that wait for their clients as servers do, run by programs.py.

A server says what it saw of a request: of its connection the how many-th, its line, head and body.
`/odd` gives the requests to DELETE that it saw, and what was left of connections.
"""

from __future__ import annotations

import json
import re
import select
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer

from tests.e2e.running import become, digest

PORTS = {"recv": 81, "poll": 84, "python": 85, "node": 86}
NODE = str(Path(__file__).with_name("node.js"))
_odd: list[str] = []


class Talk:
    """A connection of a server that does all itself: it hears bytes, and says what to send."""

    def __init__(self) -> None:
        self._data, self._count, self._urged = bytearray(), 0, False
        self.ended = False

    def hear(self, data: bytes) -> bytes:
        self._data += data
        return b"".join(self._answers())

    def end(self) -> None:
        if self._data:
            _odd.append(f"left: {bytes(self._data[:40])!r}")

    def _answers(self) -> Iterator[bytes]:
        while (start := self._data.find(b"\r\n\r\n") + 4) >= 4 and not self.ended:
            head = bytes(self._data[:start])
            body, end = _body(head.lower(), self._data, start)
            if end is None:
                if b"expect: 100-continue" in head.lower() and not self._urged:
                    self._urged = True
                    yield b"HTTP/1.1 100 Continue\r\n\r\n"
                return
            del self._data[:end]
            self._count, self._urged = self._count + 1, False
            yield self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> bytes:
        method, path, version = head.split(b"\r\n")[0].decode().split(" ")
        self.ended = version == "HTTP/1.0" or b"connection: close" in head.lower()
        text = saw(self._count, method, path, head, body)
        said = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n".encode()
        return said if method == "HEAD" else said + text


def _body(head: bytes, data: bytearray, start: int) -> tuple[bytes, int | None]:
    """And where it ends, if all is there."""
    if b"transfer-encoding: chunked" not in head:
        length = re.search(rb"content-length: (\d+)", head)
        end = start + int(length[1] if length else 0)
        return (bytes(data[start:end]), end) if end <= len(data) else (b"", None)
    chunks = []
    while (line := data.find(b"\r\n", start)) >= 0:
        size = int(data[start:line], 16)
        start = line + 2 + size + 2
        if start > len(data):
            break
        chunks.append(data[line + 2 : start - 2])
        if not size:
            return b"".join(chunks), start
    return b"", None


def saw(count: int, method: str, path: str, head: bytes, body: bytes) -> bytes:
    if method == "DELETE":
        _odd.append(f"{method} {path}")
    if path == "/odd":
        return json.dumps(_odd).encode()
    return f"{count} {method} {path} {digest(head)} {digest(body)}\n".encode()


def recv(_: Path) -> None:
    """One connection at a time, and recv() until the other end has no more."""
    with socket.create_server(("", PORTS["recv"])) as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)  # as Apache's does
        while True:
            with server.accept()[0] as connection:
                talk = Talk()
                try:
                    while not talk.ended and (data := connection.recv(16384)):
                        connection.sendall(talk.hear(data))
                except ConnectionError:
                    pass  # as any server knows it; that there is nothing yet, none does
                talk.end()


def poll(_: Path) -> None:
    """poll(), level-triggered; that there was nothing to read after all is odd."""
    server = socket.create_server(("", PORTS["poll"]))
    poller, talks = select.poll(), dict[int, tuple[socket.socket, Talk]]()
    poller.register(server, select.POLLIN)
    while True:
        for number, _event in poller.poll():
            if number == server.fileno():
                connection = server.accept()[0]
                connection.setblocking(False)
                talks[connection.fileno()] = connection, Talk()
                poller.register(connection, select.POLLIN)
            elif not _hear(*talks[number]):
                poller.unregister(number)
                talks.pop(number)[0].close()


def _hear(connection: socket.socket, talk: Talk) -> bool:
    """Whether the connection goes on."""
    try:
        if data := connection.recv(65536):
            connection.sendall(talk.hear(data))
            return not talk.ended
    except BlockingIOError:
        if "nothing to read" not in _odd:
            _odd.append("nothing to read")
        return True
    except ConnectionError:
        pass
    talk.end()
    return False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    count = 0

    def answer(self) -> None:
        self.count += 1
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        head = self.raw_requestline + bytes(self.headers)
        text = saw(self.count, self.command, self.path, head, body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _chunk(self) -> bytes:
        chunk = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return chunk

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    server_bind = TCPServer.server_bind  # HTTPServer's asks DNS for the host's name


def python(_: Path) -> None:
    Server(("", PORTS["python"]), Handler).serve_forever()


def node(_: Path) -> None:
    become("node", NODE, "serve", str(PORTS["node"]))
