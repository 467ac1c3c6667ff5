"""The command line as users type it: a node of the lab, from nothing to nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tulle.cli.preflight import preflight
from tulle.edges.cgroup import find_mount
from tulle.lab import node
from tulle.model.paths import NodePaths

NODE = f"cli-{os.getpid()}"
SHOP = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
    - from: [{podSelector: {matchLabels: {app: client}}}]
"""
SERVER = (
    "import socket\n"
    "server = socket.create_server(('::', 8080), family=socket.AF_INET6, dualstack_ipv6=True)\n"
    "while True: server.accept()[0].sendall(b'hello')"
)
CLIENT = (
    "import socket, sys\nprint(socket.create_connection(('web', 80), timeout=1).recv(5).decode())"
)


def tulle(*words: str, stdin: str = "", code: int = 0) -> str:
    """What a command prints; it must exit with `code`."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tulle.cli", "--node", NODE, *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


def value(*words: str, code: int = 0) -> Any:
    return json.loads(tulle(*words, "-o", "json", code=code))


def run_in_shop(name: str, app: str, *command: str) -> None:
    words = ["--name", name, "-n", "shop", "-l", f"app={app}", "-p", "http=8080"]
    tulle("run", *words, "-d", "--", *command)


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """A node with a service, a policy, a server, and two that would like to talk to it."""
    try:
        tulle("lab", "up", NODE)
        tulle("apply", "-f", "-", stdin=SHOP)
        run_in_shop("web-1", "web", sys.executable, "-c", SERVER)
        for name in ("client", "thief"):
            run_in_shop(name, name, "sleep", "600")
        yield NODE
    finally:
        subprocess.run([sys.executable, "-P", "-m", "tulle.cli", "lab", "down", NODE], check=True)
    assert NODE not in node.nodes()
    assert not NodePaths(NODE).bpffs.exists()
    assert not (find_mount() / f"tulle-{NODE}").exists()


def connect(name: str) -> subprocess.CompletedProcess[str]:
    words = ["exec", "-n", "shop", name, "--", sys.executable, "-c", CLIENT]
    line = [sys.executable, "-P", "-m", "tulle.cli", "--node", NODE, *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=30)


def test_the_verdict_is_told_before_and_after(shop: str) -> None:
    forwarded = value("explain", "shop/client", "shop/web", "--port", "80")["results"][0]
    dropped = value("explain", "shop/thief", "shop/web", "--port", "80", code=3)["results"][0]
    assert connect("client").stdout == "hello\n"
    assert "timed out" in connect("thief").stderr
    for name, told in (("client", forwarded), ("thief", dropped)):
        time.sleep(0.1)  # the agent collects events on its own clock
        text = tulle("observe", "--from-pod", f"shop/{name}", "--last", "1", "-o", "json")
        flow = json.loads(text)["flow"]
        assert (flow["verdict"], flow["rule"]) == (told["verdict"], told["rule"])
        assert flow["destination"]["pod_name"] == "web-1"
    assert dropped["rule"] == "default deny by NetworkPolicy shop/web (ingress)"


def test_following_flows_shows_those_that_come(shop: str) -> None:
    line = [sys.executable, "-P", "-m", "tulle.cli", "--node", NODE, "observe", "-f"]
    with subprocess.Popen([*line, "--to-port", "8080"], stdout=subprocess.PIPE) as observer:
        assert observer.stdout
        time.sleep(1)
        connect("client")
        assert b"FORWARDED" in observer.stdout.readline()
        observer.send_signal(signal.SIGINT)
        assert observer.wait(10) == 0


def test_what_there_is(shop: str) -> None:
    assert [item["name"] for item in value("get", "services")["items"]] == ["web"]
    endpoints = value("get", "endpoints")["items"]
    assert [item["name"] for item in endpoints] == ["client", "thief", "web-1"]
    assert value("status")["counts"]["workloads"] == 3
    assert any(item["name"] == NODE for item in value("lab", "list")["items"])


def test_a_workload_ends_with_its_command(shop: str) -> None:
    words = ["run", "--name", "brief", "-n", "shop", "--", "sh", "-c", "echo $(hostname); exit 5"]
    assert tulle(*words, code=5).startswith("brief\n")
    deadline = time.monotonic() + 10
    while "brief" in tulle("get", "endpoints"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_one_agent_a_node(shop: str) -> None:
    assert f"start its agent with `tulle lab up {NODE}`" in tulle("up", "-d", code=2)
    assert "is up already" in tulle("lab", "up", NODE, code=1)
    assert value("get", "services")["items"]


def test_preflight_leaves_nothing() -> None:
    checks = list(preflight())
    assert all(check.ok for check in checks), checks
    name = f"check-{os.getpid()}"
    assert name not in node.nodes()
    assert not (find_mount() / f"tulle-{name}").exists()
    assert not NodePaths(name).bpffs.exists()
    assert f"/{name}/" not in Path("/proc/self/mountinfo").read_text()
