"""Who is served when, of those who ask together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from tulle.agent import queue as module
from tulle.agent.queue import Queue


class Work:
    """Its first call takes until `go`."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.go = threading.Event()

    def add(self, items: Sequence[str]) -> list[str | Exception]:
        assert self.go.wait(5)
        self.calls.append(f"add {''.join(items)}")
        return [ValueError(item) if item.isupper() else f"+{item}" for item in items]

    def delete(self, items: Sequence[str]) -> list[str | Exception]:
        self.calls.append(f"delete {''.join(items)}")
        if "x" in items:
            raise KeyError("x")
        return [f"-{item}" for item in items]


def outcomes(work: Work, asked: Sequence[str]) -> list[Any]:
    """`+a` adds a, `-a` deletes it; all ask at once, in this order."""

    async def ask_all() -> list[Any]:
        queue = Queue()
        todo = [
            queue.ask(work.add if one[0] == "+" else work.delete, one[1].lower(), one[1])
            for one in asked
        ]
        tasks = [asyncio.ensure_future(one) for one in todo]
        await asyncio.sleep(0)
        work.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(ask_all())


def test_those_who_come_while_one_is_served_are_served_together() -> None:
    work = Work()
    assert outcomes(work, ["+a", "+b", "-c", "+d", "-e"]) == ["+a", "+b", "-c", "+d", "-e"]
    assert work.calls == ["add abd", "delete ce"]


def test_what_is_about_the_same_keeps_its_order() -> None:
    work = Work()
    outcomes(work, ["+a", "-a", "+b", "+a", "-b"])
    assert work.calls == ["add ab", "delete ab", "add a"]


def test_no_more_than_so_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    work = Work()
    outcomes(work, ["+a", "+b", "-c", "+d"])
    assert work.calls == ["add ab", "delete c", "add d"]


def test_each_has_an_answer_of_its_own_and_all_have_what_stopped_the_work() -> None:
    found = outcomes(Work(), ["+a", "+B", "-x", "-y"])
    assert found[0] == "+a" and [type(one) for one in found[1:]] == [ValueError, KeyError, KeyError]


def test_an_answer_too_few_is_an_error_and_whoever_comes_then_is_served() -> None:
    """Else all that are asked for later would wait for ever."""

    async def go() -> list[Any]:
        queue = Queue()
        short = [queue.ask(_lose_one, item, item) for item in "ab"]
        found: list[Any] = await asyncio.gather(*short, return_exceptions=True)
        return [*found, await asyncio.wait_for(queue.ask(Work().delete, "c", "c"), 5)]

    found = asyncio.run(go())
    assert [type(one) for one in found[:2]] == [ValueError, ValueError] and found[2] == "-c"


def _lose_one(items: Sequence[str]) -> list[str | Exception]:
    return list(items[1:])
