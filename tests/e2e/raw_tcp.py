"""A TCP of its own: sends what segments it is told to, then goes on as a client should.

Each line on stdin is a conversation in JSON, each on stdout what became of it. Many are held at
once.
"""

from __future__ import annotations

import json
import queue
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
MARK, PORTS = 7, (20000, 39999)
SEGMENT, IN_FLIGHT = 1300, 8
RETRY_S, CLOSING_S = 0.2, 3.0
TIMESTAMPS = 0x0101080A


def checksum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Wire:
    """Packets between here and the server; a conversation has its own port."""

    def __init__(self, server: str, port: int) -> None:
        self.server, self.port = server, port
        self.family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(self.family, socket.SOCK_DGRAM) as probe:
            probe.connect((server, port))
            self.own = probe.getsockname()[0]
        self._ends = [socket.inet_pton(self.family, end) for end in (self.own, server)]
        self._out = socket.socket(self.family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._out.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        self._in = socket.socket(self.family, socket.SOCK_RAW, socket.IPPROTO_TCP)
        self._in.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._to: dict[int, queue.SimpleQueue[bytes]] = {}
        threading.Thread(target=self._receive, daemon=True).start()

    def attach(self, port: int) -> queue.SimpleQueue[bytes]:
        return self._to.setdefault(port, queue.SimpleQueue())

    def _receive(self) -> None:
        while True:
            data = self._in.recv(65536)
            if self.family == socket.AF_INET:
                data = data[(data[0] & 15) * 4 :]
            found = self._to.get(int.from_bytes(data[2:4]))
            if found and int.from_bytes(data[:2]) == self.port:
                found.put(data)

    def send(self, segment: bytes, bad: bool) -> None:
        """`segment` without its checksum."""
        pseudo = b"".join(self._ends) + struct.pack("!II", len(segment), socket.IPPROTO_TCP)
        total = checksum(pseudo + segment) ^ (0x5555 if bad else 0)
        whole = segment[:16] + total.to_bytes(2) + segment[18:]
        source, target = self._ends
        if self.family == socket.AF_INET:
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(whole), 0, 0, 64, 6, 0)
        else:
            ip = struct.pack("!IHBB", 6 << 28, len(whole), 6, 64)
        self._out.sendto(ip + source + target + whole, (self.server, 0))


