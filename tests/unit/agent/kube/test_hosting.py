"""Whoever writes for all, about hosts: with an API server in memory, and a clock of its own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from tests.unit.agent.kube.beside import beside
from tests.unit.agent.kube.test_backing import service
from tests.unit.agent.kube.test_guests import host, runs
from tests.unit.edges.kubernetes.registry import SERVED
from tests.unit.edges.kubernetes.server import FakeServer
from tulle.agent.kube import hosting as module
from tulle.agent.kube.decode import decode
from tulle.agent.kube.guests import Guests
from tulle.agent.kube.hosting import Hosting
from tulle.agent.kube.joining import _RESOURCES
from tulle.agent.kube.leases import EXPIRES_S, LOOK_S
from tulle.agent.mesh import mesh
from tulle.agent.nodes import Others, joined
from tulle.agent.worlds import world_of
from tulle.edges.kubernetes.client import Client
from tulle.edges.manifests.directory import Snapshot
from tulle.model.kinds import KubernetesObject
from tulle.model.world import Node, Settings, World

READ = ("Service", "EndpointSlice", "MeshNode", "MeshWorkload")
ALL = (*SERVED, *_RESOURCES.values())


@dataclass(frozen=True)
class InForce:
    snapshot: Snapshot
    world: World


@dataclass
class Story:
    server: FakeServer
    client: Client
    now_s: float = 1000.0
    leads: bool = True
    changes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        of = {each.kind: each for each in ALL}
        self.hosting = Hosting(self.client, of.get, "mesh", lambda: self.leads, lambda: self.now_s)

    def has(self, obj: KubernetesObject) -> None:
        made = {"apiVersion": obj.api_version, "kind": obj.kind, **msgspec.to_builtins(obj)}
        self.server.put(made)

    def renew(self, name: str = "db") -> None:
        meta = {"name": f"tulle-host-{name}", "namespace": "mesh"}
        meta["labels"] = {"tulle.io/host": "true"}  # type: ignore[assignment]
        self.server.put({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta})

    def tell(self) -> None:
        """What a pass of now comes to."""
        kinds: dict[str, dict[Any, Any]] = {}
        for kind in READ:
            version = next(each.group_version for each in ALL if each.kind == kind)
            for (namespace, name), obj in self.server.objects(kind).items():
                key = (namespace, name) if namespace else name
                kinds.setdefault(kind, {})[key] = decode(kind, msgspec.json.encode(obj), version)
        snapshot = Snapshot(kinds, ())
        seen = mesh(Node("a"), {}, joined(Others(), Guests("a").of(snapshot)), {})
        self.hosting.tell(InForce(snapshot, world_of(snapshot, seen, Settings(), {})))

    def endpoints(self) -> list[str]:
        slices = self.server.objects("EndpointSlice").values()
        return [e["addresses"][0] for item in slices for e in item["endpoints"]]

    async def until(self, holds: Callable[[], object]) -> None:
        while not holds():
            self.tell()
            await asyncio.sleep(0.02)

    async def wait_s(self, time_s: float, *renewed: str) -> None:
        """In steps that each have a look."""
        for _ in range(math.ceil(time_s / LOOK_S)):
            self.now_s += LOOK_S
            for name in renewed:
                self.renew(name)
            asked = len(self.server.requests)
            await self.until(lambda asked=asked: len(self.server.requests) > asked)  # type: ignore[misc]


def play(story: Callable[[Story], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), FakeServer(ALL) as server:
            client = Client(server.access)
            told = Story(server, client)
            told.has(service("pg"))
            told.has(host())
            told.has(runs())
            run = told.hosting.run(lambda: told.changes.append(len(told.changes)))
            async with beside(run, client):
                await story(told)

    asyncio.run(main())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)


def test_who_is_there_backs_services_and_who_is_gone_does_not() -> None:
    async def go(story: Story) -> None:
        story.renew()
        await story.until(lambda: story.endpoints() == ["10.244.9.2"])
        await story.wait_s(EXPIRES_S + 3, "db")
        assert story.endpoints() == ["10.244.9.2"] and story.hosting.ready() == {"db": True}
        await story.wait_s(EXPIRES_S + 3)
        await story.until(lambda: not story.endpoints())
        await story.until(lambda: not story.server.objects("MeshWorkload"))
        assert story.hosting.ready() == {"db": False} and story.changes
        assert story.server.objects("MeshNode"), "its range stays its own"
        story.renew()  # it is back: first its Lease, then what it runs
        story.has(runs())
        await story.until(lambda: story.endpoints() == ["10.244.9.2"])
        assert story.server.objects("MeshWorkload")

    play(go)


def test_a_new_host_is_not_ended_for_a_look_that_was_before_it() -> None:
    async def go(story: Story) -> None:
        story.renew()
        await story.until(lambda: story.endpoints())
        story.renew("new")
        story.has(host("new", 8))
        story.has(runs("y", "new", "10.244.8.2"))
        story.has(service("y"))
        await story.until(lambda: len(story.endpoints()) == 2)
        assert not [r for r in story.server.writes if r.method == "DELETE"]

    play(go)


def test_without_an_answer_nobody_is_gone() -> None:
    async def go(story: Story) -> None:
        story.renew()
        await story.until(lambda: story.endpoints())
        story.server.fail(500, times=10_000, path="/apis/coordination")
        story.now_s += 1000
        await story.until(lambda: story.hosting.problems)
        assert story.endpoints() and story.server.objects("MeshWorkload")

    play(go)


def test_whoever_does_not_lead_writes_nothing() -> None:
    async def go(story: Story) -> None:
        story.leads = False
        for _ in range(10):
            story.tell()
            await asyncio.sleep(0.02)
        assert not story.server.requests

    play(go)


def test_a_slice_that_cannot_be_written_is_told() -> None:
    async def go(story: Story) -> None:
        story.server.fail(403, method="PATCH", times=20, path="/apis/discovery.k8s.io")
        story.renew()
        await story.until(lambda: story.hosting.problems)
        (ref,) = story.hosting.problems
        assert ref.kind == "EndpointSlice"
        await story.until(lambda: story.endpoints() and not story.hosting.problems)

    play(go)
