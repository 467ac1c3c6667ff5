"""Installing, upgrading, going back and taking away, on an API server in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.edges.kubernetes.registry import Json
from tulle.errors import Refused, Unavailable
from tulle.install import cluster as waiting
from tulle.install import upgrade
from tulle.install.cluster import Cluster
from tulle.install.revisions import Revision, Revisions, State
from tulle.install.upgrade import Wish, install, roll_back, uninstall

from .fake import FakeCluster, daemon, node

API = {"apiServer": "https://10.0.0.1:6443"}
WISH = Wish(values=API, timeout_s=0.2)
NEXT = replace(WISH, values={"image.tag": "next"})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_POLL_S", 0.02)


def within(
    work: Callable[[FakeCluster, Cluster], Awaitable[Any]], minor: int = 30
) -> tuple[FakeCluster, list[str]]:
    told: list[str] = []

    async def run() -> FakeCluster:
        async with FakeCluster(minor) as server:
            server.put(node("a"))
            cluster = await server.cluster(told)
            try:
                await work(server, cluster)
            finally:
                await cluster.client.close()
            return server

    return asyncio.run(run()), told


def held_up_pod() -> Json:
    """An agent's, whose image is not there."""
    labels = {"app.kubernetes.io/name": "tulle-agent"}
    status = {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]}
    metadata = {"name": "x", "namespace": WISH.namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}


