"""As much as the way takes.

big.py serve               takes TCP on 9000 and UDP on 9001, and answers with how many bytes came
big.py stream HOST PORT    sends BYTES over TCP: prints the answer
big.py datagram HOST PORT SIZE   sends UDP that must not be split until it is answered, or told to
    be too large: prints "BYTES", or "too large, MTU"
"""

from __future__ import annotations

import errno
import socket
import sys
import threading

TCP_PORT, UDP_PORT = 9000, 9001
BYTES = 20_000_000
TIMEOUT_S = 5.0
TRIES = 5
# linux/in.h and linux/in6.h: *_MTU_DISCOVER, *_PMTUDISC_DO, *_MTU
NEVER_SPLIT = {
    socket.AF_INET: (socket.IPPROTO_IP, 10, 2, 14),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 23, 2, 24),
}


def serve() -> None:
    threading.Thread(target=answer_udp, daemon=True).start()
    address = ("::", TCP_PORT)
    server = socket.create_server(address, family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        peer, _ = server.accept()
        threading.Thread(target=take, args=(peer,), daemon=True).start()


def take(peer: socket.socket) -> None:
    with peer:
        count = 0
        while got := len(peer.recv(1 << 20)):
            count += got
        peer.sendall(str(count).encode())


def answer_udp() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::", UDP_PORT))
        while True:
            data, peer = sock.recvfrom(65536)
            sock.sendto(str(len(data)).encode(), peer)


def stream(host: str, port: int) -> str:
    with socket.create_connection((host, port), TIMEOUT_S) as peer:
        peer.sendall(bytes(BYTES))
        peer.shutdown(socket.SHUT_WR)
        return peer.recv(100).decode()


def datagram(host: str, port: int, size: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    level, discover, never, mtu = NEVER_SPLIT[family]
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(level, discover, never)
        sock.settimeout(TIMEOUT_S / TRIES)
        sock.connect((host, port))
        for _ in range(TRIES):
            try:
                sock.send(bytes(size))
                return sock.recv(100).decode()
            except TimeoutError:
                continue
            except OSError as error:  # of this packet, or the one before
                if error.errno != errno.EMSGSIZE:
                    raise
                return f"too large, {sock.getsockopt(level, mtu)}"
        return "no answer"


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    if verb == "serve":
        serve()
    print({"stream": stream, "datagram": datagram}[verb](rest[0], *map(int, rest[1:])))
