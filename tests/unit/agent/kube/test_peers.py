"""Other clusters come and go by Secrets, and what they said stays as long as it should."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.agent.kube import said
from tests.unit.agent.kube import test_census as census
from tests.unit.edges.kubernetes.registry import SERVED
from tests.unit.edges.kubernetes.server import FakeServer
from tulle.agent.kube import peers as module
from tulle.agent.kube import source as source_module
from tulle.agent.kube.cluster import MakeClient
from tulle.agent.kube.peers import LABEL, Peers
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.config import Access
from tulle.edges.kubernetes.discovery import Resource
from tulle.edges.manifests.directory import Snapshot
from tulle.errors import Unavailable
from tulle.model.kubernetes import EndpointSlice, Namespace, ObjectMeta, Service, ServiceSpec
from tulle.model.multicluster import ServiceExport

NAMESPACE = "tulle-system"
EXPORTS = Resource(
    "multicluster.x-k8s.io", "v1alpha1", "serviceexports", "ServiceExport", True, True
)
GLOBAL = {"tulle.io/global": "true"}
OURS = Snapshot(
    {"Service": {("shop", "web"): Service(ObjectMeta("web", "shop", {}, GLOBAL), ServiceSpec())}},
    (),
)


def kubeconfig(server: str, **user: str) -> bytes:
    entries = {"clusters": {"cluster": {"server": server}}, "users": {"user": user}}
    context = {"name": "x", "context": {"cluster": "x", "user": "x"}}
    config: dict[str, Any] = {"contexts": [context], "current-context": "x"}
    config |= {plural: [{"name": "x", **entry}] for plural, entry in entries.items()}
    return json.dumps(config).encode()


def a_secret(content: bytes, leads_to: str = "west", name: str = "w") -> dict[str, Any]:
    labels = {LABEL: leads_to}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "data": {"kubeconfig": base64.b64encode(content).decode()},
    }


class Story:
    """Two servers, and what an agent beside the first knows of the second."""

    def __init__(self, own: FakeServer, other: FakeServer, path: Path) -> None:
        self.own, self.other, self.path = own, other, path
        self.clients: list[Client] = []
        self.running: list[asyncio.Task[None]] = []
        self.start()

    def start(self, make_client: MakeClient = Client) -> None:
        client = Client(self.own.access)
        self.clients.append(client)
        place = self.path / "clusters"
        self.peers = Peers(client, NAMESPACE, "east", place, make_client, time.monotonic)
        self.running.append(asyncio.create_task(self.peers.run()))

    async def stop(self) -> None:
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    def join(self, **secret: Any) -> None:
        self.own.put(a_secret(kubeconfig(self.other.access.server), **secret))

    async def until(self, holds: Callable[[], object]) -> None:
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def nodes(self) -> set[str]:
        self.peers.snapshot(OURS)
        return set(self.peers.others().nodes)

    def slices(self) -> set[tuple[str, str]]:
        return set(self.peers.snapshot(OURS).of(EndpointSlice))

    def refused(self) -> dict[str, str]:
        return {str(item.ref): item.reason for item in self.peers.snapshot(OURS).refusals}


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Callable[[Story], Awaitable[None]]], None]:
    def run(story: Callable[[Story], Awaitable[None]]) -> None:
        async def main() -> None:
            served = (*SERVED, EXPORTS)
            async with asyncio.timeout(30), FakeServer() as own, FakeServer(served) as other:
                for kind, (_, raw) in (("Node", census.node("b", 2)), ("Pod", census.pod())):
                    other.put({"apiVersion": "v1", "kind": kind, **json.loads(raw)})
                other.put(obj("Service", said.service(), metadata={"annotations": GLOBAL}))
                other.put(obj("EndpointSlice", said.slice_v1beta1(), "discovery.k8s.io/v1"))
                other.put(obj("Namespace", said.said("shop", "")))
                told = Story(own, other, tmp_path)
                try:
                    await story(told)
                finally:
                    await told.stop()
                    for client in told.clients:
                        await client.close()

        asyncio.run(main())

    return run


def obj(kind: str, raw: bytes, version: str = "v1", **more: Any) -> dict[str, Any]:
    value = json.loads(raw)
    value["metadata"] |= more.get("metadata", {})
    return {"apiVersion": version, "kind": kind, **value}


Play = Callable[[Callable[[Story], Awaitable[None]]], None]


def test_a_secret_joins_a_cluster_and_its_end_leaves_it(play: Play) -> None:
    async def story(told: Story) -> None:
        assert not told.peers.snapshot(OURS).clusterset.whole, "Secrets have not been read"
        await told.until(lambda: told.peers.snapshot(OURS) is OURS)  # alone it costs nothing
        told.join()
        await told.until(lambda: told.nodes() == {"west/b"})
        await told.until(told.slices)
        assert {key[1].partition("/")[0] for key in told.slices()} == {"west"}
        found = told.peers.snapshot(OURS)
        assert found.foreign["west"].keys() == {"shop"}
        assert told.peers.snapshot(OURS) is found
        await told.until(lambda: told.peers.status()["joined"]["west"]["synced"])
        held = told.path / "clusters" / "west"
        assert (held / "kubeconfig").stat().st_mode & 0o777 == 0o600
        told.own.remove("Secret", "w", NAMESPACE)
        await told.until(lambda: not told.nodes())
        assert not told.slices() and not told.peers.snapshot(OURS).foreign
        await told.until(lambda: not held.exists())

    play(story)


def test_what_was_said_holds_while_it_is_away_and_over_a_restart(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(told: Story) -> None:
        told.join()
        await told.until(told.slices)
        await told.until(lambda: (told.path / "clusters/west/others.json").exists())
        await told.other.stop()
        await asyncio.sleep(0.1)
        assert told.nodes() == {"west/b"} and told.slices()
        await told.stop()
        told.start()
        with pytest.raises(Unavailable, match="cluster west"):
            told.peers.snapshot(OURS)

        def is_known() -> bool:
            try:
                return bool(told.slices()) and told.nodes() == {"west/b"}
            except Unavailable:
                return False

        await told.until(is_known)
        assert any(text.startswith("cluster west: ") for text in told.peers.problems)
        await told.other.start()
        await told.until(lambda: told.peers.status()["joined"]["west"]["synced"])

    play(story)


def test_a_cluster_that_never_answers_is_waited_for_no_longer_than_it_may(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.3)
    monkeypatch.setattr(source_module, "RECALL_AFTER_S", 0.1)

    async def story(told: Story) -> None:
        await told.other.stop()
        told.join()
        await told.until(lambda: "west" in told.peers.status()["joined"])
        assert told.slices() == set(), "one that is new is not waited for at all"
        await told.stop()
        told.start()
        with pytest.raises(Unavailable):
            told.peers.snapshot(OURS)
        await asyncio.sleep(0.4)
        assert told.slices() == set()

    play(story)


def test_a_bad_secret_is_refused_by_name_and_the_others_hold(play: Play) -> None:
    async def story(told: Story) -> None:
        told.join()
        await told.until(told.slices)
        thief = kubeconfig("https://192.0.2.1", tokenFile="/etc/shadow")
        told.own.put(a_secret(thief, "thief", "bad"))
        told.join(leads_to="east", name="self")
        told.join(name="x")
        told.own.put(a_secret(b"{", "odd", "odd"))
        told.own.put(a_secret(b"", "../up", "up"))
        await told.until(lambda: len(told.refused()) == 5)
        found = told.refused()
        of = f"Secret {NAMESPACE}/"
        assert "tokenFile: is a file of this machine" in found[f"{of}bad"]
        assert "own name" in found[f"{of}self"]
        assert "leads to cluster west already" in found[f"{of}x"]
        assert LABEL in found[f"{of}up"]
        assert told.nodes() == {"west/b"} and told.slices()
        told.own.put(a_secret(b"{", "west"))
        await told.until(lambda: "what it led to before holds" in told.refused().get(f"{of}w", ""))
        assert told.nodes() == {"west/b"} and told.slices()

    play(story)


def test_a_part_that_is_nested_too_deeply_is_passed_over() -> None:
    deep = b"[" * 3000 + b"]" * 3000
    raw = json.dumps(a_secret(b"{")).encode().replace(b"{", b'{"type": ' + deep + b", ", 1)
    assert module._read(raw, "east") == ("west", b"{")


def test_a_secret_that_is_made_anew_is_remembered(play: Play) -> None:
    async def story(told: Story) -> None:
        told.join()
        await told.until(told.slices)
        told.own.remove("Secret", "w", NAMESPACE)
        told.join()
        held = told.path / "clusters" / "west" / "kubeconfig"
        await told.until(lambda: told.peers.status()["joined"].get("west", {}).get("synced"))
        await asyncio.sleep(0.2)
        assert held.exists()

    play(story)


def test_a_kubeconfig_that_is_refused_is_not_what_a_restart_finds(play: Play) -> None:
    async def story(told: Story) -> None:
        told.join()
        await told.until(told.slices)
        held = told.path / "clusters" / "west"
        good = (held / "kubeconfig").read_bytes()
        told.own.put(a_secret(kubeconfig("https://192.0.2.1", tokenFile="/etc/shadow")))
        await told.until(told.refused)
        assert (held / "kubeconfig").read_bytes() == good
        assert not list(held.glob("kubeconfig.*"))

    play(story)


EXPORT = ServiceExport(ObjectMeta("web", "shop", creation_timestamp="2026-01-01T00:00:00Z"))


def exporting(**kinds: Any) -> Snapshot:
    """Ours, with the namespace, and a slice of a Service that is not annotated."""
    web = {("shop", "web"): Service(ObjectMeta("web", "shop"), ServiceSpec())}
    labels = {"kubernetes.io/service-name": "web"}
    slices = {("shop", "web-1"): EndpointSlice(ObjectMeta("web-1", "shop", labels), "IPv4")}
    namespaces = {"shop": Namespace(ObjectMeta("shop"))}
    return Snapshot({"Service": web, "EndpointSlice": slices, "Namespace": namespaces, **kinds}, ())


def imported(found: Snapshot) -> list[str]:
    """The slices of what stands for the import."""
    label = "kubernetes.io/service-name"
    slices = found.of(EndpointSlice).items()
    of_web = [key[1] for key, s in slices if s.metadata.labels[label] == "clusterset/web"]
    assert bool(of_web) == (("shop", "clusterset/web") in found.of(Service))
    return sorted(of_web)


def test_what_the_other_exports_is_here_beside_what_is_ours(play: Play) -> None:
    ours = exporting()

    async def story(told: Story) -> None:
        told.other.fail(403, path="/apis/multicluster", times=1)  # a role of before
        told.other.put(obj("ServiceExport", said.said("web"), EXPORTS.group_version))
        told.join()
        await told.until(lambda: told.peers.status()["joined"].get("west", {}).get("synced"))
        await told.until(lambda: imported(told.peers.snapshot(ours)))
        (theirs,) = imported(told.peers.snapshot(ours))
        assert theirs.startswith("clusterset/west/"), "without an annotation on either side"
        both = exporting(ServiceExport={("shop", "web"): EXPORT})
        assert imported(told.peers.snapshot(both)) == ["clusterset/web-1", theirs]
        found = told.peers.snapshot(both).clusterset
        assert [item.cluster for item in found.exports["shop", "web"]] == ["east", "west"]
        assert found.whole
        told.other.remove("ServiceExport", "web", "shop")
        await told.until(lambda: not imported(told.peers.snapshot(ours)))
        assert told.peers.snapshot(ours).of(Service) is ours.of(Service)

    play(story)


def test_a_cluster_whose_exports_may_not_be_read_is_joined_all_the_same(play: Play) -> None:
    async def story(told: Story) -> None:
        told.other.fail(403, path="/apis/multicluster.x-k8s.io/v1alpha1/", times=10_000)
        told.join()
        await told.until(told.slices)
        assert told.peers.snapshot(OURS).clusterset.whole

    play(story)


def test_before_another_cluster_has_spoken_it_may_export_anything(play: Play) -> None:
    both = exporting(ServiceExport={("shop", "web"): EXPORT})

    async def story(told: Story) -> None:
        assert not told.peers.snapshot(both).clusterset.whole, "Secrets have not been read"
        await told.until(lambda: told.peers.snapshot(both).clusterset.whole)
        await told.other.stop()
        told.join()
        await told.until(lambda: "west" in told.peers.status()["joined"])
        found = told.peers.snapshot(both)
        assert not found.clusterset.whole and imported(found) == ["clusterset/web-1"]

    play(story)


@pytest.mark.parametrize(
    "content", [b"{", kubeconfig("https://192.0.2.1", tokenFile="/etc/shadow")]
)
def test_a_cluster_whose_secret_was_never_good_may_export_anything(
    play: Play, content: bytes
) -> None:
    async def story(told: Story) -> None:
        told.own.put(a_secret(content))
        await told.until(told.refused)
        assert not told.peers.snapshot(OURS).clusterset.whole
        told.join()
        await told.until(told.slices)
        assert told.peers.snapshot(OURS).clusterset.whole
        told.own.put(a_secret(content))
        await told.until(told.refused)
        assert told.peers.snapshot(OURS).clusterset.whole, "what it led to before holds"

    play(story)


def test_while_secrets_may_not_be_read_another_cluster_may_export_anything(play: Play) -> None:
    async def story(told: Story) -> None:
        await told.stop()
        told.own.fail(403, path=f"/api/v1/namespaces/{NAMESPACE}/secrets", times=10_000)
        told.start()
        await told.until(lambda: told.peers.problems)
        assert not told.peers.snapshot(OURS).clusterset.whole

    play(story)


def test_while_the_first_are_being_joined_the_rest_may_export_anything(play: Play) -> None:
    async def story(told: Story) -> None:
        await told.stop()
        told.join()
        seen: list[bool] = []

        def looking(access: Access) -> Client:
            seen.append(told.peers.snapshot(OURS).clusterset.whole)
            return Client(access)

        told.start(looking)
        await told.until(lambda: told.slices() and told.peers.snapshot(OURS).clusterset.whole)
        assert seen == [False]

    play(story)
