"""A new version takes over a node of an earlier one whose maps have another layout.

The client is isolated too: without its entry, no packet of a connection may reach it, from
whichever end it comes. So what goes on was carried over.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import assert_gone
from tests.e2e.earlier import Earlier, build
from tests.e2e.mesh import HERE, Json, Mesh, admit, policy, service, wait_for
from tulle import abi

KEPT = 50
LOAD = (sys.executable, str(HERE / "load.py"))
PUSH = """
import socket, time
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(("::", 5353))
_, peer = s.recvfrom(10); number = 0
while True:
    s.sendto(str(number).encode(), peer); number += 1; time.sleep(0.02)
"""
LISTEN = """
import json, select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((sys.argv[1], 53))
s.send(b"?"); heard = [int(s.recv(20))]; print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    heard.append(int(s.recv(20)))
print(json.dumps({"count": len(heard), "lost": heard[-1] - heard[0] + 1 - len(heard),
                  "peer": s.getpeername()[0]}), flush=True)
"""
REPLICAS = ("web-1", "web-2", "web-3")
STICKY = ("sticky-1", "sticky-2", "sticky-3", "sticky-4")


@dataclass
class Upgraded:
    mesh: Mesh
    addresses: dict[str, str]  # of the services, before
    workloads: set[str]
    favourites: dict[str, str]  # whom each sticky service sent the client to, before
    traffic: subprocess.Popen[str]
    listener: subprocess.Popen[str]
    leaks: list[str]  # what the stranger got meanwhile


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("earlier"))


@pytest.fixture(scope="module")
def upgraded(source: Path) -> Iterator[Upgraded]:
    name = f"e2e-{os.getpid()}"
    earlier, mesh = Earlier(name, source), Mesh(name)
    try:
        earlier.start()
        populate(earlier)
        yield take_over(earlier, mesh)
    finally:
        earlier.end_children()
        mesh.stop()
    assert_gone(name)


def populate(node: Mesh) -> None:
    for replica in REPLICAS:
        node.serve(replica, app="web")
    node.run("push", sys.executable, "-c", PUSH)
    node.run("client", "sleep", "inf")
    node.run("stranger", "sleep", "inf")
    only_client = [{"podSelector": {"matchLabels": {"app": "client"}}}]
    node.apply(
        service("web", "web"),
        *(service(name, "web", sessionAffinity="ClientIP") for name in STICKY),
        service("push", "push", port=53, protocol="UDP"),
        admit("web", "web", "client"),
        admit("client", "client"),
        policy("push", "push", policyTypes=["Ingress"], ingress=[{"from": only_client}]),
    )


def take_over(earlier: Mesh, mesh: Mesh) -> Upgraded:
    addresses = addresses_of(earlier)
    favourites = {name: earlier.get_http("client", f"http://{addresses[name]}/") for name in STICKY}
    assert set(favourites.values()) <= set(REPLICAS)
    traffic = start(earlier, *LOAD, addresses["web"], "80", str(KEPT))
    listener = start(earlier, sys.executable, "-c", LISTEN, addresses["push"])
    workloads = {item["name"] for item in earlier.get("endpoints")}
    time.sleep(1)
    earlier.kill_agent()
    url = f"http://{addresses['web']}/"
    leaks = [mesh.get_http_direct("stranger", url, 0.3)]
    # so that it has nothing but what the earlier version wrote down
    manifests = Path(f"/run/tulle/{mesh.name}/manifests")
    away = manifests.rename(manifests.with_name("away"))
    mesh.tulle("up", "-d")
    leaks.append(mesh.get_http("stranger", url, 0.3))
    away.rename(manifests)
    wait_for(lambda: mesh.status()["health"] == "ok")
    return Upgraded(mesh, addresses, workloads, favourites, traffic, listener, leaks)


def start(node: Mesh, *command: str) -> subprocess.Popen[str]:
    child = node.spawn("client", *command)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    return child


def addresses_of(node: Mesh) -> dict[str, str]:
    return {item["name"]: item["cluster_ips"][0] for item in node.get("services")}


def result(child: subprocess.Popen[str]) -> Json:
    return json.loads(child.communicate("", timeout=30)[0])


def test_the_maps_of_the_earlier_version_are_gone(upgraded: Upgraded) -> None:
    pins = Path("/sys/fs/bpf/tulle") / upgraded.mesh.name
    assert [path.name for path in pins.glob("v*")] == [f"v{abi.ABI_HASH}"]


def test_services_and_workloads_are_the_same(upgraded: Upgraded) -> None:
    assert addresses_of(upgraded.mesh) == upgraded.addresses
    assert {item["name"] for item in upgraded.mesh.get("endpoints")} == upgraded.workloads
    status = upgraded.mesh.status()
    assert (status["problems"], status["refused"]) == ([], [])


def test_a_flow_that_only_the_server_feeds_goes_on(upgraded: Upgraded) -> None:
    time.sleep(1)
    heard = result(upgraded.listener)
    assert heard["count"] > 50
    assert heard["lost"] == 0
    assert heard["peer"] == upgraded.addresses["push"]


def test_streams_go_on_and_new_ones_open(upgraded: Upgraded) -> None:
    time.sleep(1)
    totals = result(upgraded.traffic)
    assert totals["kept"]["failed"] == totals["fresh"]["failed"] == 0, totals
    assert totals["kept"]["requests"] > KEPT


def test_what_was_denied_stays_denied(upgraded: Upgraded) -> None:
    assert upgraded.leaks == ["", ""]
    url = f"http://{upgraded.addresses['web']}/"
    assert upgraded.mesh.get_http("stranger", url, 0.5) == ""


def test_a_client_stays_with_its_backend(upgraded: Upgraded) -> None:
    for name, favourite in upgraded.favourites.items():
        url = f"http://{upgraded.addresses[name]}/"
        assert {upgraded.mesh.get_http("client", url) for _ in range(4)} == {favourite}