class Connection:
    """Numbers are counted from the first byte of each side."""

    def __init__(self, wire: Wire, port: int) -> None:
        self._wire, self._port, self._queue = wire, port, wire.attach(port)
        self._first, self._peer = port * 7919 & 0xFFFFFFFF, 0
        self.acked = self.sent = 0
        self.data, self.end = b"", ""
        self.odd: list[str] = []
        self._start, self._echo = time.monotonic(), 0

    def open(self) -> None:
        syn = struct.pack("!HHI", 0x0204, 1400, TIMESTAMPS)
        for _ in range(20):
            self._put(-1, b"", SYN, stamp=0, begin=syn)
            try:
                data = self._queue.get(timeout=1)
            except queue.Empty:
                continue
            if data[13] == SYN | ACK:
                self._peer = int.from_bytes(data[4:8]) + 1 & 0xFFFFFFFF
                self._echo = self._stamps(data)[0]
                self.send(0, b"", ACK)
                return
        self.odd.append("no answer to SYN")

    def send(self, at: int, data: bytes, flags: int = ACK | PSH, **how: int) -> None:
        self.sent = max(self.sent, at + len(data) + bool(flags & FIN))
        self._put(at, data, flags, **how)

    def _put(
        self,
        at: int,
        data: bytes,
        flags: int,
        *,
        bad: int = 0,
        stamp: int = 0,
        ack: int = 0,
        urgent: int = 0,
        begin: bytes = struct.pack("!I", TIMESTAMPS),
    ) -> None:
        """`stamp` and `ack` are added to what they should be."""
        now = int((time.monotonic() - self._start) * 1000) + 100_000 + stamp
        options = begin + struct.pack("!II", now & 0xFFFFFFFF, self._echo)
        self._wire.send(
            struct.pack(
                "!HHIIBBHHH",
                self._port,
                self._wire.port,
                self._first + at & 0xFFFFFFFF,
                self._peer + self._taken() + ack & 0xFFFFFFFF if flags & ACK else 0,
                (20 + len(options)) // 4 << 4,
                flags | (URG if urgent else 0),
                60000,
                0,
                urgent,
            )
            + options
            + data,
            bool(bad),
        )

    def _taken(self) -> int:
        return len(self.data) + (self.end == "fin")

    @staticmethod
    def _stamps(segment: bytes) -> tuple[int, int]:
        options = segment[20 : (segment[12] >> 4) * 4]
        found = options.find(b"\x08\x0a")
        return struct.unpack("!II", options[found + 2 : found + 10]) if found >= 0 else (0, 0)

    def hear(self, wait_s: float) -> bool:
        """Takes one packet, if one comes."""
        try:
            segment = self._queue.get(timeout=max(wait_s, 0))
        except queue.Empty:
            return False
        seq, ack = struct.unpack("!II", segment[4:12])
        flags, data = segment[13], segment[(segment[12] >> 4) * 4 :]
        at = _signed(seq - self._peer)
        if flags & SYN:
            self.send(0, b"", ACK)
        elif flags & RST:
            self._hear_reset(at)
        else:
            self._hear(segment, at, _signed(ack - self._first), flags, data)
        return True

    def _hear_reset(self, at: int) -> None:
        if at == self._taken() and not self.end:
            self.end = "rst"
        elif not self.end:
            self.send(self.sent, b"", ACK)

    def _hear(self, segment: bytes, at: int, ack: int, flags: int, data: bytes) -> None:
        stamp = self._stamps(segment)[0]
        if ack > self.sent:
            self.odd.append(f"acknowledges {ack} of {self.sent}")
        if _signed(stamp - self._echo) < 0 and (data or flags & FIN):
            self.send(self.sent, b"", ACK)
            return  # RFC 7323, 5.3
        if at > self._taken():
            self.odd.append(f"{at} is ahead of {self._taken()}")
        self.acked = max(self.acked, min(ack, self.sent))
        if self.end or at > self._taken():
            return
        self._echo = max(self._echo, stamp)
        known = self.data[at : at + len(data)] if at >= 0 else b""
        if not data.startswith(known):
            self.odd.append(f"{data!r} comes again for {known!r}")
        self.data += data[len(self.data) - at :]
        if flags & FIN and at + len(data) == len(self.data):
            self.end = "fin"
        if data or flags & FIN:
            self.send(self.sent, b"", ACK)

    def rest(self, stream: bytes, answers: int, patience_s: float) -> None:
        """Sends what has not been acknowledged, until all answers are there."""
        until, after = time.monotonic() + patience_s, self.acked
        resend = 0.0
        while not self.end and self.data.count(b"HTTP/1.1 ") < answers:
            now = time.monotonic()
            if now > until:
                self.odd.append(f"silent at {self.acked} of {len(stream)}")
                return
            if now >= resend and self.acked < len(stream):
                after, limit = self.acked, self.acked + SEGMENT
                resend = now + RETRY_S
            else:
                limit = self.acked + SEGMENT * IN_FLIGHT
            after = max(after, self.acked)
            while after < min(limit, len(stream)):
                piece = stream[after : min(after + SEGMENT, limit)]
                self.send(after, piece)
                after += len(piece)
            before = self.acked
            self.hear(min(resend - now, 0.5) if self.acked < len(stream) else 0.5)
            if self.acked > before:
                resend = time.monotonic() + RETRY_S

    def close(self) -> None:
        """As a client does that has all it wanted; if that does not help, as one that is gone."""
        until, at = time.monotonic() + CLOSING_S, self.sent
        while self.end != "rst" and time.monotonic() < until:
            self.send(at, b"", FIN | ACK)
            if not self.hear(RETRY_S) and self.end and self.acked > at:
                return
            while self.hear(0):
                pass
        if self.end == "rst":
            return
        self.end = self.end or "gone"
        for ack in (self.acked, at, at + 1):
            self._put(ack, b"", RST | ACK)
        until = time.monotonic() + RETRY_S
        while time.monotonic() < until:
            try:
                segment = self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
            ack = _signed(int.from_bytes(segment[8:12]) - self._first)
            if not segment[13] & RST:
                self._put(ack, b"", RST)


def _signed(number: int) -> int:
    return (number + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def converse(wire: Wire, asked: dict[str, Any]) -> dict[str, Any]:
    connection = Connection(wire, asked["port"])
    connection.open()
    for at, data, how in asked["segments"]:
        time.sleep(how.pop("pause", 0) / 1000)
        connection.send(at, bytes.fromhex(data), **how)
        while connection.hear(0):
            pass
    connection.rest(bytes.fromhex(asked["stream"]), asked["answers"], asked["patience_s"])
    while connection.hear(0.15) and not connection.end:
        pass
    ended = connection.end
    connection.close()
    return {
        "port": asked["port"],
        "data": connection.data.decode("latin-1"),
        "end": ended,
        "odd": connection.odd,
        "acked": connection.acked,
    }


def main() -> None:
    wire = Wire(sys.argv[1], int(sys.argv[2]))
    ports = f"tcp sport {PORTS[0]}-{PORTS[1]}"
    mine = f"{ports} tcp flags & rst == rst meta mark != {MARK} drop"
    chain = f"type filter hook output priority 0\n{mine}"
    rules = f"table inet raw_tcp {{\nchain out {{\n{chain}\n}}\n}}\n"
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    with ThreadPoolExecutor(48) as pool:
        for said in pool.map(lambda line: converse(wire, json.loads(line)), sys.stdin):
            print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
