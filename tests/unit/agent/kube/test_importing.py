"""Whoever writes for all, about imports: with an API server in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from tests.unit.agent.kube.beside import beside
from tests.unit.edges.kubernetes.registry import SERVED
from tests.unit.edges.kubernetes.server import FakeServer
from tulle.agent.kube import importing as module
from tulle.agent.kube.decode import decode
from tulle.agent.kube.importing import Importing
from tulle.compile.services import Allocated
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.discovery import Resource
from tulle.edges.manifests.directory import Snapshot
from tulle.model.kubernetes import ObjectMeta, ObjectRef, Service, ServicePort, ServiceSpec
from tulle.model.multicluster import ClusterSet, ServiceImport
from tulle.model.world import Refusal

VERSION = "v1alpha1"
IMPORTS = Resource("multicluster.x-k8s.io", VERSION, "serviceimports", "ServiceImport", True, True)
ALL = (*SERVED, IMPORTS)


@dataclass(frozen=True)
class InForce:
    snapshot: Snapshot
    allocated: Allocated


@dataclass
class Story:
    server: FakeServer
    importing: Importing
    leads: bool = True

    def imports(self) -> dict[Any, Any]:
        return self.server.objects("ServiceImport")

    def tell(self, *ips: str, whole: bool = True, knows: bool = True, **refused: str) -> None:
        """What a pass of now comes to; without an address nothing is exported."""
        version = IMPORTS.group_version
        have: dict[Any, Any] = {
            key: decode("ServiceImport", msgspec.json.encode(obj), version)
            for key, obj in self.imports().items()
            if knows
        }
        refusals = tuple(
            Refusal(ObjectRef("ServiceImport", "shop", name), why) for name, why in refused.items()
        )
        meta = ObjectMeta("clusterset/web", "shop")
        stands = Service(meta, ServiceSpec((ServicePort(80),), cluster_ips=ips))
        given = {("shop", "clusterset/web"): stands} if ips else {}
        snapshot = Snapshot({"ServiceImport": have}, refusals, clusterset=ClusterSet({}, whole))
        self.importing.tell(InForce(snapshot, Allocated(given)))

    async def until(self, holds: Callable[[], object], *ips: str, whole: bool = True) -> None:
        while not holds():
            self.tell(*ips, whole=whole)
            await asyncio.sleep(0.02)


def play(story: Callable[[Story], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), FakeServer(ALL) as server:
            client = Client(server.access)
            of = {each.kind: each for each in ALL}
            told = Story(server, Importing(client, of.get, lambda: told.leads))
            async with beside(told.importing.run(), client):
                await story(told)

    asyncio.run(main())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    monkeypatch.setattr(module, "AGAIN_S", 0.05)


def test_an_import_is_there_as_long_as_anybody_exports_it() -> None:
    async def go(story: Story) -> None:
        await story.until(story.imports, "198.18.97.5")
        ((key, made),) = story.imports().items()
        assert key == ("shop", "web") and made["spec"]["ips"] == ["198.18.97.5"]
        writes = len(story.server.writes)
        for _ in range(5):
            story.tell("198.18.97.5")
            await asyncio.sleep(0.02)
        assert len(story.server.writes) == writes, "what stands there is not written again"
        theirs = ServiceImport(ObjectMeta("far", "shop"))
        story.server.put(msgspec.to_builtins(theirs) | {
            "apiVersion": IMPORTS.group_version, "kind": "ServiceImport"
        })  # fmt: skip
        for _ in range(5):
            story.tell(whole=False)
            await asyncio.sleep(0.02)
        assert len(story.imports()) == 2, "one that has not spoken yet may export it"
        await story.until(lambda: len(story.imports()) == 1)
        assert story.imports().keys() == {("shop", "far")}, "that is another controller's"

    play(go)


def test_what_cannot_be_written_is_told_and_tried_again() -> None:
    async def go(story: Story) -> None:
        story.server.fail(403, method="PATCH", times=3, path="/apis/multicluster")
        story.tell("198.18.97.5")
        while not story.importing.problems:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        (ref,) = story.importing.problems
        assert str(ref) == "ServiceImport shop/web"
        while story.importing.problems:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert story.imports()

    play(go)


def test_whoever_does_not_lead_writes_nothing() -> None:
    async def go(story: Story) -> None:
        story.leads = False
        await story.until(lambda: story.importing.problems, "198.18.97.5")
        assert not story.server.writes

    play(go)


def test_what_is_not_known_to_be_ours_is_not_overwritten() -> None:
    async def go(story: Story) -> None:
        theirs = msgspec.to_builtins(ServiceImport(ObjectMeta("web", "shop"))) | {
            "apiVersion": IMPORTS.group_version, "kind": "ServiceImport",
        }  # fmt: skip
        theirs["metadata"]["managedFields"] = [{"manager": "other"}]
        story.server.put(theirs)
        before = story.imports()
        for _ in range(10):
            story.tell("198.18.97.5", knows=False)
            await asyncio.sleep(0.02)
        assert story.server.writes and story.imports() == before and not story.importing.problems
        story.tell("198.18.97.5", knows=False, web="spec.ips: is no list")
        await asyncio.sleep(0.1)
        writes = len(story.server.writes)
        for _ in range(5):
            story.tell("198.18.97.5", knows=False, web="spec.ips: is no list")
            await asyncio.sleep(0.02)
        assert len(story.server.writes) == writes, "one that cannot be read is left alone"

    play(go)
