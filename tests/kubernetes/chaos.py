"""A proxy before an API server that does to its clients what networks and servers do.

It breaks watches off, forgets versions, is slow, tells events twice and in another order. What it
never does is what no server may: skip an event for good. So when a watch ends, all that came before
anything that was told has been told.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from tulle.edges import netns
from tulle.edges.kubernetes.config import Access
from tulle.edges.kubernetes.tls import context_of
from tulle.edges.kubernetes.wire import Lines

_KEPT = ("accept", "content-type", "user-agent")
LOOK_S = 0.1  # so often a watch looks at its trouble
_PASSED_ON = ("Content-Type", "Retry-After")
_GONE = b'{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": '
_EXPIRED = _GONE + b'"Expired", "message": "too old resource version"}'


@dataclass
class Trouble:
    """What it does from now on; chances are from 0 to 1."""

    cut_s: float = 0.0  # each watch lasts at most about so long; 0: as long as the server wants
    gone: float = 0.0  # of a watch that goes on: the version is forgotten
    delay_s: float = 0.0  # of each answer and each event
    again: float = 0.0  # of an event, to come twice
    late: float = 0.0  # of an event, to be overtaken
    late_s: float = 0.3


@dataclass
class Chaos:
    """Listens where `access` says that its server is, as `host` and `port`; serves in a thread.

    To the server it is who `access` is, and its clients need not show who they are.
    """

    access: Access
    place: Path | None  # of the network namespace that both sides are in
    host: str
    port: int
    certificate: Path
    key: Path
    seed: int = 1
    trouble: Trouble = field(default_factory=Trouble)
    done: Counter[str] = field(default_factory=Counter)  # what it has done how often
    ended: deque[str] = field(default_factory=partial(deque, maxlen=30))  # the last watches

    def __post_init__(self) -> None:
        self.server = f"https://{self.host}:{self.port}"
        self._chance = random.Random(self.seed)
        self._watches: set[_Watch] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos")

    def start(self) -> None:
        self._thread.start()
        self._call(self._start())

    def stop(self) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Each watch, now."""
        self._loop.call_soon_threadsafe(lambda: [each.cut() for each in self._watches])

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(self.certificate, self.key)
        connector = aiohttp.TCPConnector(
            limit=0, ssl=context_of(self.access), socket_factory=self._socket
        )
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        listener = netns.run_in(self.place, partial(self._listen))
        await web.SockSite(self._runner, listener, ssl_context=serving).start()

    async def _stop(self) -> None:
        for watch in self._watches:
            watch.cut()
        await self._runner.cleanup()
        await self._session.close()

    def _listen(self) -> Any:
        return socket.create_server((self.host, self.port), reuse_port=False)

    def _socket(self, info: Any) -> Any:
        return netns.run_in(self.place, partial(socket.socket, info[0], info[1], info[2]))

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        await asyncio.sleep(self.trouble.delay_s)
        url = URL(self.access.server + request.raw_path, encoded=True)
        headers = {name: request.headers[name] for name in _KEPT if name in request.headers}
        is_watch = request.query.get("watch") == "true"
        if is_watch and "resourceVersion" in request.query and self._happens("gone"):
            if self._chance.random() < 0.5:
                return web.Response(status=410, body=_EXPIRED, content_type="application/json")
            line = b'{"type": "ERROR", "object": ' + _EXPIRED + b"}\n"
            return web.Response(body=line, content_type="application/json")
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        try:
            async with self._session.request(
                request.method, url, data=body or None, headers=headers, timeout=timeout
            ) as answer:
                if is_watch and answer.status == 200:
                    return await self._watch(request, answer)
                kept = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
        except (aiohttp.ClientError, OSError):
            self.done["away"] += 1
            _abort(request)  # as if there were nothing between
            return web.Response(status=502)

    async def _watch(
        self, request: web.Request, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        watch = _Watch(self, response, request.path)
        self._watches.add(watch)
        try:
            is_broken = await watch.run(answer)
        finally:
            self._watches.discard(watch)
        if is_broken:
            _abort(request)
        return response

    def _happens(self, what: str) -> bool:
        happens = self._chance.random() < getattr(self.trouble, what)
        self.done[what] += happens
        return happens


@dataclass(eq=False)
class _Watch:
    """One stream. `_due` holds events that were not told yet: when, which of them it was, what."""

    chaos: Chaos
    response: web.StreamResponse
    path: str

    def __post_init__(self) -> None:
        self._due: list[tuple[float, int, bytes]] = []
        self._came = self._told = 0
        self._changed = asyncio.Event()
        self._ended = ""  # who did
        self._is_broken = False
        self._began = asyncio.get_running_loop().time()
        self._share = self.chaos._chance.uniform(0.5, 1.5)

    def cut(self) -> None:
        self.chaos.done["cut"] += 1
        self._is_broken = self.chaos._chance.random() < 0.5
        self._ended = "cut"
        self._changed.set()

    async def run(self, answer: aiohttp.ClientResponse) -> bool:
        """Until either end ends it, or `cut`; whether the connection is to break."""
        loop = asyncio.get_running_loop()
        reading = asyncio.create_task(self._read(answer))
        try:
            while not self._ended:
                await self._tell_due(loop.time())
                self._changed.clear()
                wait_s = min([LOOK_S, *(due - loop.time() for due, _, _ in self._due)])
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), wait_s)
                limit_s = self.chaos.trouble.cut_s * self._share
                if limit_s and loop.time() - self._began > limit_s:
                    self.cut()
            await self._tell_rest()
        except (ConnectionError, aiohttp.ClientError):
            self._ended = "client"
            return True
        finally:
            reading.cancel()
            lasted_s = loop.time() - self._began
            self.chaos.ended.append(
                f"{self.path}: {self._ended or 'client'} after {lasted_s:.1f} s and {self._came}"
            )
        return self._is_broken

    async def _read(self, answer: aiohttp.ClientResponse) -> None:
        lines = Lines()
        with suppress(aiohttp.ClientError, OSError):
            async for piece in answer.content.iter_any():
                for line in lines.feed(piece):
                    self._take(line)
        self._ended = self._ended or "server"
        self._changed.set()

    def _take(self, line: bytes) -> None:
        trouble, chance = self.chaos.trouble, self.chaos._chance
        self._came += 1
        at = asyncio.get_running_loop().time() + trouble.delay_s
        if self.chaos._happens("late"):
            at += trouble.late_s * chance.random()
        self._due.append((at, self._came, line))
        if self.chaos._happens("again"):
            self._due.append((at + trouble.late_s * chance.random(), self._came, line))
        self._changed.set()

    async def _tell_due(self, now: float) -> None:
        due = sorted(each for each in self._due if each[0] <= now)
        self._due = [each for each in self._due if each[0] > now]
        for _, number, line in due:
            await self._tell(number, line)

    async def _tell_rest(self) -> None:
        """All that came before what was told, or before the server had enough."""
        for _, number, line in sorted(self._due):
            if number <= self._told or self._ended == "server":
                await self._tell(number, line)

    async def _tell(self, number: int, line: bytes) -> None:
        self.chaos.done["overtaken"] += number < self._told
        self._told = max(self._told, number)
        await self.response.write(line + b"\n")


def _abort(request: web.Request) -> None:
    if request.transport:
        request.transport.abort()


@contextmanager
def chaos(
    access: Access, place: Path | None, host: str, port: int, pair: Path, **more: Any
) -> Iterator[Chaos]:
    """`pair` is the path of a server's certificate for `host`, beside its key."""
    made = Chaos(access, place, host, port, pair, pair.with_suffix(".key"), **more)
    made.start()
    try:
        yield made
    finally:
        made.stop()
