"""The process: one per node, and it ends when its agent does."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tulle.agent.main import _lock, _serve
from tulle.errors import Refused, Unavailable


class FakeAgent:
    """Runs until cancelled, unless it has an error to end with."""

    def __init__(self, path: Path, run_error: Exception | None, pass_error: Exception | None):
        self.paths = SimpleNamespace(node="lab-1", socket=path)
        self.run_error, self.pass_error = run_error, pass_error
        self.ran = False
        self.after_pass: list[Any] = []
        self.sources = SimpleNamespace(flows=None)
        self.hearing = SimpleNamespace(names=lambda *_: ())

    async def start(self) -> None:
        pass

    async def run(self, *more: Any) -> None:
        self.ran = True
        if self.run_error:
            raise self.run_error
        await asyncio.Event().wait()

    async def converge(self) -> None:
        await asyncio.sleep(0)
        if self.pass_error:
            raise self.pass_error


def serve(agent: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(10):
            await _serve(agent)

    asyncio.run(main())


def _terminate_when(path: Path, seen: list[int]) -> None:
    while not path.exists():
        time.sleep(0.01)
    seen.append(path.stat().st_mode & 0o777)
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("pass_error", [None, Refused("no"), KeyError("a bug")])
def test_it_listens_for_root_alone_until_sigterm_whatever_its_first_pass(
    tmp_path: Path, pass_error: Exception | None
) -> None:
    agent: Any = FakeAgent(tmp_path / "sock", None, pass_error)
    modes: list[int] = []

    async def main() -> None:
        async with asyncio.timeout(10):
            await asyncio.gather(
                _serve(agent), asyncio.to_thread(_terminate_when, tmp_path / "sock", modes)
            )

    asyncio.run(main())
    assert agent.ran and modes == [0o600]


def test_it_ends_with_the_error_that_ended_its_agent(tmp_path: Path) -> None:
    stopping = Unavailable("the agent is stopping")
    with pytest.raises(OSError, match="no inotify watches left"):
        serve(FakeAgent(tmp_path / "sock", OSError("no inotify watches left"), stopping))


def test_a_second_agent_of_a_node_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "agent.lock"
    path.write_text("999999999 of an agent that is gone")
    first = _lock(path)
    try:
        with pytest.raises(Refused, match=rf"runs for this node already \(pid {os.getpid()}\)"):
            _lock(path)
    finally:
        os.close(first)
    os.close(_lock(path))
