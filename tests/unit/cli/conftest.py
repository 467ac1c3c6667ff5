"""An agent that answers from a table: a real HTTP server on the node's unix socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from tulle.cli.group import tulle
from tulle.model.paths import NodePaths


class FakeAgent:
    """`answers` maps "METHOD path" to a status and a value; a list becomes lines of NDJSON."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        self.socket.parent.mkdir(parents=True)
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _listen(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.socket)).start()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        key = f"{request.method} {request.path}"
        query = {name: ",".join(request.query.getall(name)) for name in request.query}
        self.asked.append((key, query, await request.read()))
        status, value = self.answers.get(key, (404, {"error": f"no {key}"}))
        if isinstance(value, list):
            text = "".join(json.dumps(item) + "\n" for item in value)
            return web.Response(text=text, status=status)
        return web.json_response(value, status=status)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where all nodes of this test keep their things."""
    monkeypatch.setattr(NodePaths, "state", property(lambda self: tmp_path / self.node))
    monkeypatch.setattr("tulle.lab.cluster.ROOT", tmp_path / "clusters")
    monkeypatch.delenv("TULLE_NODE", raising=False)
    return tmp_path


@pytest.fixture
def agent(state: Path) -> Iterator[FakeAgent]:
    fake = FakeAgent(state / "local" / "agent.sock")
    fake.start()
    yield fake
    fake.stop()


class Cli:
    """Runs a command line in this process; errors of Tulle's are raised as they are."""

    def __call__(self, *words: str, stdin: bytes = b"", code: int = 0) -> Result:
        runner = CliRunner()
        result = runner.invoke(tulle, list(words), input=stdin, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result


@pytest.fixture
def cli() -> Cli:
    return Cli()
