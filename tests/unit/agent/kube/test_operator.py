"""The operator says what an agent would say, on an API server in memory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import aiohttp

from tests.unit.edges.kubernetes.server import FakeServer
from tulle.agent.desired import desired
from tulle.agent.kube import operator as module
from tulle.agent.kube.operator import Operator, OperatorOptions, serve
from tulle.agent.mesh import mesh
from tulle.agent.worlds import world_of
from tulle.compile import Ids
from tulle.edges.kubernetes.client import Client
from tulle.model.kubernetes import NodeObject, Service
from tulle.model.world import Node, Settings

Json = dict[str, Any]

CIDRS = (ip_network("198.18.96.0/20"),)
GATEWAY_API = "gateway.networking.k8s.io/v1"
HERE = {"namespace": "shop"}
OBJECTS: tuple[Json, ...] = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
    {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "a"},
        "spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"]},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.168.96.11"}]},
    },
    {
        "apiVersion": GATEWAY_API,
        "kind": "GatewayClass",
        "metadata": {"name": "tulle", "generation": 1},
        "spec": {"controllerName": "tulle.io/gateway-controller"},
    },
    {
        "apiVersion": GATEWAY_API,
        "kind": "Gateway",
        "metadata": {"name": "door", **HERE, "generation": 3},
        "spec": {
            "gatewayClassName": "tulle",
            "listeners": [{"name": "web", "port": 80, "protocol": "HTTP"}],
        },
    },
    {
        "apiVersion": GATEWAY_API,
        "kind": "HTTPRoute",
        "metadata": {"name": "web", **HERE, "generation": 1},
        "spec": {
            "parentRefs": [{"name": "door"}],
            "rules": [{"backendRefs": [{"name": "nobody", "port": 80}]}],
        },
    },
)


Story = Callable[[FakeServer, Operator], Awaitable[None]]


def play(tmp_path: Path, story: Story, away: str = "") -> None:
    """Nothing below the path `away` is answered."""

    async def main() -> None:
        async with asyncio.timeout(30), FakeServer() as server:
            if away:
                server.fail(503, path=away, times=1000)
            for obj in OBJECTS:
                server.put(obj)
            client = Client(server.access)
            options = OperatorOptions("tulle-system", "me", CIDRS, tmp_path / "state")
            operator = Operator(client, options)
            running = asyncio.create_task(operator.run())
            try:
                await story(server, operator)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await client.close()

    asyncio.run(main())


async def until(holds: Callable[[], object]) -> None:
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def conditions(status: Json) -> dict[str, str]:
    return {item["type"]: item["status"] for item in status.get("conditions", [])}


def test_statuses_are_written_and_follow_what_changes(tmp_path: Path) -> None:
    async def story(server: FakeServer, operator: Operator) -> None:
        def status(kind: str, name: str, namespace: str = "shop") -> Json:
            found: Json = server.get(kind, name, namespace).get("status") or {}
            return found

        await until(lambda: conditions(status("Gateway", "door")).get("Programmed") == "True")
        (address,) = status("Gateway", "door")["addresses"]
        assert ip_address(address["value"]) in CIDRS[0]
        await until(lambda: conditions(status("GatewayClass", "tulle", "")))
        await until(lambda: status("HTTPRoute", "web").get("parents"))
        (parent,) = status("HTTPRoute", "web")["parents"]
        assert conditions(parent)["ResolvedRefs"] == "False"
        server.put(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "nobody", **HERE},
                "spec": {
                    "clusterIP": "10.96.0.9",
                    "clusterIPs": ["10.96.0.9"],
                    "ports": [{"port": 80}],
                },
            }
        )
        await until(
            lambda: conditions(status("HTTPRoute", "web")["parents"][0])["ResolvedRefs"] == "True"
        )

    play(tmp_path, story)


def test_an_agent_would_say_the_same(tmp_path: Path) -> None:
    async def story(server: FakeServer, operator: Operator) -> None:
        await until(lambda: operator.is_ready)
        snapshot, others = operator.source.scan(), operator.population.scan()
        own = Node(
            "b",
            addresses=(ip_address("192.168.96.12"),),
            service_cidrs=CIDRS,
            pod_cidrs=(ip_network("10.1.1.0/24"),),
        )
        seen = mesh(own, {}, others, snapshot.named(NodeObject))
        services = snapshot.of(Service)
        world = world_of(snapshot, seen, Settings(endpoints="listed"), services)
        of_agent = desired(world, Ids())
        assert operator._desired is not None
        assert dict(operator._desired.routing.status) == dict(of_agent.routing.status)
        assert dict(operator._desired.allocated.services) == dict(of_agent.allocated.services)

    play(tmp_path, story)


def test_probes(tmp_path: Path, monkeypatch: Any) -> None:
    async def story(server: FakeServer, running: Operator) -> None:
        client = Client(server.access)
        operator = Operator(client, OperatorOptions("mesh", "it", CIDRS, tmp_path / "other"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        runner = await serve(operator, port)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

            async def asked(path: str) -> int:
                async with session.get(path) as answer:
                    return answer.status

            assert await asked("/healthz") == 200
            assert await asked("/readyz") == 503
            operator.passes = 1
            assert await asked("/readyz") == 200
            monkeypatch.setattr(module, "_STUCK_S", -1.0)
            operator._asked_s = 0.0
            assert await asked("/healthz") == 503
        await runner.cleanup()

    play(tmp_path, story)


def test_nothing_is_written_before_everything_is_known(tmp_path: Path) -> None:
    async def story(server: FakeServer, operator: Operator) -> None:
        await until(lambda: operator.problem)
        await until(lambda: operator.duties.status()["leader"])
        assert not operator.is_ready
        assert operator.is_alive
        assert not [item for item in server.writes if item.path.endswith("/status")]

    play(tmp_path, story, away="/api/v1/pods")
