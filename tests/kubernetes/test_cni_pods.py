"""Pods of a real API server whose network comes by the plugin, without a kubelet between them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.mesh import Mesh, admit, tulle, wait_for
from tests.kubernetes.cni_caller import Container, Failed, Runtime, addresses, runtime
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.mesh import lab_cluster


@dataclass(frozen=True)
class Town:
    plane: ControlPlane
    mesh: Mesh
    pods: Runtime

    def pod(self, name: str, app: str) -> Container:
        """One that a kubelet would be about to start."""
        self.plane.kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": "shop", "labels": {"app": app}},
                "spec": {
                    "nodeName": self.mesh.name,
                    "containers": [{"name": "main", "image": "none"}],
                },
            }
        )
        told = self.plane.kubectl.get("pod", name, "shop")
        assert told is not None
        return replace(self.pods.container(name), uid=told["metadata"]["uid"])

    def hears(self, client: Container, address: str) -> bool:
        url = f"http://{address}:8080/"
        return self.pods.run_in(client, "curl", "-s", "-m", "1", url).strip() == "web"


@pytest.fixture(scope="module")
def town(crds: ControlPlane, clusters: Clusters) -> Iterator[Town]:
    directory = Path(f"/run/tulle-cni-{os.getpid()}-pods")
    with (
        lab_cluster(crds, clusters, "cni", ("a",)) as made,
        runtime(directory, made["a"].name) as pods,
    ):
        yield Town(crds, made["a"], pods)


@pytest.fixture(scope="module")
def shop(town: Town) -> Iterator[tuple[Town, dict[str, Container], str]]:
    """A server that admits friends, a friend, a stranger, and the server's address."""
    town.plane.kubectl.apply(admit("web", "web", "friend"))
    made = {name: town.pod(name, name) for name in ("web", "friend", "stranger")}
    where = {name: addresses(town.pods.add(item))[0] for name, item in made.items()}
    server = town.pods.serve(made["web"], "web")
    try:
        wait_for(lambda: town.hears(made["friend"], where["web"]))
        yield town, made, where["web"]
    finally:
        server.kill()
        server.communicate()
        for item in made.values():
            town.pods.delete(item)


Shop = tuple[Town, dict[str, Container], str]


def test_a_pod_is_what_the_api_says(shop: Shop) -> None:
    town, made, web = shop
    assert town.hears(made["friend"], web) and not town.hears(made["stranger"], web)


def test_a_changed_label_is_followed(shop: Shop) -> None:
    town, made, web = shop
    label = ("label", "pod", "stranger", "-n", "shop", "--overwrite")
    town.plane.kubectl(*label, "app=friend")
    wait_for(lambda: town.hears(made["stranger"], web))
    town.plane.kubectl(*label, "app=stranger")
    wait_for(lambda: not town.hears(made["stranger"], web))


def test_a_pod_that_the_api_does_not_know_is_refused(town: Town) -> None:
    nobody = town.pods.container("nobody")
    with pytest.raises(Failed, match="the API server has no such Pod"):
        town.pods.add(nobody)
    known = town.pod("known", "known")
    with pytest.raises(Failed, match="has another of that name"):
        town.pods.add(replace(known, uid="of-an-earlier-one"))
    assert "known" not in {item["name"] for item in town.mesh.get("endpoints")}


def test_what_is_known_holds_while_the_api_is_away(shop: Shop) -> None:
    """Over a new agent, too: the sandboxes' own records tell who is who."""
    town, made, web = shop
    late = town.pod("late", "friend")
    unknown = replace(town.pods.container("unknown"), uid="u")
    town.plane.kill_api()
    try:
        with pytest.raises(Failed) as caught:
            town.pods.add(unknown)
        assert caught.value.code == 11  # try again later
        town.mesh.kill_agent()
        assert town.hears(made["friend"], web) and not town.hears(made["stranger"], web)
        agent = town.plane.kubeconfig("agent", "tulle", "system:masters")
        words = ("--cluster", town.mesh.name.rpartition("-")[0], "--kubernetes", str(agent))
        tulle("lab", "up", town.mesh.name, *words)
        assert town.hears(made["friend"], web) and not town.hears(made["stranger"], web)
    finally:
        town.plane.start_api()
    where = addresses(town.pods.add(late))
    assert len(where) == 2 and town.hears(late, web)
    town.pods.delete(late)
