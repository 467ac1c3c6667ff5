"""Whatever happens between agents and their API server, they come to what a clean start comes to.

And nobody who speaks notices. `TULLE_CHAOS_S` is how long watches are cut, 60 for the long form.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.mesh import HERE, Cluster, Json, Mesh, service, wait_for
from tests.e2e.test_crash import compiled_image, kernel_image
from tests.kubernetes.chaos import Chaos, Trouble
from tests.kubernetes.churn import FAR, Churn, admit, listing, pod, running
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.mesh import lab_cluster
from tests.kubernetes.test_watch import access, client_of, troubled
from tulle.model.paths import NodePaths

Image = dict[str, dict[str, str]]  # entries by map

LONG_S = float(os.environ.get("TULLE_CHAOS_S", "8"))
SEED = os.environ.get("TULLE_TEST_SEED", "1")
REST_S = 0.05  # between changes
BAD = Trouble(cut_s=1.0, gone=0.2, again=0.1, late=0.2)
SLOW = Trouble(cut_s=8.0, delay_s=5.0, again=0.1, late=0.2, late_s=3.0)


@pytest.fixture(scope="module")
def between(crds: ControlPlane) -> Iterator[Chaos]:
    with troubled(crds) as made:
        yield made


@pytest.fixture(scope="module")
def cluster(crds: ControlPlane, between: Chaos, clusters: Clusters) -> Iterator[Cluster]:
    words = ("--kubernetes-server", between.server)
    with lab_cluster(crds, clusters, "chaos", ("a", "b"), *words) as made:
        crds.make_namespace(FAR)
        yield made


@pytest.fixture(scope="module")
def url(crds: ControlPlane, cluster: Cluster) -> str:
    """Of a service on both nodes, which a client on the first may ask and a stranger may not."""
    a, b = cluster["a"], cluster["b"]
    places = {"client": a, "stranger": a, "web-a": a, "web-b": b}
    for name, node in places.items():
        if name.startswith("web"):
            node.serve(name, app="web")
        else:
            node.run(name, "sleep", "inf")
    addresses = {name: address_of(node, name) for name, node in places.items()}
    for name, node in places.items():
        made = pod(name, "shop", node.name, app=name.partition("-")[0])
        crds.kubectl.apply(made)
        patch = json.dumps(running(addresses[name]))
        path = f"/api/v1/namespaces/shop/pods/{name}/status"
        asyncio.run(patched(crds, path, patch.encode()))
    ends = [(addresses[name], places[name].name) for name in ("web-a", "web-b")]
    listed = listing("web-1", "shop", "web", ends)
    crds.kubectl.apply(service("web", "web"), listed, admit("web", "web", "client"))
    found = crds.kubectl.get("service", "web", "shop")
    assert found is not None
    return f"http://{found['spec']['clusterIP']}/"


async def patched(plane: ControlPlane, path: str, body: bytes) -> None:
    async with client_of(plane, access(plane)) as client:
        await client.merge_patch(path, body)


def address_of(node: Mesh, name: str) -> str:
    found = node.exec(name, "ip", "-4", "-o", "address", "show", "scope", "global")
    return found.split(" inet ")[1].split("/")[0]


def answers(node: Mesh, url: str, count: int = 6) -> set[str]:
    return {node.get_http("client", url) for _ in range(count)}


def load(node: Mesh, url: str) -> subprocess.Popen[str]:
    host = url.removeprefix("http://").rstrip("/")
    child = node.spawn("client", sys.executable, str(HERE / "load.py"), host, "80", "20", "0.1")
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    return child


def test_chaos_leaves_no_trace(
    crds: ControlPlane, cluster: Cluster, between: Chaos, url: str
) -> None:
    a = cluster["a"]
    wait_for(lambda: answers(a, url) == {"web-a", "web-b"}, 20)
    assert a.get_http("stranger", url, timeout_s=0.5) == ""
    traffic = load(a, url)
    asyncio.run(churn(crds, between))
    done = settled(cluster, between)
    result = json.loads(traffic.communicate()[0])
    assert result["kept"]["failed"] == result["fresh"]["failed"] == 0, result
    assert result["fresh"]["requests"] > 100
    assert {"cut", "gone", "again", "overtaken", "away"} <= set(+between.done)
    for name, image in done.items():
        assert differences(image, kernel_image(cluster[name])) == {}
    start_clean(cluster)
    clean = settled(cluster, between)
    for name, image in done.items():
        assert differences(image, clean[name]) == {}
    wait_for(lambda: answers(a, url) == {"web-a", "web-b"}, 20)
    assert a.get_http("stranger", url, timeout_s=0.5) == ""


async def churn(plane: ControlPlane, between: Chaos) -> None:
    async with client_of(plane, access(plane)) as client:
        changes = Churn(client, SEED)
        await changes.begin()
        try:
            between.trouble = BAD
            await keep_changing(changes, LONG_S)
            between.trouble = SLOW
            await keep_changing(changes, 6.0)
            between.trouble = BAD
            plane.kill_api()
            await asyncio.sleep(2.0)
            plane.start_api()  # here, as it ends with the thread that starts it
            await keep_changing(changes, 4.0)
            between.trouble = Trouble()
            await changes.change()
        finally:
            between.trouble = Trouble()


async def keep_changing(changes: Churn, for_s: float) -> None:
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        await changes.change()
        await asyncio.sleep(REST_S)


def settled(cluster: Cluster, between: Chaos, quiet_s: float = 2.0) -> dict[str, Image]:
    """What nodes have in force, once they know all and that has not changed for a while."""
    nodes = list(cluster.nodes.values())
    try:
        wait_for(lambda: not any(map(unsynced, nodes)), 60)
    except AssertionError as error:
        behind = [unsynced(node) for node in nodes]
        ended = "\n".join(between.ended)
        raise AssertionError(f"{behind}\nwatches ended: {ended}") from error
    images, since_s = images_of(cluster), time.monotonic()
    deadline_s = since_s + 60
    while time.monotonic() < since_s + quiet_s:
        assert time.monotonic() < deadline_s, "they never come to rest"
        time.sleep(0.2)
        if (now := images_of(cluster)) != images:
            images, since_s = now, time.monotonic()
    return images


def images_of(cluster: Cluster) -> dict[str, Image]:
    return {name: compiled_image(node) for name, node in cluster.nodes.items()}


def unsynced(node: Mesh) -> Json:
    """Kinds whose present state it does not know, and why."""
    said = node.status()["kubernetes"]
    kinds = {**said["kinds"], **said["others"]}
    return {kind: now for kind, now in kinds.items() if now["phase"] not in ("synced", "absent")}


def start_clean(cluster: Cluster) -> None:
    """Without what agents remember of the world; their numbers stay, which are by history."""
    for node in cluster.nodes.values():
        node.kill_agent()
        paths = NodePaths(node.name)
        for path in (paths.last_good, paths.durable / "others.json"):
            path.unlink()
    cluster.start()


def differences(one: Image, other: Image) -> dict[str, Any]:
    """Map by map, the entries that are not the same."""
    return {
        name: {
            key: (one.get(name, {}).get(key), other.get(name, {}).get(key))
            for key in one.get(name, {}).keys() | other.get(name, {}).keys()
            if one.get(name, {}).get(key) != other.get(name, {}).get(key)
        }
        for name in one.keys() | other.keys()
        if one.get(name) != other.get(name)
    }
