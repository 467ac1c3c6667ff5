"""A client under load: KEEP connections that stay open and fresh ones, until stdin closes.

`load.py HOST PORT KEEP [REST_S]`: fresh ones one after the other, REST_S apart. For more than some
seconds they need a rest: a port that a connection had is not free for a minute.
Prints "ready" once all kept connections have had an answer, and at the end one JSON object:
{"kept": {"requests", "failed"}, "fresh": {"requests", "failed"}, "errors": […]}: some, with
the time of day.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

HOST, PORT, KEEP = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
FRESH_REST_S = float(sys.argv[4]) if sys.argv[4:] else 0.0
REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
TIMEOUT_S = 5.0
FRESH_AT_ONCE = 4
MOST_ERRORS = 50


class Tally:
    def __init__(self) -> None:
        self.requests = self.failed = 0

    def as_dict(self) -> dict[str, int]:
        return {"requests": self.requests, "failed": self.failed}


kept, fresh, errors = Tally(), Tally(), list[str]()
over, opened = asyncio.Event(), 0


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tally: Tally) -> None:
    tally.requests += 1
    writer.write(REQUEST)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT_S)
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    await asyncio.wait_for(reader.readexactly(length), TIMEOUT_S)


async def connection(tally: Tally, rest_s: float | None) -> None:
    """Requests on one connection, `rest_s` apart; None is a single one."""
    global opened
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(HOST, PORT), TIMEOUT_S)
        await ask(reader, writer, tally)
        opened += 1
        while rest_s is not None and not over.is_set():
            await asyncio.sleep(rest_s)
            await ask(reader, writer, tally)
        writer.close()
    except (TimeoutError, OSError, EOFError, ValueError) as error:
        tally.failed += 1
        if len(errors) < MOST_ERRORS:
            errors.append(f"{time.strftime('%X')} {'kept' if tally is kept else 'fresh'} {error!r}")


async def fresh_ones() -> None:
    while not over.is_set():
        await connection(fresh, None)
        await asyncio.sleep(FRESH_REST_S)


async def main() -> None:
    tasks = [asyncio.create_task(connection(kept, 1.0)) for _ in range(KEEP)]
    while opened + kept.failed < KEEP:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    tasks += [asyncio.create_task(fresh_ones()) for _ in range(FRESH_AT_ONCE)]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    over.set()
    await asyncio.gather(*tasks)
    totals = {"kept": kept.as_dict(), "fresh": fresh.as_dict(), "errors": errors}
    print(json.dumps(totals), flush=True)


asyncio.run(main())
