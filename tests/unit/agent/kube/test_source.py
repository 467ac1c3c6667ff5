"""The world that an API server gives, against one in memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.agent.kube import said
from tests.unit.edges.kubernetes.registry import SERVED, Json
from tests.unit.edges.kubernetes.server import FakeServer
from tulle.agent.kube import source as module
from tulle.agent.kube.decode import checked
from tulle.agent.kube.source import KubernetesSource
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.discovery import Resource
from tulle.edges.manifests.checkpoint import Checkpoint
from tulle.errors import Unavailable, UsageError
from tulle.model.contents import Secret
from tulle.model.gateway import Gateway
from tulle.model.gateway_routes import HTTPRoute
from tulle.model.kubernetes import (
    EndpointSlice,
    Namespace,
    NetworkPolicy,
    NodeObject,
    ObjectMeta,
    ObjectRef,
    Service,
)

NODE = "node-1"
GATEWAY = "gateway.networking.k8s.io/v1"
CRDS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False
)


def obj(kind: str, raw: bytes, version: str = "v1") -> Json:
    value: Json = json.loads(raw)
    return {"apiVersion": version, "kind": kind, **value}


def a_policy(name: str, spec: Any) -> Json:
    return obj("NetworkPolicy", said.said(name, spec=spec), "networking.k8s.io/v1")


def a_gateway(secret: str) -> Json:
    tls = {"certificateRefs": [{"name": secret}]}
    listener = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": tls}
    spec = {"gatewayClassName": "tulle", "listeners": [listener]}
    return obj("Gateway", said.said("web", spec=spec), GATEWAY)


class Story:
    """A source that runs, and its server."""

    def __init__(self, server: FakeServer, path: Path) -> None:
        self.server, self.path = server, path
        self.asked = 0
        self.clients: list[Client] = []
        self.source = self.make()

    def make(self) -> KubernetesSource:
        checkpoint = Checkpoint(self.path / "last-good.json", checked)
        self.clients.append(Client(self.server.access))
        source = KubernetesSource(self.clients[-1], checkpoint, time.monotonic, NODE)
        source.watch(self.ask)
        return source

    def ask(self) -> None:
        self.asked += 1

    async def until(self, holds: Callable[[], object]) -> None:
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def known(self) -> None:
        await self.until(self.is_known)

    async def only_waits_for(self, kind: str) -> None:
        end = f"has not told of {kind} yet"
        await self.until(lambda: [p for p in self.source.problems if p.endswith(end)])

    def is_known(self) -> bool:
        try:
            self.source.scan()
        except Unavailable:
            return False
        return True


def play(tmp_path: Path, story: Callable[[Story], Awaitable[None]], served: Any = SERVED) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), FakeServer(served) as server:
            told = Story(server, tmp_path)
            running = asyncio.create_task(told.source.run())
            try:
                await story(told)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                told.source.unwatch()
                for client in told.clients:
                    await client.close()

    asyncio.run(main())


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLING_S", 0.01)


def test_it_says_what_the_server_says(tmp_path: Path) -> None:
    async def story(told: Story) -> None:
        server, source = told.server, told.source
        server.put(obj("Namespace", said.said("shop", "")))
        server.put(obj("Service", said.service()))
        server.put(obj("EndpointSlice", said.slice_v1beta1(), "discovery.k8s.io/v1"))
        server.put(obj("Node", said.said(NODE, "")))
        server.put(obj("Node", said.said("node-2", "")))
        await told.known()
        first = source.scan()
        assert first.of(Service).keys() == {("shop", "web")}
        assert first.of(EndpointSlice).keys() == {("shop", "web-x7k2p")}
        assert first.named(NodeObject).keys() == {NODE}
        assert source.scan() is first
        assert source.status()["kinds"]["HTTPRoute"]["phase"] == "synced"
        assert source.status()["kinds"]["TCPRoute"]["phase"] == "absent"
        asked = told.asked
        server.put(a_policy("all", {"podSelector": {}}))
        await told.until(lambda: source.scan().of(NetworkPolicy))
        assert told.asked > asked
        server.remove("Service", "web", "shop")
        await told.until(lambda: not source.scan().of(Service))
        assert source.scan().named(Namespace) is first.named(Namespace)
        assert not source.problems

    play(tmp_path, story)


def test_as_long_as_a_kind_is_unknown_nothing_is_known(tmp_path: Path) -> None:
    async def story(told: Story) -> None:
        told.server.fail(500, times=10_000, path="/apis/networking.k8s.io/v1/networkpolicies")
        await told.only_waits_for("NetworkPolicy")
        with pytest.raises(Unavailable, match="has not told of NetworkPolicy yet"):
            told.source.scan()
        told.server._failures.clear()
        await told.known()

    play(tmp_path, story)


def test_a_kind_that_may_not_be_read_is_told_and_the_others_hold(tmp_path: Path) -> None:
    async def story(told: Story) -> None:
        told.server.fail(403, "Forbidden", times=10_000, path=f"/apis/{GATEWAY}/httproutes")
        await told.known()
        assert told.source.scan().of(HTTPRoute) == {}
        (problem,) = told.source.problems
        assert problem.startswith("HTTPRoute: ") and "403" in problem

    play(tmp_path, story)


def test_policies_that_may_not_be_read_are_not_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECALL_AFTER_S", 0.3)
    path = "/apis/networking.k8s.io/v1/networkpolicies"

    async def first(told: Story) -> None:
        told.server.fail(403, "Forbidden", times=10_000, path=path)
        await told.only_waits_for("NetworkPolicy")
        with pytest.raises(Unavailable, match="has not told of NetworkPolicy yet"):
            told.source.scan()
        await told.until(lambda: [p for p in told.source.problems if "403" in p])
        told.server._failures.clear()
        told.server.put(a_policy("all", {"podSelector": {}}))
        await told.until(lambda: told.is_known() and told.source.scan().of(NetworkPolicy))

    async def later(told: Story) -> None:
        told.server.fail(403, "Forbidden", times=10_000, path=path)
        await told.known()
        assert told.source.scan().of(NetworkPolicy).keys() == {("shop", "all")}
        assert "to an earlier agent" in told.source.problems[0]

    play(tmp_path, first)
    play(tmp_path, later)


def test_a_bad_object_takes_no_other_down_and_keeps_its_last_good_version(tmp_path: Path) -> None:
    async def story(told: Story) -> None:
        told.server.put(a_policy("a", {"podSelector": {}}))
        told.server.put(a_policy("b", {"podSelector": {}, "ingress": [{"fromSpace": 1}]}))
        await told.known()
        now = told.source.scan()
        assert now.of(NetworkPolicy).keys() == {("shop", "a")}
        assert [item.ref for item in now.refusals] == [ObjectRef("NetworkPolicy", "shop", "b")]
        told.server.put(a_policy("a", {"podSelector": {}, "ingress": [{"fromSpace": 1}]}))
        await told.until(lambda: len(told.source.scan().refusals) == 2)
        assert told.source.scan().of(NetworkPolicy) is now.of(NetworkPolicy)

    play(tmp_path, story)


def test_our_own_status_comes_back_and_asks_for_nothing(tmp_path: Path) -> None:
    async def story(told: Story) -> None:
        made = told.server.put(a_gateway("key"))
        await told.known()
        before, asked = told.source.scan(), told.asked
        told.server.put({**made, "status": {"conditions": [{"type": "Programmed"}]}})
        told.server.put(a_policy("after", {"podSelector": {}}))
        await told.until(lambda: told.source.scan() is not before)
        assert told.asked == asked + 1
        assert told.source.scan().of(Gateway) is before.of(Gateway)

    play(tmp_path, story)


def test_only_secrets_that_are_named_are_read(tmp_path: Path) -> None:
    def secret(name: str) -> Json:
        return obj("Secret", said.said(name, type="Opaque", data={"a": "aGk="}))

    async def story(told: Story) -> None:
        server, source = told.server, told.source
        for name in ("key", "other"):
            server.put(secret(name))
        server.put(a_gateway("key"))
        await told.known()
        assert source.scan().of(Secret).keys() == {("shop", "key")}
        server.put(a_gateway("other"))
        await told.until(lambda: source.scan().of(Secret).keys() == {("shop", "other")})
        server.remove("Secret", "other", "shop")
        await told.until(lambda: not source.scan().of(Secret))
        asked = [item for item in server.requests if "secrets" in item.path]
        assert all("metadata.name=" in item.query["fieldSelector"] for item in asked)
        assert all(item.path.startswith("/api/v1/namespaces/shop/") for item in asked)

    play(tmp_path, story)


def test_a_kind_that_is_defined_later_is_read(tmp_path: Path) -> None:
    served = [item for item in (*SERVED, CRDS) if item.kind != "HTTPRoute"]
    (routes,) = (item for item in SERVED if item.kind == "HTTPRoute")

    async def story(told: Story) -> None:
        await told.known()
        assert told.source.status()["kinds"]["HTTPRoute"]["phase"] == "absent"
        told.server.served.append(routes)
        spec = {"parentRefs": [{"name": "web"}]}
        told.server.put(obj("HTTPRoute", said.said("web", spec=spec), GATEWAY))
        definition = said.said("httproutes.gateway.networking.k8s.io", "")
        told.server.put(obj(CRDS.kind, definition, "apiextensions.k8s.io/v1"))
        await told.until(lambda: told.source.scan().of(HTTPRoute))

    play(tmp_path, story, served)


def test_what_was_good_is_in_force_while_no_server_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tulle.agent.kube.feeds.TOLD_AFTER_S", 0.0)
    monkeypatch.setattr(module, "TOLD_AFTER_S", 0.0)

    async def story(told: Story) -> None:
        status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}
        told.server.put(obj("Service", said.service(status=status, type="LoadBalancer")))
        told.server.put(a_gateway("key"))
        told.server.put(obj("Secret", said.said("key", data={"a": "aGk="})))
        await told.known()
        before = told.source.scan()
        await told.server.stop()
        await told.until(lambda: told.source.problems)
        assert "holds" in told.source.problems[0]
        assert told.source.scan() is before  # it is told, and changes nothing

        old, again = told.source, told.make()  # an agent that starts now
        old.unwatch()
        running = asyncio.create_task(again.run())
        told.source = again
        await told.known()
        assert again.scan().kinds == {kind: o for kind, o in before.kinds.items() if o}
        assert again.problems

        await told.server.start()
        told.server.remove("Secret", "key", "shop")
        told.server.remove("Gateway", "web", "shop")
        await told.until(lambda: not again.scan().of(Gateway) and not again.scan().of(Secret))
        await told.until(lambda: not again.problems)
        assert again.scan().of(Service) == before.of(Service)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    play(tmp_path, story)


def test_what_has_gone_meanwhile_is_not_good_for_a_later_agent(tmp_path: Path) -> None:
    path = tmp_path / "last-good.json"

    async def story(told: Story) -> None:
        told.server.put(obj("Namespace", said.said("shop", "")))
        await told.known()
        told.source.scan()

    async def empty(told: Story) -> None:
        assert told.source._remembered
        await told.known()
        told.source.scan()

    play(tmp_path, story)
    assert Checkpoint(path).load()
    play(tmp_path, empty)
    assert not Checkpoint(path).load()


def test_objects_are_not_changed_here(tmp_path: Path) -> None:
    async def story(told: Story) -> None:
        with pytest.raises(UsageError, match="use kubectl apply"):
            told.source.put(Namespace(ObjectMeta("shop")))
        with pytest.raises(UsageError, match="use kubectl delete"):
            told.source.remove(ObjectRef("Namespace", "", "shop"))

    play(tmp_path, story)
