"""Both ends of connections whose every byte is known: what each sent, got, and in which order.

    ledger.py serve PORT
    ledger.py send ADDRESS PORT CONNECTIONS BYTES SEED TRADE
        so many bytes each way as the style has it, after TRADE in turns of random sizes
    ledger.py die ADDRESS PORT SEED TRADE
    ledger.py ask ADDRESS PORT     "turns" of WARM bytes each way for every line of stdin
    ledger.py stall ADDRESS PORT SIZE TOTAL SECONDS
        sends TOTAL in pieces of SIZE to who does not read for so long, or until SIGUSR1, and waits
        for his answer
    ledger.py forge ADDRESS PORT SOURCE SOURCE_PORT
        sends TURN bytes in pieces from a socket that is made to look like another's end
    ledger.py leave ADDRESS PORT   sends TURN bytes to who closes without reading them

A line of JSON for each connection at each end. Readers do what edges of epoll allow: after less
than they asked for they wait to be woken. Runs in a workload, with the standard library only.
"""

from __future__ import annotations

import json
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

STYLES = ("half", "both", "stop", "pieces", "turns", "kill", "reset")
BY_THEMSELVES = ("stall", "leave")
BLOCK = random.Random(0).randbytes(1 << 20) * 2
HEAD = struct.Struct("=IIIB")  # seed, bytes each way, of these in turns of random sizes, style
TURN, WARM = 2000, 8000  # of what both say in turns, and with what they begin
TRADED = 60_000  # at most in a turn, so that it fits into a queue
TCP_REPAIR, TCP_REPAIR_WINDOW = 19, 29  # include/uapi/linux/tcp.h
STALLED_S = 60
RESUMED = threading.Event()  # by SIGUSR1
EDGES = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET


def part(seed: int, at: int, size: int) -> bytes:
    start = (at + seed * 7919) % (1 << 20)
    return BLOCK[start : start + size]


def turns(start: int, total: int) -> Iterator[int]:
    """Up to where each turn goes."""
    for upto in range(start + TURN, total + TURN, TURN):
        yield min(upto, total)


def trade(seed: int, total: int) -> Iterator[int]:
    """The same of random sizes, for a connection's first bytes."""
    yield from turns(0, WARM)
    sizes, upto = random.Random(seed), WARM
    while upto < total:
        upto = min(upto + sizes.randint(1, sizes.choice((100, 5000, TRADED))), total)
        yield upto


class End:
    """One end of a connection; `seed` is the connection's, and the other end's stream differs."""

    def __init__(self, made: socket.socket, seed: int, total: int, style: str, side: int) -> None:
        made.setblocking(False)
        self._socket, self._total, self._style = made, total, style
        self._edges = select.epoll()
        self._edges.register(made, EDGES)
        self._ready = self._ended = False
        self._traded = 0
        self._out, self._in = seed * 2 + side, seed * 2 + 1 - side
        self._random = random.Random(f"{seed} {side}")
        self.told = {"seed": seed, "style": style, "sent": 0, "got": 0, "wrong": -1, "end": ""}

    def write(self, upto: int | None = None) -> None:
        total = self._total if upto is None else upto
        while self.told["sent"] < total:
            size = min(self._size(), total - self.told["sent"])
            data = part(self._out, self.told["sent"], size)
            try:
                self.told["sent"] += self._socket.send(data)
            except BlockingIOError:
                if not select.select([], [self._socket], [], STALLED_S)[1]:
                    self.told["end"] = "cannot write"
                    return
            except OSError as error:
                self.told["end"] = type(error).__name__
                return

    def _size(self) -> int:
        if self.told["sent"] >= self._traded:
            if self._style in ("turns", "stall"):
                return TURN
            if self._style == "pieces":
                return self._random.randint(1, 40)
        return self._random.randint(1, self._random.choice((100, 4096, 70_000, 400_000)))

    def read(self, upto: int | None = None) -> None:
        while upto is None or self.told["got"] < upto:
            if self._style == "stop" and self._random.random() < 0.005:
                time.sleep(0.1)
            most = self._random.choice((1, 1000, 65536))
            if upto is not None:
                most = min(most, upto - self.told["got"])
            try:
                data = self._recv(most)
            except OSError as error:
                self.told["end"] = type(error).__name__
                return
            if not data:
                self.told["end"] = "eof"
                return
            if data != part(self._in, self.told["got"], len(data)) and self.told["wrong"] < 0:
                self.told["wrong"] = self.told["got"]
            self.told["got"] += len(data)

    def look(self, timeout_s: float) -> bool:
        """Whether something is said to be there; it is not said again."""
        events = dict(self._edges.poll(timeout_s))
        self._ready |= bool(events)
        self._ended |= any(event & ~select.EPOLLIN for event in events.values())
        return bool(events)

    def _recv(self, most: int) -> bytes:
        """Raises OSError."""
        while True:
            if not self._ready and not self.look(STALLED_S):
                raise TimeoutError
            try:
                data = self._socket.recv(most)
            except BlockingIOError:
                self._ready = False
                continue
            self._ready = len(data) == most or self._ended
            return data

    def half_close(self) -> None:
        with suppress(OSError):  # it may have been reset
            self._socket.shutdown(socket.SHUT_WR)

    def both(self) -> None:
        writer = threading.Thread(target=lambda: (self.write(), self.half_close()))
        writer.start()
        self.read()
        writer.join()

    def trade(self, total: int, *, first: bool) -> None:
        self._traded = total
        self.take_turns(trade(self.told["seed"], total), first=first)

    def take_turns(self, ends: Iterable[int], *, first: bool) -> None:
        for upto in ends:
            if self.told["end"]:
                return
            for step in (self.write, self.read) if first else (self.read, self.write):
                step(upto)


