"""Requests that two readers could take for different ones: what the proxy makes of each.

The bytes go to Envoy as they stand here. What a row expects are the statuses of all answers before
the connection ends, and the paths that may have reached the backend: those of refused bodies may
have, as Envoy sends headers on before it has read the body. What it takes it frames anew, so that
behind it there is one reading only.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.proxy.backends import Backend, backends
from tests.proxy.envoy import serving
from tests.proxy.mesh import front, host, image, rule, services, to, web

HOST = "Host: a.example\r\n"
END = "Connection: close\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
HIDDEN = "GET /hidden HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Sent:
    text: str
    statuses: list[int]
    reached: list[str]


def get(path: str, statuses: list[int], reached: list[str], headers: str = "") -> Sent:
    return Sent(f"GET {path} HTTP/1.1\r\n{HOST}{headers}{END}", statuses, reached)


def post(headers: str, body: str, statuses: list[int], reached: list[str]) -> Sent:
    return Sent(f"POST /post HTTP/1.1\r\n{HOST}{headers}\r\n{body}", statuses, reached)


OK = ([200], ["/post"])
NO: tuple[list[int], list[str]] = ([400], [])
CUT = ([400], ["/post"])

ROWS: dict[str, Sent] = {
    "plain": get("/x", [200], ["/x"]),
    # --- where a body ends ---
    "length and chunks": post(
        f"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n{END[:-2]}", "0\r\n\r\n" + HIDDEN, *NO
    ),
    "chunks and length": post(
        "Transfer-Encoding: chunked\r\nContent-Length: 60\r\n", "0\r\n\r\n", *NO
    ),
    "two lengths": post("Content-Length: 0\r\nContent-Length: 5\r\n", HIDDEN, *NO),
    "two lengths in one": post("Content-Length: 0, 5\r\n", HIDDEN, *NO),
    "a negative length": post("Content-Length: -1\r\n", HIDDEN, *NO),
    "a signed length": post("Content-Length: +5\r\n", "12345", *NO),
    "a length in hexadecimal": post("Content-Length: 0x5\r\n", "12345", *NO),
    "a length with a point": post("Content-Length: 5.0\r\n", "12345", *NO),
    "a length beyond 64 bits": post("Content-Length: 18446744073709551621\r\n", "12345", *NO),
    "a space before the colon": post("Content-Length : 5\r\n", "12345", *NO),
    "an unknown coding": post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n", [501], []),
    "chunked is not the last": post(
        "Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n", [501], []
    ),
    "chunked twice": post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n", [501], []),
    "two fields of coding": post(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n", [501], []
    ),
    "a coding after a tab": post("Transfer-Encoding:\tchunked\r\n" + END[:-2], "0\r\n\r\n", *OK),
    "a coding with a vertical tab": post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n", *NO),
    "a folded coding": post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n", *OK),
    "a coding in HTTP/1.0": Sent(
        f"POST /post HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", *OK
    ),
    "a chunk of no size": post("Transfer-Encoding: chunked\r\n", "x\r\nabc\r\n0\r\n\r\n", *CUT),
    "a chunk beyond 64 bits": post(
        "Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n", *CUT
    ),
    "a chunk of a signed size": post(
        "Transfer-Encoding: chunked\r\n", "+3\r\nabc\r\n0\r\n\r\n", *CUT
    ),
    "a chunk longer than its size": post(
        "Transfer-Encoding: chunked\r\n", "2\r\nabc\r\n0\r\n\r\n", *OK
    ),
    # --- lines and fields ---
    "no Host": Sent("GET /x HTTP/1.1\r\n\r\n", *NO),
    "two Hosts": Sent(f"GET /x HTTP/1.1\r\n{HOST}Host: b.example\r\n\r\n", [404], []),
    "a Host with a path": Sent("GET /x HTTP/1.1\r\nHost: a.example/y\r\n\r\n", *NO),
    "a Host with a space": Sent("GET /x HTTP/1.1\r\nHost: a.example b\r\n\r\n", *NO),
    "a field without a colon": get("/x", *NO, headers="Nothing\r\n"),
    "a field without a name": get("/x", *NO, headers=": x\r\n"),
    "a space before a name": get("/x", *NO, headers=" X: y\r\n"),
    "a name in brackets": get("/x", *NO, headers="X[]: y\r\n"),
    "NUL in a value": get("/x", *NO, headers="X: a\0b\r\n"),
    "CR in a value": get("/x", [200], ["/x"], headers="X: a\rY: b\r\n"),
    "an underscore in a name": get("/x", *NO, headers="Content_Length: 5\r\n"),
    "a header of 80 KB": get("/x", [431], [], headers=f"X: {'a' * 80_000}\r\n"),
    "200 fields": get("/x", [431], [], headers="".join(f"X{n}: y\r\n" for n in range(200))),
    "a method of nobody": Sent(f"GE(T /x HTTP/1.1\r\n{HOST}\r\n", *NO),
    "a version of nobody": Sent(f"GET /x HTTP/1.9\r\n{HOST}\r\n", [200], ["/x"]),
    "no version": Sent("GET /x\r\n\r\n", *NO),
    "HTTP/2 without TLS, cut short": Sent("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxx", [], []),
    # --- paths ---
    "dots": get("/a/../x", [200], ["/x"]),
    "escaped dots": get("/a/%2e%2E/x", [200], ["/x"]),
    "dots beyond the root": get("/../../x", [200], ["/x"]),
    "an escaped slash": get("/a%2Fx", *NO),
    "an escaped backslash": get("/a%5cx", *NO),
    "a backslash": get("/a\\..\\x", [200], ["/x"]),
    "an escaped letter": get("/%78", [200], ["/x"]),
    "an escaped NUL": get("/x%00", *NO),
    "repeated slashes stay": get("/a//x", [200], ["/a//x"]),
    "a fragment": get("/x#y", *NO),
    "a space in a path": get("/x y", *NO),
    "the absolute form counts": Sent(
        f"GET http://a.example/x HTTP/1.1\r\nHost: b.example\r\n{END}", [200], ["/x"]
    ),
    "CONNECT": Sent(f"CONNECT a.example:80 HTTP/1.1\r\n{HOST}{END}", [404], []),
    # --- what a connection is to become ---
    "an upgrade to HTTP/2 is not taken": get(
        "/x", [200], ["/x"], "Upgrade: h2c\r\nHTTP2-Settings: AAAA\r\nConnection: Upgrade\r\n"
    ),
    "two requests at once": Sent(
        f"GET /one HTTP/1.1\r\n{HOST}\r\nGET /two HTTP/1.1\r\n{HOST}{END}",
        [200, 200],
        ["/one", "/two"],
    ),
    "a request behind a body": post(
        "Content-Length: 5\r\n", "12345" + HIDDEN, [200, 200], ["/post", "/hidden"]
    ),
    "a request behind a refused one": Sent(
        f"GET /a%2Fx HTTP/1.1\r\n{HOST}\r\n" + HIDDEN, [400], []
    ),
}


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with backends("a") as made:
        yield made["a"]


@pytest.fixture(scope="module")
def port(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    edge = front(web(host(("/", rule(to("a"))), name="a.example")))
    with serving(image(services({"a": backend.port}), edge), tmp_path_factory.mktemp("envoy")):
        yield edge.port


def answers(port: int, text: str, count: int) -> list[int]:
    """Statuses until the proxy closes, or says nothing more after so many of them."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(text.encode("latin-1"))
        try:
            while True:
                connection.settimeout(0.2 if len(STATUS.findall(found)) >= count else 5)
                if not (more := connection.recv(65536)):
                    break
                found += more
        except (TimeoutError, ConnectionResetError):
            pass
    return [int(status) for status in STATUS.findall(found)]


@pytest.mark.parametrize("name", ROWS)
def test_shape(name: str, port: int, backend: Backend) -> None:
    row = ROWS[name]
    backend.seen.clear()
    found = answers(port, row.text, len(row.statuses))
    reached = [item["path"] for item in backend.seen]
    assert found == row.statuses
    if max(found, default=0) < 400:
        assert reached == row.reached
    else:
        assert set(reached) <= set(row.reached)
