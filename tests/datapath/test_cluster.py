"""Clusters of the lab: nodes that learn of each other, and nothing of them left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tulle.edges.cgroup import find_mount
from tulle.lab import node
from tulle.lab.cluster import Cluster

PID = os.getpid()
A, B, C = f"a-{PID}", f"b-{PID}", f"c-{PID}"
CLUSTER, OTHER = f"clu-{PID}", f"other-{PID}"
POD = {"apiVersion": "v1", "kind": "Pod"}
SLEEP = {"name": "c", "command": ["sleep", "inf"]}
# answers each connection with the client's address, and then with all that it got
SERVER = """
import socket
server = socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    client, where = server.accept()
    client.sendall(where[0].removeprefix("::ffff:").encode() + b"\\n")
    got = 0
    while chunk := client.recv(1 << 16):
        got += len(chunk)
    client.sendall(str(got).encode())
    client.close()
"""
CLIENT = """
import socket, sys
server = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[4]))
seen = server.makefile("rb").readline().decode().strip()
server.sendall(bytes(int(sys.argv[3])))
server.shutdown(socket.SHUT_WR)
print(seen, server.recv(100).decode())
"""
LARGEST = """
import errno, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
s.connect((sys.argv[1], 9))
for size in (1500, 1450):
    for more in (0, 1):
        try:
            s.send(bytes(size - 28 + more))
        except OSError as error:
            assert error.errno == errno.EMSGSIZE
            print(size + more, "is too long")
print(s.getsockopt(socket.IPPROTO_IP, 14))  # IP_MTU
"""


def tulle(*words: str, stdin: str = "", code: int = 0) -> str:
    """What a command prints; it must exit with `code`."""
    line = [sys.executable, "-P", "-m", "tulle.cli", *words]
    done = subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


def items(on: str, kind: str) -> list[dict[str, Any]]:
    return json.loads(tulle("--node", on, "get", kind, "-o", "json"))["items"]


def refused(on: str) -> dict[str, str]:
    status = json.loads(tulle("--node", on, "status", "-o", "json"))
    return {item["object"]: item["reason"] for item in status["refused"]}


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes, the first with a server and the second with a client."""
    try:
        tulle("lab", "up", A, B, "--cluster", CLUSTER, "--routing", "vxlan")
        tulle(*words(A, "run", "-d", "-n", "shop", "--name", "web"), sys.executable, "-c", SERVER)
        tulle(*words(B, "run", "-d", "-n", "shop", "--name", "client"), "sleep", "inf")
        until(lambda: set(known(A)) == set(known(B)) == {"client", "web"})
        yield Cluster(CLUSTER)
    finally:
        subprocess.run([sys.executable, "-P", "-m", "tulle.cli", "lab", "down", A, B], check=True)
    assert not Cluster(CLUSTER).directory.exists()
    assert not {A, B, C} & set(node.nodes())
    assert not (find_mount() / f"tulle-{A}").exists()
    assert CLUSTER not in Path("/proc/self/mountinfo").read_text()


def words(on: str, *verb: str) -> tuple[str, ...]:
    return "--node", on, *verb, "--"


def known(on: str) -> list[str]:
    """Workloads whose address the kernel of a node knows, by the agents' word."""
    return sorted(
        json.loads(path.read_text())["pods"][0]["metadata"]["name"]
        for path in (Cluster(CLUSTER).directory / "nodes").glob("*.json")
        if json.loads(path.read_text())["pods"]
    )


def listed() -> list[str]:
    return tulle("lab", "list").splitlines()


def talk(address: str, *, size: int = 10, timeout_s: float = 3) -> tuple[str, ...]:
    return sys.executable, "-c", CLIENT, address, "8080", str(size), str(timeout_s)


def from_client(address: str, *, size: int = 10, code: int = 0, timeout_s: float = 3) -> str:
    line = words(B, "exec", "-n", "shop", "client")
    return tulle(*line, *talk(address, size=size, timeout_s=timeout_s), code=code).strip()


