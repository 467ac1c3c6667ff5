"""The CNI plugin as a runtime calls it, on a lab node that has its objects from files."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import assert_gone
from tests.e2e.mesh import Mesh, admit, alive, service, wait_for
from tests.kubernetes.cni_caller import Container, Failed, Runtime, addresses, runtime
from tulle.agent.cni import VERSIONS
from tulle.edges import netlink, netns
from tulle.model.paths import NodePaths

Json = dict[str, Any]


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    made = Mesh(f"cni-{os.getpid()}")
    made.start()
    try:
        yield made
    finally:
        made.stop()
    assert_gone(made.name)


@pytest.fixture
def pods(mesh: Mesh) -> Iterator[Runtime]:
    """A runtime that has left nothing behind at the end of the test."""
    directory = Path(f"/run/tulle-cni-{os.getpid()}")
    with runtime(directory, mesh.name) as made:
        yield made
    mesh.tulle("status")  # it is there still
    wait_for(lambda: left(mesh) == NOTHING)


NOTHING: Json = {"records": [], "held": {}, "interfaces": [], "pins": [], "endpoints": []}


def left(mesh: Mesh) -> Json:
    """What the pods of a runtime may leave on a node."""
    paths = NodePaths(mesh.name)
    there = netns.run_in(paths.netns, netlink.interfaces)
    ours = {name: index for name, index in there.items() if netlink.is_ours(name)}
    pins = {path.name for path in (paths.bpffs / "links").iterdir()}
    uplink = {str(index) for name, index in there.items() if name not in ours}
    leases = json.loads((paths.durable / "addresses-leases.json").read_text())
    return {
        "records": sorted(path.name for path in (paths.state / "sandboxes").glob("*")),
        "held": leases["held"],
        "interfaces": sorted(ours),
        "pins": sorted(
            name
            for name in pins
            if (index := name.partition("-")[0]).isdecimal() and index not in uplink
        ),
        "endpoints": mesh.get("endpoints"),
    }


def url(address: str) -> str:
    return f"http://[{address}]:8080/" if ":" in address else f"http://{address}:8080/"


def get(pods: Runtime, client: Container, address: str) -> str:
    """Body, or "" if nobody answered in time."""
    return pods.run_in(client, "curl", "-s", "--noproxy", "*", "-m", "1", url(address))


def serve(pods: Runtime, container: Container, client: Container, address: str) -> Any:
    """The server, which answers `client` by now."""
    server = pods.serve(container, container.pod[1])
    wait_for(lambda: "LISTEN" in pods.run_in(container, "ss", "-tln", "sport = :8080"))
    return server


def end(pods: Runtime, *containers: Container) -> None:
    for container in containers:
        pods.delete(container)


@pytest.fixture
def shop(mesh: Mesh, pods: Runtime) -> Iterator[tuple[Runtime, list[Container], list[str]]]:
    """A server and two clients, and the server's addresses."""
    web, friend, stranger = (pods.container(name) for name in ("web", "friend", "stranger"))
    where = addresses(pods.add(web, labels={"app": "web"}))
    pods.add(friend, labels={"app": "friend"})
    pods.add(stranger)
    server = serve(pods, web, friend, where[0])
    try:
        yield pods, [web, friend, stranger], list(where)
    finally:
        server.kill()
        server.communicate()
        end(pods, web, friend, stranger)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_verb_in_every_version(mesh: Mesh, pods: Runtime, version: str) -> None:
    pods.version = version
    assert json.loads(pods.call("VERSION"))["supportedVersions"] == [*VERSIONS]
    assert pods.call("STATUS") == ""
    web = pods.container()
    result = pods.add(web)
    assert result["cniVersion"] == version
    assert pods.add(web) == result
    assert pods.call("CHECK", web, prevResult=result) == ""
    attached = [{"containerID": web.id, "ifname": "eth0"}]
    assert pods.call("GC", **{"cni.dev/valid-attachments": attached}) == ""
    assert pods.call("CHECK", web, prevResult=result) == ""
    pods.delete(web, prevResult=result)
    pods.delete(web)


def test_pods_speak_in_both_families_and_over_services(mesh: Mesh, shop: Any) -> None:
    pods, (_, friend, stranger), where = shop
    assert [get(pods, friend, item).strip() for item in where] == ["web", "web"]
    web = service("web", "web")
    mesh.apply(web)
    cluster_ip = mesh.get("services")[0]["cluster_ips"][0]
    answer = pods.run_in(stranger, "curl", "-s", "-m", "2", f"http://{cluster_ip}/")
    mesh.delete(web)
    assert answer.strip() == "web"


def test_policy_holds_for_labels_of_pods(mesh: Mesh, shop: Any) -> None:
    pods, (_, friend, stranger), where = shop
    rule = admit("web", "web", "friend")
    mesh.apply(rule)
    heard = [get(pods, client, where[0]).strip() for client in (friend, stranger)]
    mesh.delete(rule)
    assert heard == ["web", ""]


def test_policy_is_in_force_when_add_answers(mesh: Mesh, shop: Any) -> None:
    """The first packet of a pod's first process is judged."""
    pods, _, where = shop
    rule = admit("web", "web", "friend")
    mesh.apply(rule)
    late = pods.container("late")
    pods.add(late)
    heard = get(pods, late, where[0])
    pods.delete(late)
    friend = pods.container("friend-2")
    pods.add(friend, labels={"app": "friend"})
    heard_friend = get(pods, friend, where[0])
    pods.delete(friend)
    mesh.delete(rule)
    assert (heard, heard_friend.strip()) == ("", "web")


