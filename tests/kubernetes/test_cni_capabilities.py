"""What a runtime asks of the CNI plugin for a pod, with the traffic that it is for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.mesh import Cluster, wait_for
from tests.kubernetes.cni_caller import Container, Failed, Runtime, addresses, runtime
from tulle.lab.cluster import Cluster as Members


@pytest.fixture(scope="module")
def lab(clusters: Clusters) -> Iterator[Cluster]:
    with clusters("cap", ("a",)) as made:
        yield made


@pytest.fixture
def pods(lab: Cluster) -> Iterator[Runtime]:
    with runtime(Path(f"/run/tulle-cap-{os.getpid()}"), lab["a"].name) as made:
        yield made
    wait_for(lambda: lab["a"].get("endpoints") == [])


def curl(url: str) -> tuple[str, ...]:
    return "curl", "-s", "--noproxy", "*", "-m", "2", "--retry", "0", url


def url(address: str, port: int) -> str:
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


def mapped(host_port: int, host_ip: str = "") -> dict[str, object]:
    mapping = {"hostPort": host_port, "containerPort": 8080, "protocol": "tcp", "hostIP": host_ip}
    return {"runtimeConfig": {"portMappings": [mapping]}}


def test_a_port_of_the_node_leads_to_its_pod(lab: Cluster, pods: Runtime) -> None:
    """From outside, from the node and from a pod on it, in both families, until its DEL."""
    web, friend = pods.container("web"), pods.container("friend")
    pods.add(web, **mapped(8090))
    pods.add(friend)
    server = pods.serve(web, "web")
    wait_for(lambda: "LISTEN" in pods.run_in(web, "ss", "-tln", "sport = :8080"))
    node = [str(item) for item in Members(lab.name).members()[lab["a"].name].addresses]
    assert {":" in item for item in node} == {False, True}
    for address in node:
        asked = curl(url(address, 8090))
        assert lab.outside(*asked, check=False).strip() == "web", address
        assert lab["a"].host(*asked).strip() == "web", address
        assert pods.run_in(friend, *asked).strip() == "web", address
    rival = pods.container("rival")
    with pytest.raises(Failed, match=r"hostPort: .*:8090/TCP belongs to Pod shop/web"):
        pods.add(rival, **mapped(8090))
    with pytest.raises(Failed, match=r"192\.0\.2\.77 is not an address of this node"):
        pods.add(rival, **mapped(8091, "192.0.2.77"))
    pods.delete(web)
    server.kill()
    server.communicate()
    take_over(pods, rival, node[0])
    assert pods.run_in(friend, *curl(url(node[0], 8090))) == ""
    for container in (rival, friend):
        pods.delete(container)


def take_over(pods: Runtime, rival: Container, address: str) -> None:
    """The port is free again, and on one address only it is on that one only."""
    assert addresses(pods.add(rival, **mapped(8091, address)))


SINK = """
import socket
taker = socket.create_server(("", 9000), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    peer, count = taker.accept()[0], 0
    try:
        if peer.recv(1) == b"<":
            while True: peer.sendall(bytes(65536))
        while part := peer.recv(1 << 20): count += len(part)
        peer.sendall(str(count).encode())
        peer.close()
    except OSError: pass
"""
FLOOD = """
import socket, sys, time
peer = socket.create_connection((sys.argv[1], 9000))
peer.sendall(sys.argv[2].encode())
began, count = time.monotonic(), 0
if sys.argv[2] == ">":
    while time.monotonic() - began < 2: peer.send(bytes(16384))
    peer.shutdown(socket.SHUT_WR)
    count = int(peer.makefile().read())
else:
    while time.monotonic() - began < 2: count += len(peer.recv(65536))
print(count * 8 / (time.monotonic() - began))
"""
RATE = 20_000_000


def test_a_limit_of_bandwidth_holds_both_ways(lab: Cluster, pods: Runtime) -> None:
    """TCP from another pod on the node; what falls is counted and told by its name."""
    web, friend = pods.container("web"), pods.container("friend")
    limits = {"ingressRate": RATE, "egressRate": RATE, "egressBurst": 2**32 - 1}
    where = addresses(pods.add(web, runtimeConfig={"bandwidth": limits}))
    pods.add(friend)
    sink = pods.spawn_in(web, sys.executable, "-c", SINK)
    wait_for(lambda: "LISTEN" in pods.run_in(web, "ss", "-tln", "sport = :9000"))
    for way, address in zip("><", where, strict=True):
        rate = float(pods.run_in(friend, sys.executable, "-c", FLOOD, address, way))
        # in two seconds the burst that stands at the beginning is an eighth more
        assert RATE * 0.7 < rate < RATE * (1.125 + 0.15), way
    assert "DROP_RATE_LIMITED" in {flow.get("drop_reason_desc") for flow in lab["a"].flows()}
    sink.kill()
    sink.communicate()
    for container in (web, friend):
        pods.delete(container)
