"""Clients of the servers in web.py: curl, wrk, Node, and bytes written by hand."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from tests.e2e.running import run
from tests.e2e.web import NODE, PORTS

LARGE = b"x" * 1_500_000
DATES = re.compile(r"(?mi)^(Date|Server|Keep-Alive): .*\n")
SILENT = ("-o", "/dev/null")
LONG = ("-H", "X-Long: " + "word " * 600)
URGED, UNURGED = ("-H", "Expect: 100-continue"), ("-H", "Expect:")
DATA = ("--data-binary", "@-")


@dataclass(frozen=True)
class Asker:
    host: str
    port: int

    def everything(self, *, beside: bool) -> Any:
        """All that clients do, and under a load if the server takes more than one connection."""
        wrk = ["wrk", "-t1", "-c4", "-d1", "-HHost: web.test"]
        load = [*wrk, f"http://{self.host}:{self.port}/load"]
        loading = subprocess.Popen(load, stdout=subprocess.PIPE, text=True) if beside else None
        said = [*self._by_curl(), *self._by_hand(), self._by_node("GET", "PUT", "GET")]
        if loading:
            told = loading.communicate(timeout=60)[0]
            said.append(re.findall(r"Socket errors.*|Non-2xx.*| 0 requests in", told))
        return [said, self._odd()]

    def _by_curl(self) -> list[str]:
        return [
            self._curl(("/kept/[1-20]",)),
            self._curl(("-0", "/old"), ("-0", "/old")),
            self._curl((*LONG, "/long")),
            self._curl(("-I", "/head"), ("-I", "/head")),
            self._curl((*URGED, *DATA, "/urged")),
            self._curl((*UNURGED, *DATA, "/data")),
            self._curl(("-T", "-", "/chunked")),
        ]

    def _by_hand(self) -> list[str]:
        """Heads in pieces, requests before their answers, and an end of one direction only."""
        one, last = _get("/one"), _get("/last", "Connection: close")
        cuts = (2, 7, 16, len(one) - 3, len(one) - 1)
        pieces = [one[a:b] for a, b in zip((0, *cuts), (*cuts, None), strict=True)]
        return [
            self._say([*pieces, last]),
            self._say([one * 2 + last[:9], last[9:]]),
            self._say([one], half=True),
        ]

    def refusals(self) -> Any:
        """What clients are told, in this order, where a rule denies to DELETE."""
        delete = (*SILENT, "-XDELETE")
        kept = self._curl((*SILENT, "/a"), (*delete, "/b"), (*SILENT, "/c"))
        urged = self._curl((*delete, *URGED, *DATA, "/d"))
        self._curl((*delete, *UNURGED, *DATA, "/e"))  # a reset may overtake what it is told
        with socket.create_connection((self.host, self.port), 20) as stays:
            stays.sendall(_get("/f").replace(b"GET", b"DELETE"))
            told = stays.recv(12).decode()
            next_one = self._curl((*SILENT, "/g"))
        node = [status for status, _ in json.loads(self._by_node("GET", "DELETE", "GET"))]
        return [*kept.split("\n")[:-1], urged.split()[0], told, next_one.strip(), node, self._odd()]

    def _curl(self, *cases: tuple[str, ...]) -> str:
        """Status, and how many connections it took, are told behind each answer."""
        line = ["curl"]
        shown = ["-s", "-m", "20", "-w", "%{http_code} %{num_connects}\n"]
        for case in cases:
            place = ["--resolve", f"web.test:{self.port}:{self.host}"]
            url = f"http://web.test:{self.port}{case[-1]}"
            line += [*(["--next"] if len(line) > 1 else []), *shown, *place, *case[:-1], url]
        return _plain(run(line, LARGE))

    def _by_node(self, *methods: str) -> str:
        """Requests of these methods on a connection that is kept; those to PUT have a body."""
        return run(["node", NODE, "ask", self.host, str(self.port), *methods]).decode()

    def _say(self, pieces: list[bytes], *, half: bool = False) -> str:
        """What is answered until the server ends it; each piece is a segment of its own."""
        with socket.create_connection((self.host, self.port), 20) as one:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                one.sendall(piece)
                time.sleep(0.02)
            if half:
                one.shutdown(socket.SHUT_WR)
            return _plain(b"".join(iter(lambda: one.recv(65536), b"")))

    def _odd(self) -> Any:
        return json.loads(run(["curl", "-s", "-m", "20", f"http://{self.host}:{self.port}/odd"]))


def _get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: web.test", *headers, "", ""]).encode()


def _plain(said: bytes) -> str:
    return DATES.sub("", said.decode().replace("\r", ""))


def ask(name: str, host: str) -> Any:
    return Asker(host, PORTS[name]).everything(beside=name != "recv")


def refuse(name: str, host: str) -> Any:
    return Asker(host, PORTS[name]).refusals()
