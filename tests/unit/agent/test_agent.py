"""What the loop does when something in it goes wrong. With a kernel: tests/e2e."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.agent.passes import pass_of
from tulle.agent import agent as module
from tulle.agent.agent import Agent
from tulle.agent.options import NodeOptions
from tulle.agent.source import Sources
from tulle.compile.parts import DERIVED
from tulle.errors import KernelError, Unavailable
from tulle.model.paths import NodePaths
from tulle.model.world import World


class FakePods:
    def __init__(self, *_: Any) -> None:
        self.reconciled = 0

    async def reconcile(self, wanted: Any) -> None:
        self.reconciled += 1

    async def close(self) -> None:
        pass


async def idle() -> None:
    await asyncio.Event().wait()


async def nothing_to_do() -> None:
    pass


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    """One without a kernel below it, and without neighbours."""
    nothing = SimpleNamespace(
        close=lambda: None,
        events=list,
        gauge=None,
        heard=None,
        look=lambda: None,
        maps={"homes": None},
        stop=nothing_to_do,
        owned_by=lambda _: [],
        put=lambda _: None,
        questions=list,
        root=Path("/nowhere"),
        run=idle,
        sweep=None,
        sweep_soon=lambda: None,
        unwatch=lambda: None,
        warn=lambda: None,
        watch=lambda _: None,
    )
    edges = ("Datapath", "Workloads", "NodeCgroup", "find_mount", "Network", "Hooks")
    for name in (*edges, "Vanished", "Pressure", "ProxyScopes", "Homes", "Hearing"):
        monkeypatch.setattr(module, name, lambda *_, **__: nothing)
    monkeypatch.setattr(module, "Pods", FakePods)
    return Agent(NodePaths("lab-1"), NodeOptions("lab-1"), Sources(nothing, nothing))


def play(agent: Agent, story: Callable[[], Any]) -> None:
    async def main() -> None:
        running = asyncio.create_task(agent.run())
        try:
            async with asyncio.timeout(5):
                await story()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "problem", "traceback"),
    [
        (KernelError(28, "map 'policy'"), "map 'policy': No space left on device", False),
        (OSError(30, "Read-only file system"), "[Errno 30] Read-only file system", False),
        (KeyError("shop"), "internal error: KeyError('shop')", True),
    ],
)
def test_a_pass_that_fails_is_told_and_the_next_one_mends_it(
    agent: Agent,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    problem: str,
    traceback: bool,
) -> None:
    outcomes = [error, pass_of(World())]

    def put_in_force() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    agent._put_in_force = put_in_force  # type: ignore[method-assign]

    async def story() -> None:
        with pytest.raises(type(error)):
            await agent.converge()
        assert agent.problem == problem and agent.current is None
        (record,) = (item for item in caplog.records if item.levelno == logging.ERROR)
        assert bool(record.exc_info) is traceback
        now = await agent.converge()
        assert agent.problem == "" and agent.current is now and now.number == 1

    play(agent, story)


def test_passes_are_numbered_and_timed(agent: Agent) -> None:
    agent._put_in_force = lambda: pass_of(World())  # type: ignore[method-assign]

    async def story() -> None:
        first, second = await agent.converge(), await agent.converge()
        assert second.number > first.number
        assert second.took_ms >= 0
        assert agent.pods.reconciled >= 2  # type: ignore[attr-defined]

    play(agent, story)


def test_who_waits_when_the_watch_on_manifests_fails_is_told(agent: Agent) -> None:
    def fail(_: Any) -> None:
        raise OSError(24, "inotify instance limit reached")

    agent.manifests.watch = fail  # type: ignore[method-assign]

    async def story() -> None:
        with pytest.raises(Unavailable, match="the agent is stopping"):
            await agent.converge()

    play(agent, story)


def test_a_dismantled_node_is_not_put_in_force_again(agent: Agent) -> None:
    agent._put_in_force = lambda: pass_of(World())  # type: ignore[method-assign]

    async def story() -> None:
        await agent.converge()
        agent._dismantled = True
        with pytest.raises(Unavailable, match="taken down"):
            await agent.converge()

    play(agent, story)


def test_what_a_stranger_changed_is_read_and_mended_in_another_pass(
    agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    agent._put_in_force = lambda: pass_of(World())  # type: ignore[method-assign]
    agent.datapath.maps = {name: {} for name in DERIVED}  # type: ignore[assignment]

    async def story() -> None:
        await agent.converge()
        agent._have_is_known, agent._drift_due = True, True
        agent._have = {"part": {"slots": {b"gone": b""}}}
        passes = asyncio.Semaphore(0)
        agent.after_pass.append(passes.release)
        await agent.converge()
        await passes.acquire()
        assert agent._drift_look is not None
        await agent._drift_look
        assert not agent._have_is_known
        assert "others changed 1 entries of slots" in caplog.text
        await passes.acquire()  # the one that mends: nobody else asked for it

    play(agent, story)