def test_nodes_learn_of_each_other(cluster: Cluster) -> None:
    for on in (A, B):
        found = {item["name"]: item for item in items(on, "nodes")}
        assert set(found) == {A, B}
        assert found[A]["pod_cidrs"] == ["10.244.0.0/24", "fd00:7a11:0:244::/80"]
        assert {"192.168.96.10", "fd00:7a11:1::a", "10.244.0.1"} <= set(found[A]["addresses"])
        assert found[on]["this"] and found[A]["workloads"] == found[B]["workloads"] == 1
        assert found[A]["created"].endswith("+00:00")
    listed = {
        item["name"]: item for item in json.loads(tulle("lab", "list", "-o", "json"))["items"]
    }
    assert listed[B]["cluster"] == CLUSTER
    assert listed[B]["addresses"] == ["192.168.96.11", "fd00:7a11:1::b"]


@pytest.mark.parametrize("address", ["10.244.0.2", "fd00:7a11:0:244::2"])
def test_workloads_reach_each_other_however_much_they_send(cluster: Cluster, address: str) -> None:
    seen, got = from_client(address, size=3_000_000).split()
    assert seen.replace("244:1::2", "244::2") in ("10.244.1.2", "fd00:7a11:0:244::2")
    assert got == "3000000"


def test_no_packet_of_a_workload_is_too_long_for_the_overlay(cluster: Cluster) -> None:
    line = words(B, "exec", "-n", "shop", "client")
    told = tulle(*line, sys.executable, "-c", LARGEST, "10.244.0.2").splitlines()
    assert told == ["1500 is too long", "1501 is too long", "1451 is too long", "1450"]
    route = tulle("lab", "exec", B, "--", "ip", "route", "get", "10.244.0.2")
    assert "dev tulle_vxlan src 10.244.1.1" in route


def test_the_node_itself_and_whoever_is_outside(cluster: Cluster) -> None:
    script = 'cat /proc/self/cgroup; echo $TULLE_NODE; exec "$@"'
    line = ("sh", "-c", script, "sh", *talk("10.244.0.2"))
    told = tulle("lab", "exec", B, "--", *line).splitlines()
    assert f"0::/tulle-{B}/host" in told and told[-2] == B
    assert told[-1] == "10.244.1.1 10"
    assert tulle("lab", "outside", "--cluster", CLUSTER, "--", *talk("10.244.0.2")) == (
        "192.168.96.1 10\n"
    )


def test_a_name_is_in_one_place(cluster: Cluster) -> None:
    line = words(B, "run", "-d", "-n", "shop", "--name", "web")
    assert f"shop/web runs on node {A}" in tulle(*line, "sleep", "inf", code=1)


def test_a_node_that_is_cut_off_comes_back(cluster: Cluster) -> None:
    tulle("lab", "link", A, "down")
    try:
        assert "timed out" in from_client("10.244.0.2", code=1, timeout_s=0.5)
    finally:
        tulle("lab", "link", A, "up")
    assert from_client("10.244.0.2") == "10.244.1.2 10"


def test_what_a_dead_agent_has_told_still_holds(cluster: Cluster) -> None:
    os.kill(int(Path(f"/run/tulle/{A}/agent.lock").read_text()), signal.SIGKILL)
    assert from_client("10.244.0.2") == "10.244.1.2 10"
    assert A in {item["name"] for item in items(B, "nodes")}
    tulle("lab", "up", A)  # the cluster's options are known
    assert from_client("fd00:7a11:0:244::2") == "fd00:7a11:0:244:1::2 10"
    assert "is the same on every node" not in tulle("--node", A, "status")


def test_manifests_are_shared_and_pods_run_where_they_are_told(cluster: Cluster) -> None:
    pods = [
        {**POD, "metadata": {"name": name}, "spec": {"containers": [SLEEP], **spec}}
        for name, spec in (
            ("here", {"nodeName": A}),
            ("there", {"nodeName": B}),
            ("anywhere", {}),
            ("nowhere", {"nodeName": "no-such"}),
        )
    ]
    text = "---\n".join(json.dumps(pod) + "\n" for pod in pods)
    tulle("--node", A, "apply", "-f", "-", stdin=text)

    def placed(on: str) -> dict[str, tuple[str, str]]:
        return {item["name"]: (item["node"], item["phase"]) for item in items(on, "pods")}

    wanted = {
        "here": (A, "Running"),
        "there": (B, "Running"),
        "anywhere": ("", "Pending"),
        "nowhere": ("no-such", "Pending"),
    }
    for on in (A, B):
        until(lambda on=on: placed(on) == wanted)  # type: ignore[misc]
        reasons = {item["name"]: item["reason"] for item in items(on, "pods")}
        assert "set spec.nodeName" in reasons["anywhere"]
        assert "there is no node 'no-such'" in reasons["nowhere"]
        assert "set spec.nodeName" in refused(on)["Pod default/anywhere"]
    tulle("--node", B, "delete", "-f", "-", stdin=text)
    until(lambda: not placed(A) and not placed(B))


