"""Requests that are judged in packets some of which are lost: before the judge and behind it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.reading import PORT, Field, reading

PERCENT = int(os.environ.get("TULLE_LOSS_PERCENT", "4"))
_LOSING = """
table inet losing {{
    chain {hook} {{
        type filter hook {hook} priority 0
        tcp {side} {port} numgen random mod 100 < {percent} drop
    }}
}}
"""


@pytest.fixture(scope="module")
def field(clusters: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with clusters("loss", ("a", "b"), "--routing", "vxlan", "--stream") as cluster:
        made = Field.of(cluster, tmp_path_factory.mktemp("seen"))
        made.start()
        cluster.apply(reading("web", "web", [{"method": "GET|POST", "path": "/public/.*"}]))
        for end, side in ((made.client, "sport"), (made.here, "dport"), (made.there, "dport")):
            for hook in ("input", "output"):
                port = {"input": side, "output": {"sport": "dport", "dport": "sport"}[side]}[hook]
                rules = _LOSING.format(hook=hook, side=port, port=PORT, percent=PERCENT)
                end.mesh.exec(end.name, "sh", "-c", f"echo '{rules}' | nft -f -")
        yield made


@pytest.mark.parametrize(("where", "family"), [("here", 4), ("there", 6)])
def test_all_is_answered_and_every_byte_arrives_once(
    field: Field, where: str, family: int, tmp_path: Path
) -> None:
    backend = field.at(where)
    speaker = field.client.mesh.spawn(
        "client", "python3", "-c", _SPEAKER, backend.addresses[family], str(PORT)
    )
    out, _ = speaker.communicate(timeout=120)
    sent, *faults = out.splitlines()
    assert not faults
    assert len(backend.seen()) == int(sent)


_SPEAKER = r"""
import socket, sys, threading, time
host = b" HTTP/1.1\r\nHost: web\r\n"
get = b"GET /public/a" + host + b"\r\n"
cookies = b"GET /public/a" + host + b"Cookie: " + b"c" * 900 + b"\r\n\r\n"
body = b"POST /public/b" + host + b"Content-Length: 1000000\r\n\r\n" + b"b" * 1000000
small = b"POST /public/b" + host + b"Content-Length: 2000\r\n\r\n" + b"s" * 2000
chunks = b"POST /public/c" + host + b"Transfer-Encoding: chunked\r\n\r\n"
chunks += b"".join(b"1f40\r\n" + b"k" * 8000 + b"\r\n" for _ in range(60)) + b"0\r\n\r\n"
tasks = {
    "one by one": [[get]] * 15,
    "at once": [[get * 10]] * 3,
    "in parts": [[get[:9], get[9:30], get[30:]]] * 12,
    "long": [[cookies], [cookies[:500], cookies[500:]]] * 5,
    "small bodies": [[small], [small[:30], small[30:]]] * 5,
    "a body": [[body]],
    "chunks": [[chunks]],
}
faults, sent = [], 0

def ask(name, turns):
    said = b""
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60) as one:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for pieces in turns:
                for piece in pieces:
                    one.sendall(piece)
                    time.sleep(0.005)
                wanted = len(b"".join(pieces).split(b" HTTP/1.1")) - 1
                while said.count(b"200 OK") < wanted or not said.endswith(b"ok"):
                    more = one.recv(65536)
                    if not more:
                        raise OSError("closed")
                    said += more
                said = b""
    except OSError as error:
        faults.append(f"{name}: {error!r} behind {said[-60:]!r}")

threads = []
for name, turns in tasks.items():
    for _ in range(2):
        sent += sum(len(b"".join(pieces)) for pieces in turns)
        threads.append(threading.Thread(target=ask, args=(name, turns)))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sent, *faults, sep="\n")
"""
