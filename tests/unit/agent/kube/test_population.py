"""Other nodes and their Pods, as an API server in memory tells of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.agent.kube import test_census as census
from tests.unit.edges.kubernetes.server import FakeServer
from tulle.agent.attachments import PodFacts
from tulle.agent.kube import population as module
from tulle.agent.kube.population import Population
from tulle.edges.kubernetes.client import Client
from tulle.errors import Refused, Unavailable
from tulle.model.bandwidth import EGRESS_ANNOTATION, INGRESS_ANNOTATION, Bandwidth, Limit
from tulle.model.kubernetes import WEIGHT_ANNOTATION, ContainerPort


def put(server: FakeServer, kind: str, told: tuple[Any, bytes]) -> dict[str, Any]:
    return server.put({"apiVersion": "v1", "kind": kind, **json.loads(told[1])})


class Story:
    def __init__(self, server: FakeServer, path: Path) -> None:
        self.server, self.path, self.asked = server, path, 0
        self.namespaces = {"shop"}
        self.clients: list[Client] = []
        self.population = self.make()

    def make(self) -> Population:
        self.clients.append(Client(self.server.access))
        memory = self.path / "others.json"
        has = self.namespaces.__contains__
        made = Population(self.clients[-1], "a", memory, time.monotonic, has)
        made.watch(self.ask)
        return made

    def ask(self) -> None:
        self.asked += 1

    async def until(self, holds: Callable[[], object]) -> None:
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def is_known(self) -> bool:
        try:
            self.population.scan()
        except Unavailable:
            return False
        return True


def play(tmp_path: Path, story: Callable[[Story], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), FakeServer() as server:
            for number, name in enumerate("abc", 1):
                put(server, "Node", census.node(name, number))
            put(server, "Pod", census.pod())
            put(server, "Pod", census.pod("own", "a", "10.244.1.5"))
            told = Story(server, tmp_path)
            running = asyncio.create_task(told.population.run())
            try:
                await story(told)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                for client in told.clients:
                    await client.close()

    asyncio.run(main())


def test_others_are_those_on_other_nodes(tmp_path: Path) -> None:
    async def story(told: Story) -> None:
        with pytest.raises(Unavailable, match="has not told of Nodes and Pods"):
            told.population.scan()
        await told.until(told.is_known)
        found = told.population.scan()
        assert {name: list(s.workloads) for name, s in found.nodes.items()} == {
            "b": [("shop", "web")],
            "c": [],
        }
        put(told.server, "Pod", census.pod("more", ip="10.244.2.6"))
        await told.until(lambda: len(told.population.scan().nodes["b"].workloads) == 2)
        told.server.remove("Pod", "web", "shop")
        told.server.remove("Node", "c")
        await told.until(lambda: told.population.scan().nodes.keys() == {"b"})
        await told.until(lambda: len(told.population.scan().nodes["b"].workloads) == 1)
        assert told.asked

    play(tmp_path, story)


def test_of_own_pods_it_knows_what_they_are(tmp_path: Path) -> None:
    async def story(told: Story) -> None:
        own = told.population.own
        await told.until(own.all)
        (facts,) = own.all().values()
        ports = (ContainerPort(8080, "http"),)
        assert facts == PodFacts({"app": "own"}, "shop", ports, 1, facts.uid)
        before = own.all()
        assert not own.put(("shop", "own"), b"nonsense") and own.all() is before
        told.server.remove("Pod", "own", "shop")
        await told.until(lambda: not own.all())

    play(tmp_path, story)


def test_a_pod_that_starts_is_found_before_the_watch_tells_of_it(tmp_path: Path) -> None:
    async def story(told: Story) -> None:
        own = told.population.own
        await told.until(own.all)
        told.server.fail(500, times=10_000, path="/api/v1/pods")
        told.server.cut()
        made = put(told.server, "Pod", census.pod("new", "a", ""))
        facts = await own.find(("shop", "new"), made["metadata"]["uid"])
        assert facts.labels == {"app": "new"}
        assert own.all()["shop", "new"] == facts
        with pytest.raises(Refused, match="has another of that name"):
            await own.find(("shop", "new"), "elsewhere")
        with pytest.raises(Refused, match="has no such Pod"):
            await own.find(("shop", "none"), "")
        annotations = {"kubernetes.io/config.mirror": "by-the-kubelet", EGRESS_ANNOTATION: "5M"}
        static = census.pod("static", "a", "", metadata={"annotations": annotations})
        put(told.server, "Pod", static)
        facts = await own.find(("shop", "static"), "by-the-kubelet")
        assert (facts.labels, facts.uid) == ({"app": "static"}, "by-the-kubelet")
        assert facts.bandwidth == Bandwidth(egress=Limit(5_000_000))
        annotations = {INGRESS_ANNOTATION: "fast"}
        put(told.server, "Pod", census.pod("odd", "a", "", metadata={"annotations": annotations}))
        with pytest.raises(Refused, match=r'ingress-bandwidth.*"fast" is no bandwidth'):
            await own.find(("shop", "odd"), "")

    play(tmp_path, story)


def test_no_annotation_keeps_a_pod_from_its_new_labels(tmp_path: Path) -> None:
    async def story(told: Story) -> None:
        own, key = told.population.own, ("shop", "own")
        await told.until(own.all)
        uid = own.all()[key].uid
        for bad in ({EGRESS_ANNOTATION: "fast"}, {WEIGHT_ANNOTATION: "-1"}):
            hash_of_its_own = {"kubernetes.io/config.hash": "x"}
            cut = {"labels": {"quarantine": "now"}, "annotations": bad | hash_of_its_own}
            put(told.server, "Pod", census.pod("own", "a", "10.244.1.5", metadata=cut))
            (name,) = bad
            await told.until(lambda name=name: name in own.all()[key].problem)
            assert (own.all()[key].labels, own.all()[key].uid) == ({"quarantine": "now"}, uid)
            (problem,) = told.population.problems
            assert problem.startswith("Pod shop/own: metadata.annotations[") and name in problem

    play(tmp_path, story)


def test_a_pod_waits_for_the_labels_of_its_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(told: Story) -> None:
        told.namespaces.clear()
        finding = asyncio.create_task(told.population.own.find(("shop", "own"), ""))
        done, _ = await asyncio.wait([finding], timeout=0.3)
        assert not done
        told.namespaces.add("shop")
        assert (await finding).labels == {"app": "own"}
        told.namespaces.clear()
        monkeypatch.setattr("tulle.agent.kube.own.WAIT_S", 0.0)
        with pytest.raises(Unavailable, match="Namespace shop"):
            await told.population.own.find(("shop", "own"), "")

    play(tmp_path, story)


def test_who_was_there_is_there_while_no_server_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBER_S", 0.1)
    memory = tmp_path / "others.json"

    async def story(told: Story) -> None:
        await told.until(memory.exists)
        before = told.population.scan()
        await told.server.stop()
        assert told.population.scan() is before
        again = told.make()
        running = asyncio.create_task(again.run())
        told.population = again
        await told.until(told.is_known)
        found = again.scan()
        assert {name: s.workloads for name, s in found.nodes.items()} == {
            name: s.workloads for name, s in before.nodes.items()
        }
        assert [s.node for s in found.nodes.values()] == [s.node for s in before.nodes.values()]
        await told.server.start()
        told.server.remove("Pod", "web", "shop")
        await told.until(lambda: not again.scan().nodes["b"].workloads)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    play(tmp_path, story)
    assert memory.stat().st_mode & 0o777 == 0o600
