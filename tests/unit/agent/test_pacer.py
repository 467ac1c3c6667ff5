"""As few passes as keep the promise that one begins after each request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tulle.agent.pacer import Pacer
from tulle.errors import Refused, Unavailable


class Work:
    """Counts passes; each waits until it is let go, and then raises `error` if there is one."""

    def __init__(self) -> None:
        self.begun = 0
        self.third = asyncio.Event()
        self.error: Exception | None = None
        self._go = asyncio.Semaphore(0)

    async def __call__(self) -> None:
        self.begun += 1
        if self.begun == 3:
            self.third.set()
        await self._go.acquire()
        if self.error:
            raise self.error

    def let_go(self) -> None:
        self._go.release()


Story = Callable[[Pacer, Work], Awaitable[None]]


def play(story: Story, retry_s: float = 60.0) -> None:
    async def main() -> None:
        work = Work()
        pacer = Pacer(work, retry_s)
        running = asyncio.create_task(pacer.run())
        try:
            async with asyncio.timeout(5):
                await story(pacer, work)
        finally:
            running.cancel()

    asyncio.run(main())


async def settle() -> None:
    """Lets everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_nothing_runs_unasked() -> None:
    async def story(pacer: Pacer, work: Work) -> None:
        await settle()
        assert work.begun == 0

    play(story)


def test_requests_before_a_pass_share_it() -> None:
    async def story(pacer: Pacer, work: Work) -> None:
        for _ in range(5):
            pacer.request()
        await settle()
        work.let_go()
        await settle()
        assert work.begun == 1

    play(story)


def test_requests_during_a_pass_share_the_next() -> None:
    async def story(pacer: Pacer, work: Work) -> None:
        pacer.request()
        await settle()
        for _ in range(5):
            pacer.request()
        work.let_go()
        work.let_go()
        await settle()
        assert work.begun == 2

    play(story)


def test_who_waits_during_a_pass_is_served_by_the_next() -> None:
    """The present one may have read the world before the change that is waited for."""

    async def story(pacer: Pacer, work: Work) -> None:
        pacer.request()
        await settle()
        waiting = asyncio.create_task(pacer.done())
        await settle()
        work.let_go()
        await settle()
        assert not waiting.done() and work.begun == 2
        work.let_go()
        await waiting

    play(story)


def test_a_failed_pass_raises_for_those_who_wait_for_it() -> None:
    async def story(pacer: Pacer, work: Work) -> None:
        work.error = Refused("no room")
        work.let_go()
        outcomes = await asyncio.gather(pacer.done(), pacer.done(), return_exceptions=True)
        assert [str(item) for item in outcomes] == ["no room", "no room"]
        work.error = None
        work.let_go()
        await pacer.done()

    play(story)


def test_a_failed_pass_is_tried_again_unasked() -> None:
    async def story(pacer: Pacer, work: Work) -> None:
        work.error = Refused("no room")
        pacer.request()
        for _ in range(3):
            work.let_go()
        await work.third.wait()

    play(story, retry_s=0.01)


def test_who_stops_waiting_harms_nobody() -> None:
    async def story(pacer: Pacer, work: Work) -> None:
        gone, stays = (asyncio.create_task(pacer.done()) for _ in range(2))
        await settle()
        gone.cancel()
        await settle()
        work.let_go()
        await stays

    play(story)


@pytest.mark.parametrize("began", [False, True])
def test_nobody_waits_for_a_pass_that_will_not_come(began: bool) -> None:
    async def story() -> None:
        work = Work()
        pacer = Pacer(work)
        waiting = asyncio.create_task(pacer.done())
        running = asyncio.create_task(pacer.run())
        if began:
            await settle()
            assert work.begun == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        pacer.close()
        for outcome in (waiting, pacer.done()):
            with pytest.raises(Unavailable, match="the agent is stopping"):
                async with asyncio.timeout(5):
                    await outcome

    asyncio.run(story())
