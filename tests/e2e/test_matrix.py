"""Every kind of service, to a server of the same node and of another, in both routing modes, both
families and both protocols, with real traffic: by workloads, by the node itself and from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.field import HOST_PORTS, NODE_PORTS, OUTSIDE, PORT, SERVERS, Field
from tests.e2e.probes import SERVED, Answer, Question

ROUTINGS = ("native", "vxlan")
Asked = Iterator[tuple[str, str, int]]  # who asks, which address and port


@pytest.fixture(scope="module", params=ROUTINGS)
def ground(request: pytest.FixtureRequest, clusters: Clusters) -> Iterator[Field]:
    with clusters("matrix", ("a", "b"), "--routing", request.param) as cluster:
        yield Field(cluster)


@pytest.fixture(scope="module")
def answers(ground: Field) -> dict[Question, Answer]:
    """All questions of the matrix, asked at once."""
    cases = product(KINDS, SERVERS, (4, 6), ("TCP", "UDP"))
    questions = [item for case in cases for item in questions_of(ground, *case)]
    return ground.probes.insist(dict.fromkeys(questions, "answered"))


def cluster_ip(ground: Field, server: str, family: int) -> Asked:
    yield "client", ground.address_of(f"cluster-{server}", "cluster_ips", family), PORT


def node_port(ground: Field, server: str, family: int) -> Asked:
    for who, node in product(("client", "host", "outside"), ("a", "b")):
        yield who, ground.nodes[node][family], NODE_PORTS[server]


def load_balancer(ground: Field, server: str, family: int) -> Asked:
    address = ground.address_of(f"balancer-{server}", "external_ips", family)
    for who in ("client", "host", "outside"):
        yield who, address, PORT


def headless(ground: Field, server: str, _: int) -> Asked:
    yield "client", f"headless-{server}", SERVED


def host_port(ground: Field, server: str, family: int) -> Asked:
    for who in ("client", "host", "outside"):
        yield who, ground.nodes[SERVERS[server]][family], HOST_PORTS[server]


def host_to_service(ground: Field, server: str, family: int) -> Asked:
    yield "host", ground.address_of(f"cluster-{server}", "cluster_ips", family), PORT


KINDS: dict[str, Callable[[Field, str, int], Asked]] = {
    "ClusterIP": cluster_ip,
    "NodePort": node_port,
    "LoadBalancer": load_balancer,
    "headless": headless,
    "hostPort": host_port,
    "host to service": host_to_service,
}


def questions_of(
    ground: Field, kind: str, server: str, family: int, protocol: str
) -> list[Question]:
    asked = KINDS[kind](ground, server, family)
    return [Question(who, protocol, address, port, family) for who, address, port in asked]


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("kind", KINDS)
def test_everybody_is_answered_by_the_one_server(
    ground: Field,
    answers: dict[Question, Answer],
    kind: str,
    server: str,
    family: int,
    protocol: str,
) -> None:
    wrong = [
        f"{question}: {answers[question]}"
        for question in questions_of(ground, kind, server, family, protocol)
        if answers[question].said.split()[:1] != [server]
    ]
    assert wrong == []


@pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
def test_who_a_server_sees(ground: Field, answers: dict[Question, Answer], family: int) -> None:
    """The client, unless a node speaks for it: to take the answer back where it came in."""
    for protocol, (server, home), node in product(("TCP", "UDP"), SERVERS.items(), ("a", "b")):
        address = ground.nodes[node][family]
        question = Question("outside", protocol, address, NODE_PORTS[server], family)
        seen = OUTSIDE[family] if node == home else address
        assert answers[question].said == f"{server} {seen}"
        cluster = ground.address_of(f"cluster-{server}", "cluster_ips", family)
        question = Question("client", protocol, cluster, PORT, family)
        assert answers[question].said == f"{server} {ground.pods['client'][family]}"
