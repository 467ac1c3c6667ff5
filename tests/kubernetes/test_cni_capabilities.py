"""What a runtime asks of the CNI plugin for a pod, with the traffic that it is for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import assert_gone
from tests.e2e.mesh import Cluster, wait_for
from tests.kubernetes.cni_caller import Container, Failed, Runtime, addresses, runtime
from tulle.lab.cluster import Cluster as Members


@pytest.fixture(scope="module")
def lab() -> Iterator[Cluster]:
    made = Cluster(f"cap-{os.getpid()}", ("a",))
    made.start()
    try:
        yield made
    finally:
        made.stop()
    assert_gone(made.name)


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