def test_pods_and_workloads_of_the_node_are_one_mesh(mesh: Mesh, shop: Any) -> None:
    pods, _, where = shop
    mesh.run("own", "sleep", "60", app="own")
    try:
        assert mesh.get_http("own", url(where[0])).strip() == "web"
        taken = pods.container("own")
        with pytest.raises(Failed, match="belongs to a workload of Tulle's own"):
            pods.add(taken)
        refused = mesh.tulle("run", "-n", "shop", "--name", "web", "--", "true", check=False)
        assert refused == ""
    finally:
        mesh.tulle("delete", "-n", "shop", "own")


def test_the_younger_sandbox_of_a_pod_takes_its_place(mesh: Mesh, shop: Any) -> None:
    pods, (_, friend, _), where = shop
    new = pods.container("web")
    new_where = addresses(pods.add(new, labels={"app": "web"}))
    server = serve(pods, new, friend, new_where[0])
    try:
        assert get(pods, friend, new_where[0]).strip() == "web"
        assert get(pods, friend, where[0]) == ""  # cut off, not open
    finally:
        server.kill()
        server.communicate()
        pods.delete(new)
    wait_for(lambda: get(pods, friend, where[0]).strip() == "web")  # a DEL waits for no pass


def test_check_tells_what_was_changed(mesh: Mesh, pods: Runtime) -> None:
    web = pods.container()
    result = pods.add(web)
    pods.run_in(web, "ip", "address", "del", addresses(result)[0], "dev", "eth0")
    with pytest.raises(Failed, match="interface eth0 has not"):
        pods.call("CHECK", web, prevResult=result)
    pods.delete(web)


def test_garbage_is_collected(mesh: Mesh, pods: Runtime) -> None:
    kept, lost = pods.container("kept"), pods.container("lost")
    result = pods.add(kept)
    pods.add(lost)
    pods.call("GC", **{"cni.dev/valid-attachments": [{"containerID": kept.id, "ifname": "eth0"}]})
    wait_for(lambda: [item["name"] for item in mesh.get("endpoints")] == ["kept"])
    assert pods.call("CHECK", kept, prevResult=result) == ""
    pods.delete(kept)


def test_bad_calls_leave_nothing(mesh: Mesh, pods: Runtime) -> None:
    web = pods.container()
    with pytest.raises(Failed, match=r"runtimeConfig\.mac"):
        pods.add(web, runtimeConfig={"mac": "02:00:00:00:00:01"})
    with pytest.raises(Failed, match="the node's own"):
        node = NodePaths(mesh.name).netns
        assert node is not None
        pods.add(Container("x", node))
    with pytest.raises(Failed, match="no network namespace"):
        pods.add(Container("x", Path("/proc/self/ns/mnt/x")))
    with pytest.raises(Failed) as caught:
        pods.add(Container("x", Path("/proc/self/ns/uts")))
    assert caught.value.code in (4, 102)


def test_a_pod_waits_for_the_agent_that_is_restarted(mesh: Mesh, pods: Runtime) -> None:
    mesh.kill_agent()
    web = pods.container()
    adding = pods.spawn("ADD", web)
    assert adding.stdin is not None
    adding.stdin.write(pods.configuration())
    adding.stdin.close()
    adding.stdin = None
    time.sleep(0.5)
    assert adding.poll() is None
    mesh.start()
    printed = Runtime.outcome(adding.communicate(timeout=30)[0])
    assert len(addresses(json.loads(printed))) == 2
    pods.delete(web)


def test_traffic_and_pods_outlive_the_agent(mesh: Mesh, shop: Any) -> None:
    pods, (_, friend, stranger), where = shop
    rule = admit("web", "web", "friend")
    mesh.apply(rule)
    mesh.kill_agent()
    while_away = [get(pods, client, where[0]).strip() for client in (friend, stranger)]
    mesh.start()
    afterwards = [get(pods, client, where[0]).strip() for client in (friend, stranger)]
    mesh.delete(rule)
    assert while_away == afterwards == ["web", ""]
    late = pods.container("late")
    assert not set(addresses(pods.add(late))) & set(where)
    pods.delete(late)


def test_a_namespace_that_vanished_with_its_pod_is_cleaned_up(mesh: Mesh, pods: Runtime) -> None:
    """A runtime that died: no DEL ever comes, and the next agent notices."""
    web = pods.container()
    pods.add(web)
    netns.delete(web.netns)
    mesh.kill_agent()
    mesh.start()


def test_nothing_is_left_whenever_plugin_and_agent_are_killed(mesh: Mesh, pods: Runtime) -> None:
    rng = random.Random(os.environ.get("TULLE_TEST_SEED", "1"))
    for _ in range(2):
        some = [pods.container(f"pod-{number}") for number in range(4)]
        callers = [pods.spawn("ADD", container) for container in some]
        for caller in callers:
            assert caller.stdin is not None
            caller.stdin.write(pods.configuration())
            caller.stdin.close()
            caller.stdin = None
        time.sleep(rng.uniform(0.0, 0.2))
        for caller in rng.sample(callers, 2):
            caller.kill()
        pid = mesh.agent_pid()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda pid=pid: not alive(pid))  # type: ignore[misc]
        mesh.start()
        for caller in callers:
            printed = caller.communicate(timeout=30)[0]
            if caller.returncode != -signal.SIGKILL:
                assert addresses(json.loads(printed))
        for container in some:
            pods.delete(container)
            netns.delete(container.netns)
