"""When sockets are swept, and of which namespaces."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Semaphore
from typing import Any

import pytest

from tulle.agent import vanished
from tulle.agent.vanished import Vanished
from tulle.errors import KernelError

A, B = Path("/a"), Path("/b")


class FakeSweep:
    def __init__(self) -> None:
        self.log: list[object] = []
        self.fails = 0
        self.ended = Semaphore(0)

    def begin(self, rows: dict[bytes, bytes]) -> None:
        if self.fails:
            self.fails -= 1
            raise KernelError(12, "map 'gone'")
        self.log.append(dict(rows))

    def holders(self, rows: dict[bytes, bytes]) -> set[int]:
        return {3}

    def run(self, *, streams: bool) -> None:
        self.log.append("streams too" if streams else "datagrams")

    def end(self) -> None:
        self.log.append("end")
        self.ended.release()


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch) -> FakeSweep:
    made = FakeSweep()

    def enter(path: Path) -> None:
        made.log.append(path)
        if path == B:
            raise KernelError(2, "network namespace /b")

    monkeypatch.setattr(vanished.netns, "enter", enter)
    return made


def play(sweep: FakeSweep, *steps: dict[bytes, bytes]) -> None:
    async def scene() -> None:
        of_all: Any = Vanished(sweep, lambda: {2: B, 0: None, 3: A})  # type: ignore[arg-type]
        running = asyncio.create_task(of_all.run())
        for rows in steps:
            of_all.add(rows)
            of_all.sweep_soon()
            await asyncio.sleep(0.05)
        running.cancel()

    asyncio.run(scene())


def test_every_namespace_is_swept_even_if_one_has_ended(sweep: FakeSweep) -> None:
    play(sweep, {b"k": b"v"})
    assert sweep.log == [{b"k": b"v"}, "datagrams", B, A, "streams too", "end"]


def test_nothing_is_swept_when_nothing_has_gone(sweep: FakeSweep) -> None:
    play(sweep, {})
    assert not sweep.log


def test_more_than_the_map_holds_goes_in_turns(
    sweep: FakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vanished, "ROWS", 2)
    play(sweep, {bytes([number]): b"" for number in range(5)})
    assert [len(item) for item in sweep.log if isinstance(item, dict)] == [2, 2, 1]


def test_a_sweep_that_failed_is_made_up_for_by_the_next(sweep: FakeSweep) -> None:
    sweep.fails = 1
    play(sweep, {b"one": b""}, {b"two": b""})
    assert sweep.log[0] == {b"one": b"", b"two": b""}


def test_what_is_about_to_go_is_swept_when_it_has_gone(sweep: FakeSweep) -> None:
    """A sweep of earlier rows finds its backend still there, and would be the only one."""

    async def scene() -> None:
        of_all: Any = Vanished(sweep, dict)  # type: ignore[arg-type]
        running = asyncio.create_task(of_all.run())
        of_all.add({b"gone": b""})
        of_all.sweep_soon()
        of_all.add({b"going": b""})
        assert await asyncio.to_thread(sweep.ended.acquire, timeout=5)
        of_all.sweep_soon()
        assert await asyncio.to_thread(sweep.ended.acquire, timeout=5)
        running.cancel()

    asyncio.run(scene())
    assert sweep.log == [{b"gone": b""}, "end", {b"going": b""}, "end"]