def client(address: str, port: int, seed: int, total: int, traded: int) -> None:
    style = STYLES[seed % len(STYLES)]
    if style == "kill":
        kill(address, port, seed, traded)
        return
    total = traded + (total // 50 if style in ("pieces", "turns") else total)
    with socket.create_connection((address, port)) as made:
        made.sendall(HEAD.pack(seed, total, traded, STYLES.index(style)))
        end = End(made, seed, total, style, 0)
        end.trade(traded, first=True)
        if style == "turns":
            end.take_turns(turns(traded, total), first=True)
            end.half_close()
            end.read()
        elif style == "half":
            end.write()
            end.half_close()
            end.read()
        elif style == "reset":
            end.write(random.Random(seed).randrange(traded, total))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            end.both()
    tell(end)


def kill(address: str, port: int, seed: int, traded: int) -> None:
    words = [sys.executable, __file__, "die", address, str(port), str(seed), str(traded)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as child:
        assert child.stdout and child.stdout.readline()
        time.sleep(random.Random(seed).random() / 5)
        child.send_signal(signal.SIGKILL)


def die(address: str, port: int, seed: int, traded: int) -> None:
    made = socket.create_connection((address, port))
    made.sendall(HEAD.pack(seed, 1 << 31, traded, STYLES.index("kill")))
    end = End(made, seed, 1 << 31, "kill", 0)
    end.trade(0, first=True)
    print("goes on", flush=True)
    end.trade(traded, first=True)
    end.write()


def answer(made: socket.socket) -> None:
    with made:
        seed, total, traded, number = HEAD.unpack(made.recv(HEAD.size))
        style = (*STYLES, *BY_THEMSELVES)[number]
        end = End(made, seed, total, style, 1)
        end.trade(0 if style == "stall" else traded, first=False)
        if style == "turns":
            end.take_turns(turns(traded, total), first=False)
            end.read()
        elif style == "half":
            end.read()
            end.write()
        elif style in ("kill", "reset"):
            end.read()
        elif style == "leave":
            end.look(STALLED_S)
        elif style == "stall":
            RESUMED.wait(traded)
            RESUMED.clear()
            end.look(0)
            end.read(WARM + total)
            end.write(WARM + TURN)
            end.read()
        else:
            end.both()
    tell(end)


def ask(address: str, port: int) -> None:
    with socket.create_connection((address, port)) as made:
        made.sendall(HEAD.pack(0, 1 << 31, 0, STYLES.index("turns")))
        end = End(made, 0, 1 << 31, "turns", 0)
        for _ in sys.stdin:
            end.take_turns(turns(end.told["got"], end.told["got"] + WARM), first=True)
            end.told["port"] = made.getsockname()[1]
            tell(end)


def stall(address: str, port: int, size: int, total: int, seconds: int) -> None:
    """Nobody else wakes the one who has not read: the answer comes when he has it all."""
    with socket.create_connection((address, port)) as made:
        made.sendall(HEAD.pack(size, total, seconds, len(STYLES)))
        end = End(made, size, total, "stall", 0)
        end.trade(0, first=True)
        while end.told["sent"] < WARM + total and not end.told["end"]:
            end.write(min(end.told["sent"] + size, WARM + total))
        end.read(WARM + TURN)
    tell(end)


def forge(address: str, port: str, source: str, source_port: str) -> None:
    """Without a handshake, as who restores a process makes its sockets."""
    with socket.socket() as made:
        made.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((source, int(source_port)))
        made.connect((address, int(port)))
        window = struct.pack("IIIII", 0, 65535, 65535, 65535, 0)
        made.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_WINDOW, window)
        made.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 0)
        end = End(made, 1, TURN, "pieces", 0)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.write()
        tell(end)
        time.sleep(1)


def leave(address: str, port: int) -> None:
    """To who closes without having read."""
    with socket.create_connection((address, port)) as made:
        made.sendall(HEAD.pack(0, WARM, 0, len(STYLES) + 1))
        end = End(made, 0, WARM + TURN, "leave", 0)
        end.trade(0, first=True)
        end.write()
        end.read()
    tell(end)


def tell(end: End) -> None:
    sys.stdout.write(json.dumps(end.told) + "\n")  # in one piece: others write, too
    sys.stdout.flush()


def _listener(port: int) -> socket.socket:
    return socket.create_server(
        ("::", port), family=socket.AF_INET6, backlog=1024, dualstack_ipv6=True
    )


VERBS = {"die": die, "ask": ask, "stall": stall, "leave": leave}


def main(verb: str, *words: str) -> None:
    if verb == "serve":
        with _listener(int(words[0])) as listener:
            signal.signal(signal.SIGUSR1, lambda *_: RESUMED.set())
            print("ready", flush=True)
            while True:
                made, _ = listener.accept()
                threading.Thread(target=answer, args=(made,), daemon=True).start()
    address, port, *numbers = words
    if verb == "forge":
        forge(*words)
        return
    if verb in VERBS:
        VERBS[verb](address, int(port), *map(int, numbers))
        return
    count, total, first, traded = map(int, numbers)
    with ThreadPoolExecutor(16) as pool:
        made = [
            pool.submit(client, address, int(port), seed, total, traded)
            for seed in range(first, first + count)
        ]
    for future in made:
        future.result()
    print("end", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
