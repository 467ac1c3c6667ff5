"""What a sink holds is what a real API server holds, whatever happens between the two."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from socket import socket

import pytest

from tests.kubernetes.chaos import Chaos, Trouble, chaos
from tests.kubernetes.control_plane import ControlPlane
from tests.unit.edges.kubernetes.stories import Json, Mirror, config_map, until
from tulle.edges import netns
from tulle.edges.kubernetes.backoff import Backoff
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.config import Access, from_kubeconfig
from tulle.edges.kubernetes.discovery import Resource, discover
from tulle.edges.kubernetes.errors import Forbidden
from tulle.edges.kubernetes.lease import Lease, Times
from tulle.edges.kubernetes.reflector import Reflector, Ways
from tulle.edges.kubernetes.wire import Key, read_page

MAPS = Resource("", "v1", "configmaps", "ConfigMap", True)
SELECTED = {"labelSelector": "of=watch"}
QUICK = Ways(page=100, spacing_s=0.05)
AT_ONCE = 16
ALL = Trouble(cut_s=1.0, gone=0.2, again=0.2, late=0.2)


def access(plane: ControlPlane, stem: str = "admin") -> Access:
    return from_kubeconfig(plane.directory / f"{stem}.kubeconfig")


@asynccontextmanager
async def client_of(plane: ControlPlane, who: Access) -> AsyncIterator[Client]:
    def make(family: int, kind: int, protocol: int) -> socket:
        return netns.run_in(plane.netns, partial(socket, family, kind, protocol))

    client = Client(who, make_socket=make, timeout_s=10)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def mirrored(
    plane: ControlPlane, who: Access, namespace: str, ways: Ways = QUICK
) -> AsyncIterator[Mirror]:
    mirror = Mirror()
    async with client_of(plane, who) as client:
        backoff = Backoff(max_s=1.0)
        reflector = Reflector(
            client, MAPS, SELECTED, mirror, time.monotonic, backoff, namespace=namespace, ways=ways
        )
        running = asyncio.create_task(reflector.run())
        try:
            yield mirror
            assert not running.done(), running.exception()
        finally:
            running.cancel()


def troubled(plane: ControlPlane, seed: int = 1) -> Chaos:
    pair = plane.directory / "server.crt"
    return chaos(access(plane), plane.netns, str(plane.address), 7443, pair, seed=seed)


class Writer:
    """Changes ConfigMaps in a namespace of its own."""

    def __init__(self, client: Client, namespace: str, seed: int = 1) -> None:
        self._client, self._namespace = client, namespace
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._chance = random.Random(seed)

    async def create(self, names: Iterable[str]) -> None:
        await asyncio.gather(*map(self._create, names))

    async def change(self, names: list[str], count: int) -> None:
        """Each time one of them: changed, deleted, or made again."""
        for number in range(count):
            name = self._chance.choice(names)
            path = MAPS.path(self._namespace, name)
            if self._chance.random() < 0.2:
                await self._client.delete(path)
                await self._create(name)
            else:
                body = json.dumps({"data": {"value": str(number)}}).encode()
                await self._client.merge_patch(path, body)

    async def delete(self, names: Iterable[str]) -> None:
        for name in names:
            await self._client.delete(MAPS.path(self._namespace, name))

    async def truth(self) -> dict[Key, str]:
        path = MAPS.path(self._namespace)
        (body,) = [page async for page in self._client.list_pages(path, SELECTED, limit=0)]
        return {item.key: item.version for item in read_page(body).items}

    async def _create(self, name: str) -> None:
        body: Json = config_map(name, "0", self._namespace, of="watch")
        async with self._turn:
            await self._client.create(MAPS.path(self._namespace), json.dumps(body).encode())


@pytest.fixture
def namespace(plane: ControlPlane, request: pytest.FixtureRequest) -> str:
    name = request.node.name.replace("_", "-").lower()
    plane.kubectl.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def test_a_thousand_objects_through_all_troubles(plane: ControlPlane, namespace: str) -> None:
    names = [f"m{number}" for number in range(1000)]

    async def story(between: Chaos) -> None:
        through = access(plane)
        troubled_access = Access(between.server, through.ca, cert=through.cert, key=through.key)
        async with (
            client_of(plane, through) as client,
            mirrored(plane, through, namespace) as straight,
            mirrored(plane, troubled_access, namespace) as mirror,
        ):
            writer = Writer(client, namespace)
            await writer.create(names)
            between.trouble = ALL
            await writer.change(names, 400)
            between.trouble = replace(ALL, gone=1.0)
            between.cut()
            await until(lambda: mirror.lists > 1)
            between.trouble = ALL
            plane.kill_api()
            await until(lambda: mirror.phase == straight.phase == "behind")
            assert len(straight.held) == 1000, "what was said last is in force"
            plane.start_api()  # here, as it ends with the thread that starts it
            await writer.delete(names[:50])
            await writer.change(names[50:], 400)
            truth = await writer.truth()
            await until(lambda: mirror.versions == straight.versions == truth)
            assert straight.lists == 1, "a server that comes back has forgotten nothing"

    with troubled(plane) as between:
        asyncio.run(asyncio.wait_for(story(between), 120))
        assert {"cut", "gone", "again", "overtaken"} <= set(+between.done)


def test_five_seconds_are_only_late(plane: ControlPlane, namespace: str) -> None:
    async def story(between: Chaos) -> None:
        own = access(plane)
        late = Access(between.server, own.ca, cert=own.cert, key=own.key)
        async with client_of(plane, own) as client, mirrored(plane, late, namespace) as mirror:
            writer = Writer(client, namespace)
            await writer.create(["a", "b"])
            await until(lambda: mirror.phase == "synced")
            between.trouble = Trouble(delay_s=5.0)
            began = time.monotonic()
            await writer.change(["a", "b"], 20)
            truth = await writer.truth()
            await until(lambda: mirror.versions == truth)
            assert time.monotonic() - began >= 5
            assert {each.phase for each in mirror.conditions} == {"synced"}

    with troubled(plane) as between:
        asyncio.run(asyncio.wait_for(story(between), 60))


def test_who_may_not_is_told_so_and_then_may(plane: ControlPlane, namespace: str) -> None:
    plane.kubeconfig("watcher", "watcher")
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}]
    rbac = "rbac.authorization.k8s.io"
    meta = {"name": "watcher", "namespace": namespace}
    role = {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": rules}
    binding = {
        **{"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": meta},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "watcher"},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": "watcher"}],
    }

    async def story() -> None:
        async with client_of(plane, access(plane)) as admin:
            await Writer(admin, namespace).create(["a"])
        async with mirrored(plane, access(plane, "watcher"), namespace) as mirror:
            await until(lambda: mirror.phase == "forbidden")
            assert "watcher" in mirror.conditions[-1].problem
            await asyncio.to_thread(plane.kubectl.create, role, binding)
            await until(lambda: mirror.phase == "synced")
            assert set(mirror.held) == {(namespace, "a")}
        async with client_of(plane, access(plane, "watcher")) as client:
            with pytest.raises(Forbidden, match="watcher"):
                await client.get("/api/v1/secrets")

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_lease_goes_from_one_to_another(plane: ControlPlane, namespace: str) -> None:
    async def story() -> None:
        async with client_of(plane, access(plane)) as client:
            times = Times(duration_s=3.0, deadline_s=2.0, retry_s=0.3)
            leases = [Lease(client, namespace, "tulle", who, times=times) for who in ("a", "b")]
            tasks = [asyncio.create_task(each.hold(bool, bool)) for each in leases]
            await until(lambda: any(each.holds() for each in leases))
            first, second = sorted(leases, key=lambda each: not each.holds())
            await asyncio.sleep(1)
            assert first.holds() and not second.holds()
            tasks[leases.index(first)].cancel()
            await until(second.holds)
            tasks[leases.index(second)].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            spec = json.loads(
                await client.get(
                    f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/tulle"
                )
            )["spec"]
            assert spec.get("holderIdentity", "") == ""

    asyncio.run(asyncio.wait_for(story(), 60))


def test_what_this_server_has(plane: ControlPlane) -> None:
    async def story() -> None:
        async with client_of(plane, access(plane)) as client:
            found = await discover(client)
            assert found.server.startswith(f"v1.{found.minor}.")
            slices = found.choose(
                "EndpointSlice", ["discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"]
            )
            assert slices is not None
            assert read_page(await client.get(slices.path())).version
            service = found.resources["v1", "Service"]
            assert service.has_status and {"list", "watch"} <= service.verbs

    asyncio.run(asyncio.wait_for(story(), 30))
