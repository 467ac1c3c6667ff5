"""Services from inside the mesh: who answers, what the client sees, both families and protocols."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.e2e.mesh import HERE, Json, Mesh, service, wait_for

REPLICAS = ("web-1", "web-2", "web-3")

ASK_MANY = """
import http.client, sys
for _ in range(int(sys.argv[2])):
    c = http.client.HTTPConnection(sys.argv[1], 80, timeout=2)
    c.request("GET", "/"); print(c.getresponse().read().decode()); c.close()
"""
PEER = """
import socket, sys
s = socket.create_connection((sys.argv[1], 80), timeout=2); print(s.getpeername()[:2])
"""
UDP = """
import socket, sys
host = sys.argv[1]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as s:  # unconnected: sendmsg and recvmsg hooks
    s.settimeout(2); s.sendto(b"?", (host, 53)); data, peer = s.recvfrom(100)
    print(data.decode(), peer[0], peer[1])
with socket.socket(family, socket.SOCK_DGRAM) as s:  # connected: connect and getpeername hooks
    s.settimeout(2); s.connect((host, 53)); s.send(b"?"); data = s.recv(100)
    print(data.decode(), *s.getpeername()[:2])
"""
MAPPED = """
import socket, sys
s = socket.socket(socket.AF_INET6); s.settimeout(2)
s.connect(("::ffff:" + sys.argv[1], 80)); print(s.getpeername()[0])
"""
REFUSED = """
import socket, sys
try: socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1)
except OSError as error: print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def shop(mesh: Mesh) -> Iterator[Mesh]:
    for name in REPLICAS:
        mesh.serve(name, app="web")
    mesh.run("client", "sleep", "inf")
    mesh.run("other", "sleep", "inf")
    mesh.apply(
        service("web", "web"),
        service("names", "web", port=53, protocol="UDP"),
        service("sticky", "web", sessionAffinity="ClientIP"),
        service("empty", "nobody"),
    )
    yield mesh


def addresses(mesh: Mesh, name: str) -> list[str]:
    [found] = [item for item in mesh.get("services") if item["name"] == name]
    return found["cluster_ips"]


def python(mesh: Mesh, client: str, script: str, *arguments: str) -> list[str]:
    return mesh.exec(client, sys.executable, "-c", script, *arguments).splitlines()


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
def test_connections_spread_evenly(shop: Mesh, family: int) -> None:
    answers = Counter(python(shop, "client", ASK_MANY, addresses(shop, "web")[family], "300"))
    assert set(answers) == set(REPLICAS)
    assert all(60 <= count <= 140 for count in answers.values()), answers  # 100 ± 5 sigma


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
def test_the_client_sees_the_service_not_the_backend(shop: Mesh, family: int) -> None:
    address = addresses(shop, "web")[family]
    assert python(shop, "client", PEER, address) == [str((address, 80))]


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
def test_udp_answers_come_from_the_service(shop: Mesh, family: int) -> None:
    address = addresses(shop, "names")[family]
    for line in python(shop, "client", UDP, address):
        name, peer, port = line.split()
        assert name in REPLICAS and (peer, port) == (address, "53")


def test_an_ipv6_socket_reaches_an_ipv4_service(shop: Mesh) -> None:
    address = addresses(shop, "web")[0]
    assert python(shop, "client", MAPPED, address) == [f"::ffff:{address}"]


def test_a_name_reaches_the_service(shop: Mesh) -> None:
    for name in ("web", "web.shop", "web.shop.svc.cluster.local"):
        assert shop.get_http("client", f"http://{name}/") in REPLICAS


def test_session_affinity_keeps_a_client_at_one_backend(shop: Mesh) -> None:
    address = addresses(shop, "sticky")[0]
    first = set(python(shop, "client", ASK_MANY, address, "50"))
    assert len(first) == 1
    assert set(python(shop, "client", ASK_MANY, address, "50")) == first


def test_affinity_moves_on_when_its_backend_goes(shop: Mesh) -> None:
    shop.serve("web-4", app="moving")
    shop.serve("web-5", app="moving")
    shop.apply(service("moving", "moving", sessionAffinity="ClientIP"))
    address = addresses(shop, "moving")[0]
    [first] = set(python(shop, "client", ASK_MANY, address, "5"))
    other = {"web-4": "web-5", "web-5": "web-4"}[first]
    end_workload(shop, first)
    assert set(python(shop, "client", ASK_MANY, address, "5")) == {other}


def end_workload(mesh: Mesh, name: str) -> None:
    """Kills its processes; the agent takes it out of the mesh."""
    for path in (mesh.cgroup / f"shop_{name}").glob("**/cgroup.kill"):
        path.write_text("1")
    wait_for(lambda: name not in {item["name"] for item in mesh.get("endpoints")})


def test_a_service_without_endpoints_refuses_at_once_and_says_so(shop: Mesh) -> None:
    address = addresses(shop, "empty")[0]
    assert python(shop, "client", REFUSED, address, "80") == ["ConnectionRefusedError"]
    flow = last_drop(shop, "--to-ip", address)
    assert flow["reason"] == "NO_BACKEND"
    assert flow["source"]["pod_name"] == "client"
    assert flow["destination_service"] == {"name": "empty", "namespace": "shop"}
    assert flow["rule"]


def test_a_port_that_a_service_has_not_is_dropped_by_name(shop: Mesh) -> None:
    address = addresses(shop, "web")[0]
    assert python(shop, "client", REFUSED, address, "81") == ["TimeoutError"]
    flow = last_drop(shop, "--to-ip", address, "--port", "81")
    assert (flow["reason"], flow["rule"] != "") == ("NO_SERVICE_PORT", True)


def last_drop(mesh: Mesh, *filters: str) -> Json:
    found: list[Json] = []

    def seen() -> bool:
        found[:] = mesh.flows("--verdict", "DROPPED", *filters)
        return bool(found)

    wait_for(seen)
    return found[-1]


def test_weights_share_connections_in_their_proportion(shop: Mesh) -> None:
    pods = [weighted(name, weight) for name, weight in (("heavy", 3), ("light", 1), ("none", 0))]
    shop.apply(*pods, service("weighted", "weighted"))
    wait_for(lambda: len(backends(shop, "weighted")) == 4)  # two pods, two families
    answers = Counter(python(shop, "client", ASK_MANY, addresses(shop, "weighted")[0], "400"))
    assert set(answers) == {"heavy", "light"}
    assert 250 <= answers["heavy"] <= 350, answers  # 300 ± 5 sigma
    shop.delete(*pods)


def backends(mesh: Mesh, name: str) -> list[Json]:
    [found] = [item for item in mesh.get("services") if item["name"] == name]
    return found["backends"]


def weighted(name: str, weight: int) -> Json:
    probe = {"tcpSocket": {"port": 8080}}
    command = [sys.executable, str(HERE / "server.py"), name]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"app": "weighted"},
            "annotations": {"tulle.io/weight": str(weight)},
        },
        "spec": {"containers": [{"name": "c", "command": command, "readinessProbe": probe}]},
    }
