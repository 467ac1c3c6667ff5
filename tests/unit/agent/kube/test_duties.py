from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.unit.agent.kube.api import FakeApi, Resource, document
from tests.unit.agent.kube.leases import FakeLease
from tulle.agent.kube.duties import Duties
from tulle.compile.services import Allocated
from tulle.edges.manifests.directory import Snapshot
from tulle.model.gateway import Gateway, GatewaySpec
from tulle.model.kubernetes import ObjectMeta, ObjectRef
from tulle.model.routing import Routing
from tulle.model.world import Refusal, World

DOOR = ObjectRef("Gateway", "shop", "door")
FILE = ObjectRef("Checkpoint", "", "last-good")  # no object of an API


@dataclass(frozen=True)
class Pass:
    snapshot: Snapshot
    routing: Routing
    allocated: Allocated = field(default_factory=Allocated)
    refusals: tuple[Refusal, ...] = ()
    world: World = field(default_factory=World)


def pass_of(message: str) -> Pass:
    gateway = Gateway(ObjectMeta("door", "shop", uid="u-1"), GatewaySpec("tulle", ()))
    condition = {"type": "Accepted", "status": "True", "reason": "Any", "message": message}
    return Pass(
        Snapshot({"Gateway": {("shop", "door"): gateway}}, ()),
        Routing(status={DOOR: {"conditions": [condition]}}),
    )


def told(api: FakeApi) -> str:
    status = api.status(DOOR)
    return str(status["conditions"][0]["message"]) if status else ""


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        for _ in itertools.count():
            if holds():
                return
            await asyncio.sleep(0)


def test_two_candidates_one_after_the_other() -> None:
    """The second knows all the time what is to be said, and goes on where the first stopped."""

    async def go() -> None:
        api, leases = FakeApi(), [FakeLease(), FakeLease()]
        api.has(document(DOOR))
        both = [Duties(api, Resource, lease) for lease in leases]
        tasks = [asyncio.create_task(duties.run()) for duties in both]
        await asyncio.sleep(0)

        def tell(message: str) -> None:
            for duties in both:
                duties.tell(pass_of(message))

        tell("a")
        assert api.asked == []
        leases[0].gain()
        await until(lambda: told(api) == "a")
        tell("b")
        await until(lambda: told(api) == "b")
        leases[0].lose()
        tell("c")
        leases[1].gain()
        await until(lambda: told(api) == "c")
        await until(lambda: not both[1].writer.waiting)
        assert [duties.writer.written for duties in both] == [2, 1]
        assert [duties.status()["leads"] for duties in both] == [False, True]
        assert both[1].status() == {
            "leads": True,
            "leader": "",
            "problem": "",
            "events": {"written": 0, "lost": 0, "problem": ""},
            "written": 1,
            "waiting": 0,
            "problems": [],
            "more_problems": 0,
        }
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(go())


def test_a_refusal_is_told_once_by_the_one_who_leads() -> None:
    async def go() -> None:
        api, lease = FakeApi(), FakeLease()
        api.has(document(DOOR))
        duties = Duties(api, Resource, lease)
        task = asyncio.create_task(duties.run())
        await asyncio.sleep(0)
        refused = replace(pass_of("a"), refusals=(Refusal(DOOR, "no"), Refusal(FILE, "bent")))
        duties.tell(refused)
        assert api.asked == []
        lease.gain()
        await until(lambda: api.events)
        duties.tell(replace(refused, routing=Routing()))
        duties.tell(refused)
        await until(lambda: told(api) == "a")
        (event,) = api.events.values()
        assert (event["reason"], event["note"]) == ("Refused", "no")
        assert "series" not in event
        assert duties.status()["events"]["written"] == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(go())


def test_one_that_gains_the_lease_before_its_first_pass_waits_for_it() -> None:
    async def go() -> None:
        api, lease = FakeApi(), FakeLease()
        api.has(document(DOOR))
        duties = Duties(api, Resource, lease)
        task = asyncio.create_task(duties.run())
        await asyncio.sleep(0)
        lease.gain()
        await until(lambda: duties.writer.is_running)
        assert api.asked == []
        duties.tell(pass_of("a"))
        await until(lambda: told(api) == "a")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(go())
