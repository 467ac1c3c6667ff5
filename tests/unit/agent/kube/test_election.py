from __future__ import annotations

import asyncio

import pytest

from tests.unit.agent.kube.leases import FakeLease
from tulle.agent.kube import election
from tulle.agent.kube.election import Election


class Work:
    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.begun, self.at_work = error, 0, 0

    async def __call__(self) -> None:
        self.begun += 1
        self.at_work += 1
        try:
            if self.error:
                raise self.error
            await asyncio.Event().wait()
        finally:
            self.at_work -= 1


async def rest() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def started(elected: Election) -> asyncio.Task[None]:
    task = asyncio.create_task(elected.run())
    await rest()
    return task


def test_work_runs_while_the_lease_is_held_and_no_longer() -> None:
    async def go() -> None:
        lease, work = FakeLease(), Work()
        elected = Election(lease, work)
        task = await started(elected)
        assert not elected.holds()
        for number in (1, 2):
            lease.gain()
            lease.gain()  # told twice is no more than once
            assert elected.holds()
            await rest()
            assert (work.begun, work.at_work) == (number, 1)
            lease.lose()
            assert not elected.holds()
            await rest()
            assert work.at_work == 0
        task.cancel()

    asyncio.run(go())


def test_a_lease_that_has_run_out_is_held_no_more() -> None:
    async def go() -> None:
        lease = FakeLease()
        elected = Election(lease, Work())
        task = await started(elected)
        lease.gain()
        lease.run_out()
        assert not elected.holds()
        task.cancel()
        await rest()

    asyncio.run(go())


def test_who_ends_stops_the_work() -> None:
    async def go() -> None:
        lease, work = FakeLease(), Work()
        elected = Election(lease, work)
        task = await started(elected)
        lease.gain()
        await rest()
        task.cancel()
        await rest()
        assert (elected.holds(), work.at_work) == (False, 0)

    asyncio.run(go())


def test_a_fault_does_not_end_the_duty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(election, "AGAIN_S", 0)

    async def go() -> None:
        lease, work = FakeLease(), Work(KeyError("a bug"))
        elected = Election(lease, work)
        task = await started(elected)
        lease.gain()
        await rest()
        assert elected.holds()
        assert work.begun > 1
        task.cancel()
        await rest()

    asyncio.run(go())