def test_a_node_may_join_and_leave_and_routes_follow(cluster: Cluster) -> None:
    def routes() -> str:
        return tulle("lab", "exec", A, "--", "ip", "route", "show", "proto", "116")

    assert "10.244.1.0/24 dev tulle_vxlan" in routes() and "10.244.2.0/24" not in routes()
    tulle("lab", "up", C, "--cluster", CLUSTER, "--node-label", "zone=z")
    try:
        until(lambda: "10.244.2.0/24 dev tulle_vxlan" in routes())
        found = next(item for item in items(A, "nodes") if item["name"] == C)
        assert found["labels"]["zone"] == "z"
        os.kill(int(Path(f"/run/tulle/{C}/agent.lock").read_text()), signal.SIGKILL)
    finally:
        tulle("lab", "down", C)  # without its agent
    until(lambda: "10.244.2.0/24" not in routes())
    assert {item["name"] for item in items(A, "nodes")} == {A, B}


def test_a_bad_file_is_refused_and_ones_own_is_mended(cluster: Cluster) -> None:
    stranger = cluster.directory / "nodes" / "stranger.json"
    stranger.write_bytes(b'{"node": 1}')
    until(lambda: "Node stranger" in refused(A))
    assert "cannot be read" in refused(A)["Node stranger"]
    stranger.unlink()
    until(lambda: "Node stranger" not in refused(A))
    own = cluster.directory / "nodes" / f"{B}.json"
    own.unlink()
    until(own.exists)
    until(lambda: {item["name"] for item in items(A, "nodes")} == {A, B})
    until(lambda: from_client("10.244.0.2") == "10.244.1.2 10")


def test_options_are_the_same_on_every_node(cluster: Cluster) -> None:
    told = tulle("lab", "up", C, "--cluster", CLUSTER, "--routing", "native", code=2)
    assert "has --routing vxlan: the same on every node" in told
    assert C not in node.nodes()
    assert "lab up" in tulle("--node", A, "up", code=2)


def test_clusters_do_not_see_each_other_and_options_can_change(cluster: Cluster) -> None:
    try:
        tulle("lab", "up", C, "--cluster", OTHER)
        assert [item["name"] for item in items(C, "nodes")] == [C]
        assert "in the cluster" in tulle("lab", "up", C, "--cluster", CLUSTER, code=1)
        tulle(*words(C, "run", "-d", "-n", "shop", "--name", "web"), sys.executable, "-c", SERVER)
        inside = words(C, "exec", "-n", "shop", "web")
        tulle(*words(C, "run", "-d", "--name", "odd"), "sleep", "inf")
        renamed = "ip link set eth0 down && ip link set eth0 name mine"
        tulle(*words(C, "exec", "odd"), "sh", "-c", renamed)
        assert "mtu 1500" in tulle(*inside, "ip", "link", "show", "eth0")
        until(lambda: ":8080" in tulle(*inside, "ss", "-Hltn"))
        assert tulle("lab", "outside", "--cluster", OTHER, "--", *talk("10.244.0.2")) == (
            "192.168.96.1 10\n"
        )
        os.kill(int(Path(f"/run/tulle/{C}/agent.lock").read_text()), signal.SIGTERM)
        until(lambda: "down" in next(line for line in listed() if line.startswith(C)))
        tulle("lab", "up", C, "--routing", "vxlan")
        (problem,) = json.loads(tulle("--node", C, "status", "-o", "json"))["problems"]
        assert problem.startswith("workload default/odd: ") and "No such device" in problem
        assert "mtu 1450" in tulle(*inside, "ip", "link", "show", "eth0")
    finally:
        tulle("lab", "down", "--cluster", OTHER)
    assert from_client("10.244.0.2") == "10.244.1.2 10"
