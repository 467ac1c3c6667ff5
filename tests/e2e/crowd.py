"""So many connections at once, each of which says the same in turns with its other end.

    crowd.py serve PORT
    crowd.py ask ADDRESS PORT COUNT

The latter prints the turns that every connection has had, and stays until its stdin ends. Runs in a
workload, with the standard library only.
"""

from __future__ import annotations

import resource
import select
import socket
import sys

SAID = b"what each says in turns " * 4
TURNS = 6
MOST = 20_000
Sockets = dict[int, socket.socket]


def serve(port: int) -> None:
    edges, peers = select.epoll(), Sockets()
    with socket.create_server(("", port), backlog=4096) as listener:
        edges.register(listener, select.EPOLLIN)
        while True:
            for number, _ in edges.poll():
                if number == listener.fileno():
                    keep(listener.accept()[0], peers, edges)
                elif data := peers[number].recv(65536):
                    peers[number].sendall(data)
                else:
                    peers.pop(number).close()


def keep(made: socket.socket, peers: Sockets, edges: select.epoll) -> None:
    made.setblocking(False)
    peers[made.fileno()] = made
    edges.register(made, select.EPOLLIN)


def ask(address: str, port: int, count: int) -> None:
    edges, peers = select.epoll(), Sockets()
    for _ in range(count):
        keep(socket.create_connection((address, port)), peers, edges)
    for turn in range(TURNS):
        for peer in peers.values():
            peer.sendall(SAID)
        missing = dict.fromkeys(peers, SAID)
        while missing:
            for number, _ in edges.poll(60):
                data = peers[number].recv(len(SAID))
                assert data and missing[number].startswith(data), f"turn {turn}: {data!r}"
                missing[number] = missing[number].removeprefix(data)
                if not missing[number]:
                    del missing[number]
    print(TURNS, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST, MOST))
    verb, *words = sys.argv[1:]
    if verb == "serve":
        serve(int(words[0]))
    else:
        ask(words[0], int(words[1]), int(words[2]))
