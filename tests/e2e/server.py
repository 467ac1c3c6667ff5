"""A workload: answers HTTP/1.1 on port 8080 and UDP on 5353 with its name, on both families."""

from __future__ import annotations

import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

NAME = sys.argv[1].encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(NAME)))
        self.end_headers()
        self.wfile.write(NAME)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 1024
    server_bind = TCPServer.server_bind  # HTTPServer's asks DNS for the host's name


def answer_udp() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::", 5353))
        while True:
            _, peer = sock.recvfrom(2048)
            sock.sendto(NAME, peer)


threading.Thread(target=answer_udp, daemon=True).start()
Server(("::", 8080), Handler).serve_forever()
