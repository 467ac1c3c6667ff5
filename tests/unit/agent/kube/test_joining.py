"""A host and an API server in memory: what is there, and what the server says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
import pytest

from tests.unit.edges.kubernetes.registry import SERVED
from tests.unit.edges.kubernetes.server import FakeServer
from tulle.agent.kube import joining as module
from tulle.agent.kube.decode import decode
from tulle.agent.kube.joining import Joining
from tulle.edges.kubernetes.client import Client
from tulle.edges.manifests.directory import Snapshot
from tulle.model.kubernetes import ContainerPort
from tulle.model.world import Key, Node, Workload

HOSTED = tuple(module._RESOURCES.values())
NODE = Node(
    "h",
    (ip_address("192.0.2.9"), ip_address("10.244.9.1")),
    labels={"topology.kubernetes.io/zone": "z"},
    pod_cidrs=(ip_network("10.244.9.0/24"),),
)


def runs(name: str, number: int = 2, **more: Any) -> dict[Key, Workload]:
    address = ip_address(f"10.244.9.{number}")
    ports = (ContainerPort(80, "http"), ContainerPort(90, "s", "SCTP"))
    made = Workload("shop", name, {"app": name}, (address,), 7, ports, **more)
    return {("shop", name): made}


class Story:
    def __init__(self, server: FakeServer) -> None:
        self.server, self.client = server, Client(server.access)
        self.host = Joining(self.client, "mesh", "h", self.scan)

    def scan(self) -> Snapshot:
        """As a source has it, but at once."""
        kinds: dict[str, dict[Any, Any]] = {}
        for each in HOSTED:
            for (namespace, name), obj in self.server.objects(each.kind).items():
                key = (namespace, name) if namespace else name
                made = decode(each.kind, msgspec.json.encode(obj), each.group_version)
                kinds.setdefault(each.kind, {})[key] = made
        return Snapshot(kinds, ())

    def told(self) -> set[str]:
        return {name for _, name in self.server.objects("MeshWorkload")}

    async def until(self, holds: Callable[[], object]) -> None:
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def play(story: Callable[[Story], Awaitable[None]]) -> None:
    async def main() -> None:
        served = (*SERVED, *HOSTED)
        async with asyncio.timeout(60), FakeServer(served) as server:
            told = Story(server)
            running = asyncio.create_task(told.host.run())
            try:
                await story(told)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await told.client.close()

    asyncio.run(main())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_S", 0.05)
    monkeypatch.setattr(module, "_PAUSE_S", 0.01)


def test_a_lease_first_then_the_host_then_what_runs_there() -> None:
    async def go(story: Story) -> None:
        await asyncio.sleep(0.1)
        assert not story.server.writes, "before its first pass nobody is to come"
        story.host.tell(NODE, runs("pg", weight=3) | runs("x", 3, ready=False))
        await story.until(lambda: story.told() == {"pg", "x"})
        plurals = [request.path.split("/")[-2] for request in story.server.writes]
        first = list(dict.fromkeys(plurals))
        assert first == ["leases", "meshnodes", "meshworkloads"]
        node = story.server.get("MeshNode", "h")
        assert node["spec"] == {"addresses": ["192.0.2.9"], "podCIDRs": ["10.244.9.0/24"]}
        assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "z"
        spec = story.server.get("MeshWorkload", "pg", "shop")["spec"]
        assert spec["ports"] == [{"port": 80, "name": "http"}] and spec["weight"] == 3
        assert story.server.get("MeshWorkload", "x", "shop")["spec"]["ready"] is False
        lease = story.server.get("Lease", "tulle-host-h", "mesh")
        assert lease["metadata"]["labels"] == {"tulle.io/host": "true"}
        before = lease["spec"]["renewTime"]
        now = lambda: story.server.get("Lease", "tulle-host-h", "mesh")["spec"]["renewTime"]  # noqa: E731
        await story.until(lambda: now() != before)

    play(go)


def test_what_ends_here_ends_there_and_what_ends_there_comes_back() -> None:
    async def go(story: Story) -> None:
        other = {"apiVersion": "tulle.io/v1alpha1", "kind": "MeshWorkload"}
        spec = {"node": "another", "addresses": ["10.244.8.2"]}
        story.server.put({**other, "metadata": {"name": "o", "namespace": "shop"}, "spec": spec})
        story.host.tell(NODE, runs("pg") | runs("x", 3))
        await story.until(lambda: story.told() == {"pg", "x", "o"})
        story.host.tell(NODE, runs("pg"))
        await story.until(lambda: story.told() == {"pg", "o"})
        story.server.remove("MeshWorkload", "pg", "shop")
        story.host.tell(NODE, runs("pg"))
        await story.until(lambda: story.told() == {"pg", "o"})
        count = len([r for r in story.server.writes if "leases" not in r.path])
        story.host.tell(replace(NODE), runs("pg"))
        await asyncio.sleep(0.2)
        assert len([r for r in story.server.writes if "leases" not in r.path]) == count
        await story.host.withdraw()
        assert story.told() == {"o"} and not story.server.objects("MeshNode")
        await asyncio.sleep(0.2)
        assert not story.server.objects("Lease"), "nor does it come again"

    play(go)


def test_one_that_is_not_taken_is_told_and_the_others_are() -> None:
    async def go(story: Story) -> None:
        where = "/apis/tulle.io/v1alpha1/namespaces/shop/meshworkloads/bad"
        story.server.fail(403, method="PATCH", times=10_000, path=where)
        story.host.tell(NODE, runs("bad", 3) | runs("pg") | runs("zz", 4))
        await story.until(lambda: story.told() == {"pg", "zz"})
        await story.until(lambda: story.host.problems)
        (problem,) = story.host.problems
        assert problem.startswith("MeshWorkload shop/bad: ")
        story.host.tell(NODE, runs("pg"))
        await story.until(lambda: not story.host.problems)

    play(go)


def test_without_a_lease_or_a_way_nothing_is_told_and_why() -> None:
    async def go(story: Story) -> None:
        lease = "/apis/coordination.k8s.io/v1/namespaces/mesh/leases"
        story.server.fail(403, method="PATCH", path=lease)
        story.host.tell(replace(NODE, addresses=()), runs("pg"))
        await story.until(lambda: story.host.problems)
        assert story.host.problems[0].startswith("Lease mesh/tulle-host-h: ")
        assert not story.told()
        await story.until(lambda: any("no uplink" in item for item in story.host.problems))
        assert not story.told()

    play(go)
