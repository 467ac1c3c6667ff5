"""HTTP under load, until stdin closes: `stress.py HOST PORT KEPT FRESH [AUTHORITIES NAME]`.

KEPT connections that send a request every PAUSE_S, and FRESH at a time that send one each; with
AUTHORITIES over TLS, to NAME. Prints "ready" once all kept ones have had an answer, and at the end
an object: of `kept` and `fresh` the requests and how many failed, of `backends` the answers of
each, and `errors`. A kept connection that is lost, or that the other end asked to leave
(`connection: close`), is opened again.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections import Counter

HOST, PORT, KEPT, FRESH = sys.argv[1], *map(int, sys.argv[2:5])
AUTHORITIES, NAME = sys.argv[5:7] if sys.argv[5:] else ("", HOST)
REQUEST = f"GET /load HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
TIMEOUT_S = 5.0
PAUSE_S = 0.02
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Seen:
    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.backends: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    def as_json(self) -> str:
        kinds = {
            kind: {"requests": self.requests[kind], "failed": self.failed[kind]}
            for kind in ("kept", "fresh")
        }
        return json.dumps(kinds | {"backends": self.backends, "errors": self.errors})


seen, over = Seen(), asyncio.Event()
CONTEXT = ssl.create_default_context(cafile=AUTHORITIES) if AUTHORITIES else None


async def connect() -> Streams:
    options = {"ssl": CONTEXT, "server_hostname": NAME} if CONTEXT else {}
    opening = asyncio.open_connection(HOST, PORT, **options)  # type: ignore[arg-type]
    return await asyncio.wait_for(opening, TIMEOUT_S)


async def ask(streams: Streams) -> bool:
    """Whether the connection may be used again. Raises ValueError for a wrong answer."""
    reader, writer = streams
    writer.write(REQUEST)
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT_S)).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    body = await asyncio.wait_for(reader.readexactly(length), TIMEOUT_S)
    status = head.split()[1].decode()
    if status != "200":
        raise ValueError(f"{status} {body[:80].decode()}")
    seen.backends[json.loads(body)["name"]] += 1
    return b"connection: close" not in head


async def attempt(kind: str, streams: Streams | None) -> Streams | None:
    """The connection to go on with."""
    seen.requests[kind] += 1
    if streams and (streams[0].at_eof() or streams[0].exception()):
        streams = None  # it was closed while nothing was under way
    try:
        streams = streams or await connect()
        usable = await ask(streams)
    except (TimeoutError, OSError, EOFError, ValueError, IndexError) as error:
        seen.failed[kind] += 1
        seen.errors[f"{kind}: {error!r}"[:200]] += 1
        usable = False
    if streams and not (usable and kind == "kept"):
        streams[1].close()
        return None
    return streams


async def keep(first: asyncio.Event) -> None:
    streams = None
    while not over.is_set():
        streams = await attempt("kept", streams)
        first.set()
        await asyncio.sleep(PAUSE_S)


async def renew() -> None:
    while not over.is_set():
        await attempt("fresh", None)


async def main() -> None:
    firsts = [asyncio.Event() for _ in range(KEPT)]
    tasks = [asyncio.create_task(keep(first)) for first in firsts]
    tasks += [asyncio.create_task(renew()) for _ in range(FRESH)]
    for first in firsts:
        await first.wait()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    over.set()
    await asyncio.gather(*tasks)
    print(seen.as_json(), flush=True)


asyncio.run(main())
