"""How an installation does, node by node."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tulle.install.overview import overview
from tulle.install.upgrade import Wish, install

from .fake import FakeCluster, node

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "tulle-agent-x",
        "namespace": "tulle-system",
        "labels": {"app.kubernetes.io/name": "tulle-agent", "app.kubernetes.io/version": "0.1.0"},
    },
    "spec": {"nodeName": "a"},
    "status": {
        "phase": "Running",
        "containerStatuses": [{"name": "agent", "ready": True, "restartCount": 2}],
    },
}


SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {
        "name": "w",
        "namespace": "tulle-system",
        "labels": {"tulle.io/cluster": "west"},
    },
}


def host(name: str, accepted: str) -> dict[str, Any]:
    said = [{"type": "Ready", "status": "True"}, {"type": "Accepted", "status": accepted}]
    kind = {"apiVersion": "tulle.io/v1alpha1", "kind": "MeshNode"}
    return {**kind, "metadata": {"name": name}, "status": {"conditions": said}}


def seen(installed: bool, pod: dict[str, Any] = POD) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with FakeCluster() as server:
            server.put(node("a"))
            server.put(node("b"))
            for name, accepted in (("good", "True"), ("bad", "False")):
                server.put(host(name, accepted))
            cluster = await server.cluster([])
            try:
                if installed:
                    wish = Wish(values={"apiServer": "https://10.0.0.1:6443"})
                    await install(cluster, wish, anew=True)
                    server.put(pod)
                    server.put(SECRET)
                return await overview(cluster, "tulle-system")
            finally:
                await cluster.client.close()

    return asyncio.run(run())


def test_a_node_without_an_agent_is_shown() -> None:
    found = seen(installed=True)
    assert (found["installed"], found["manager"], found["revision"]) == (True, "tulle", 1)
    assert (found["agents"], found["operator"], found["state"]) == ("", "", "deployed")
    assert found["joined"] == ["west"]
    with_agent, without, bad, good = found["nodes"]
    assert (bad["node"], bad["ready"]) == ("bad", False) and good["ready"]
    assert with_agent == {
        "node": "a",
        "pod": "tulle-agent-x",
        "version": "0.1.0",
        "phase": "Running",
        "ready": True,
        "restarts": 2,
        "reason": "",
    }
    assert (without["node"], without["pod"], without["ready"]) == ("b", "", False)


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ([{"waiting": {"reason": "ImagePullBackOff"}}], "ImagePullBackOff"),
        ([{"terminated": {"reason": "Completed"}}, {"terminated": {"reason": "Error"}}], "Error"),
        ([{"running": {}}, {"waiting": {"reason": "PodInitializing"}}], ""),
    ],
)
def test_why_an_agent_does_not_start(states: list[dict[str, Any]], reason: str) -> None:
    first, *rest = [{"name": "a", "state": state} for state in states]
    status = {"phase": "Pending", "initContainerStatuses": [first], "containerStatuses": rest}
    assert seen(installed=True, pod={**POD, "status": status})["nodes"][0]["reason"] == reason


def test_why_an_agent_has_no_node() -> None:
    """Not by what a container says that says nothing."""
    nowhere = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    status = {"conditions": [nowhere], "containerStatuses": [{"state": {"waiting": {}}}]}
    pod = {**POD, "status": {"phase": "Pending", **status}}
    assert seen(installed=True, pod=pod)["nodes"][0]["reason"] == "Unschedulable"


def test_nothing_installed() -> None:
    found = seen(installed=False)
    assert (found["installed"], found["revision"], found["agents"]) == (False, None, "not there")