def image(server: FakeCluster) -> str:
    agents: Json = server.get("DaemonSet", "tulle-agent", "tulle-system")
    found: str = agents["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


def test_everything_is_there_and_kept_as_a_revision() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        done = await install(cluster, WISH, anew=True)
        assert (done.number, done.state, done.values) == (1, "deployed", API)
        assert await Revisions(cluster, WISH.namespace).all() == [done]

    server, told = within(work)
    names = server.names()
    assert {
        ("Namespace", "tulle-system"),
        ("DaemonSet", "tulle-agent"),
        ("Deployment", "tulle-operator"),
        ("CustomResourceDefinition", "ratelimitpolicies.tulle.io"),
        ("GatewayClass", "tulle"),
        ("ConfigMap", "tulle-revision-1"),
    } <= names
    assert "applied DaemonSet tulle-system/tulle-agent" in told


def test_servers_without_cel_get_definitions_without() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        await install(cluster, WISH, anew=True)

    old, new = within(work, 24)[0], within(work, 25)[0]
    definition = "CustomResourceDefinition", "ratelimitpolicies.tulle.io"
    assert "x-kubernetes-validations" not in str(old.get(*definition))
    assert "x-kubernetes-validations" in str(new.get(*definition))


def test_what_preflight_refuses_changes_nothing_unless_forced() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        for obj in daemon("calico-node"):
            server.put(obj)
        before = server.names()
        with pytest.raises(Refused, match="DaemonSet calico-node: Calico wires pods"):
            await install(cluster, WISH, anew=True)
        assert server.names() == before
        await install(cluster, replace(WISH, force=True), anew=True)

    assert ("DaemonSet", "tulle-agent") in within(work)[0].names()


def test_an_object_that_the_server_refuses_stops_it_before_anything_is_changed() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        server.refused.add("tulle-reader")
        with pytest.raises(Refused, match=r"ClusterRole tulle-reader: .*forbidden"):
            await install(cluster, WISH, anew=True)
        assert server.names() == {("Namespace", "tulle-system")}

    within(work)


def test_an_upgrade_keeps_values_and_prunes_what_is_no_more() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        await install(cluster, WISH, anew=True)
        assert ("IngressClass", "tulle") in server.names()
        wish = replace(NEXT, values={"image.tag": "next", "classes.create": False})
        done = await install(cluster, wish, anew=False)
        assert (done.number, done.values["apiServer"]) == (2, API["apiServer"])
        assert image(server) == "tulle:next"
        assert ("IngressClass", "tulle") not in server.names()

    within(work)


def test_an_upgrade_that_fails_puts_back_what_was() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        await install(cluster, WISH, anew=True)
        server.stuck.add("tulle:next")
        server.put(held_up_pod())
        told = r"revision 1 is in force again: .* ready on 0 of .* Pod tulle-system/x: ErrImagePull"
        with pytest.raises(Unavailable, match=told):
            await install(cluster, NEXT, anew=False)
        assert image(server) != "tulle:next"
        states = [item.state for item in await Revisions(cluster, WISH.namespace).all()]
        assert states == ["deployed", "reverted"]
        server.stuck.clear()
        assert (await install(cluster, NEXT, anew=False)).number == 3

    within(work)


def test_who_cannot_see_why_it_failed_puts_back_what_was_all_the_same() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        await install(cluster, WISH, anew=True)
        server.stuck.add("tulle:next")
        server.put({**held_up_pod(), "status": "odd"})
        with pytest.raises(Unavailable, match="revision 1 is in force again"):
            await install(cluster, NEXT, anew=False)

    within(work)


@pytest.mark.parametrize("state", ["rolling", "failed"])
def test_the_way_back_from_one_that_was_broken_off_is_what_was_before_it(state: State) -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        first = await install(cluster, WISH, anew=True)
        second = await install(cluster, NEXT, anew=False)
        await Revisions(cluster, WISH.namespace).claim(replace(first, number=3, state=state))
        assert (await roll_back(cluster, WISH, None)).objects == second.objects

    within(work)


def test_what_a_broken_off_upgrade_made_is_pruned() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        first = await install(cluster, WISH, anew=True)
        metadata = {"name": "extra", "namespace": WISH.namespace}
        extra: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        await cluster.apply(extra)
        broken = replace(first, number=2, state="rolling", objects=(*first.objects, extra))
        await Revisions(cluster, WISH.namespace).claim(broken)
        assert (await install(cluster, WISH, anew=False)).number == 3
        assert ("ConfigMap", "extra") not in server.names()

    within(work)


def test_the_way_back_outlives_any_number_of_failures() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        first = await install(cluster, WISH, anew=True)
        server.stuck.add("tulle:next")
        for _ in range(6):
            with pytest.raises(Unavailable, match="revision 1 is in force again"):
                await install(cluster, NEXT, anew=False)
        server.stuck.clear()
        await install(cluster, NEXT, anew=False)
        assert (await roll_back(cluster, WISH, None)).objects == first.objects

    within(work)


def test_going_back_is_a_revision_of_its_own() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        first = await install(cluster, WISH, anew=True)
        await install(cluster, NEXT, anew=False)
        done = await roll_back(cluster, WISH, None)
        assert (done.number, done.objects) == (3, first.objects)
        assert image(server) == f"tulle:{first.version}"
        with pytest.raises(Refused, match="no such revision"):
            await roll_back(cluster, WISH, 17)
        assert (await roll_back(cluster, WISH, 2)).number == 4
        assert image(server) == "tulle:next"

    within(work)


def test_only_the_newest_revisions_are_kept() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        await install(cluster, WISH, anew=True)
        for _ in range(7):
            await install(cluster, WISH, anew=False)
        numbers = [item.number for item in await Revisions(cluster, WISH.namespace).all()]
        assert numbers == [4, 5, 6, 7, 8]

    within(work)


def test_two_at_a_time_are_one_too_many() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        await install(cluster, WISH, anew=True)
        revisions = Revisions(cluster, WISH.namespace)
        with pytest.raises(Unavailable, match="another installation is under way"):
            await revisions.claim(Revision(1, "x", "rolling"))

    within(work)


def test_what_is_asked_for_has_to_make_sense() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        with pytest.raises(Refused, match="nothing is installed"):
            await install(cluster, WISH, anew=False)
        with pytest.raises(Refused, match="nothing is installed"):
            await uninstall(cluster, WISH, definitions=False)
        await install(cluster, WISH, anew=True)
        with pytest.raises(Refused, match="is installed already"):
            await install(cluster, WISH, anew=True)

    within(work)


def test_what_helm_manages_is_helm_s() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        (agents,) = daemon("tulle-agent")
        agents["metadata"] |= {
            "namespace": WISH.namespace,
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
        }
        server.put(agents)
        with pytest.raises(Refused, match="is managed by Helm"):
            await install(cluster, WISH, anew=True)

    within(work)


def test_nothing_is_left_but_the_definitions() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        await install(cluster, WISH, anew=True)
        await uninstall(cluster, WISH, definitions=False)
        assert {kind for kind, _ in server.names()} == {"CustomResourceDefinition"}

    told = within(work)[1]
    clean = told.index("applied DaemonSet tulle-system/tulle-cleaner")
    assert told.index("deleted DaemonSet tulle-system/tulle-agent") < clean
    assert told.index("deleted DaemonSet tulle-system/tulle-cleaner") > clean


def test_nor_these_if_that_is_said() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        await install(cluster, WISH, anew=True)
        await uninstall(cluster, WISH, definitions=True)
        assert server.names() == set()

    within(work)


def test_manifests_for_a_server_are_all_of_kinds_that_it_knows() -> None:
    async def work(server: FakeCluster, cluster: Cluster) -> None:
        for obj in upgrade.made_for(cluster, "mesh", API):
            assert cluster.path(obj).startswith("/api")

    within(work)
