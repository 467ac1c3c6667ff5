"""Of many candidates one holds it, knows in time when it does not, and is followed by another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from tests.unit.edges.kubernetes.server import FakeServer
from tests.unit.edges.kubernetes.stories import play, until
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.lease import Lease, Times

QUICK = Times(duration_s=0.6, deadline_s=0.4, retry_s=0.05)
PATH = "/apis/coordination.k8s.io/v1/namespaces/tulle-system/leases"


class Candidate:
    def __init__(self, client: Client, name: str, **more: Callable[[], object]) -> None:
        self.name = name
        self.told: list[str] = []
        self.lease = Lease(client, "tulle-system", "tulle", name, times=QUICK, **more)  # type: ignore[arg-type]

    async def run(self) -> None:
        await self.lease.hold(lambda: self.told.append("gain"), lambda: self.told.append("loss"))

    @property
    def leads(self) -> bool:
        return self.told[-1:] == ["gain"]


@asynccontextmanager
async def running(*candidates: Candidate) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(each.run()) for each in candidates]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def spec(server: FakeServer) -> dict[str, object]:
    found: dict[str, object] = server.get("Lease", "tulle", "tulle-system")["spec"]
    return found


def test_one_of_many() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        candidates = [Candidate(client, f"node-{number}") for number in range(4)]
        async with running(*candidates):
            for _ in range(20):
                await asyncio.sleep(0.02)
                assert sum(each.lease.holds() for each in candidates) <= 1
            (leader,) = [each for each in candidates if each.leads]
            assert spec(server)["holderIdentity"] == leader.name
            assert {each.lease.holder for each in candidates} == {leader.name}

    play(story)


def test_given_back_it_is_anothers_at_once() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        first, second = Candidate(client, "first"), Candidate(client, "second")
        async with running(first) as (task,):
            await until(lambda: first.leads)
            async with running(second):
                began = spec(server)["acquireTime"]
                task.cancel()
                await until(lambda: second.leads)
                assert first.told == ["gain", "loss"]
                assert not first.lease.holds()
                assert spec(server)["leaseTransitions"] == 1
                assert spec(server)["acquireTime"] != began

    play(story)


def test_of_one_that_was_killed_it_is_anothers_after_its_time() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        first, second = Candidate(client, "first"), Candidate(client, "second")
        async with running(first) as (task,):
            await until(lambda: first.leads)
            server.fail(503, method="PUT", times=1)  # nor can it give it back
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert spec(server)["holderIdentity"] == "first"
            async with running(second):
                await asyncio.sleep(QUICK.duration_s / 2)
                assert not second.leads
                await until(lambda: second.leads)

    play(story)


def test_without_an_answer_it_is_lost_before_another_may_have_it() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        now = [1000.0]
        first = Candidate(client, "first", clock=lambda: now[0])
        async with running(first):
            await until(lambda: first.leads)
            server.fail(503, method="PUT", times=10_000)
            server.fail(503, path=PATH, times=10_000)
            renewed = now[0]
            now[0] = renewed + QUICK.deadline_s - 0.01
            assert first.lease.holds()
            now[0] = renewed + QUICK.deadline_s
            assert not first.lease.holds(), "also before anybody has told it"
            await until(lambda: first.told == ["gain", "loss"])
            await until(lambda: "503" in first.lease.problem)

    play(story)


def test_a_server_that_does_not_answer_in_time() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        first = Candidate(client, "first")
        async with running(first):
            await until(lambda: first.leads)
            server.delay_s = 5.0
            began = asyncio.get_running_loop().time()
            await until(lambda: first.told == ["gain", "loss"])
            assert asyncio.get_running_loop().time() - began < QUICK.duration_s
            server.delay_s = 0.0
            await until(lambda: first.leads)

    play(story)


def test_what_others_have_written_there_stays() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        server.put(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": "tulle", "namespace": "tulle-system", "labels": {"a": "b"}},
                "spec": {"holderIdentity": None, "strategy": "x"},
            }
        )
        wall = lambda: datetime(2026, 1, 2, 3, 4, 5, 678, UTC)  # noqa: E731
        first = Candidate(client, "first", wall=wall)
        async with running(first):
            await until(lambda: first.leads)
            lease = server.get("Lease", "tulle", "tulle-system")
            assert lease["metadata"]["labels"] == {"a": "b"}
            assert lease["spec"] == {
                "holderIdentity": "first",
                "strategy": "x",
                "acquireTime": "2026-01-02T03:04:05.000678Z",
                "renewTime": "2026-01-02T03:04:05.000678Z",
                "leaseDurationSeconds": 1,
                "leaseTransitions": 1,
            }

    play(story)


def test_a_holder_asks_one_thing_at_a_time() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        first = Candidate(client, "first")
        async with running(first):
            await until(lambda: first.leads)
            asked = len(server.requests)
            await until(lambda: len(server.requests) > asked + 3)
            assert {each.method for each in server.requests[asked:]} == {"PUT"}
            changed = json.loads(server.requests[-1].body)
            server.put({**changed, "spec": {**changed["spec"], "holderIdentity": "thief"}})
            await until(lambda: first.told == ["gain", "loss"])
            assert first.lease.holder == "thief"

    play(story)
