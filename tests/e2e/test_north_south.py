"""What crosses the border of the mesh: who is let in, by which node, and as whom it is seen."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.field import NODE_PORTS, OUTSIDE, PORT, SERVERS, Field, service
from tests.e2e.mesh import Json, wait_for
from tests.e2e.probes import PROBE, SERVED, Answer, Question, wait_until_served

LOCAL_PORT, STICKY_PORT, SHARED_PORT = 30011, 30012, 30013
FAR = {4: "203.0.113.1", 6: "2001:db8:ffff::1"}  # behind a gateway
NEAR = {4: "203.0.113.2", 6: "2001:db8:ffff::2"}  # excluded from it
PLAIN = {4: "198.51.100.1", 6: "2001:db8:eeee::1"}  # not masqueraded
NEVER_ALLOWED = "198.51.100.77/32"
families = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
protocols = pytest.mark.parametrize("protocol", ["TCP", "UDP"])


@pytest.fixture(scope="module")
def ground(clusters: Clusters) -> Iterator[Field]:
    plain = [word for address in PLAIN.values() for word in ("--no-masquerade-cidr", address)]
    with clusters("north", ("a", "b"), *plain) as cluster:
        made = Field(cluster)
        for addresses in (FAR, NEAR, PLAIN):
            for address in addresses.values():
                cluster.outside("ip", "address", "add", address, "dev", "lo")
        wait_until_served(cluster.spawn_outside(*PROBE, "serve", "outside"))
        yield made


@pytest.fixture(scope="module")
def direct(clusters: Clusters) -> Iterator[Field]:
    with clusters("dsr", ("a", "b"), "--load-balancing", "dsr") as cluster:
        yield Field(cluster)


def ask(ground: Field, question: Question, outcome: str = "answered") -> Answer:
    return ground.probes.insist({question: outcome})[question]


def seen(ground: Field, question: Question) -> str:
    """The address that the server saw."""
    answer = ask(ground, question)
    assert answer.outcome == "answered", question
    return answer.said.split()[1]


@families
@protocols
def test_with_dsr_every_server_sees_the_client(direct: Field, protocol: str, family: int) -> None:
    for server, node in product(SERVERS, ("a", "b")):
        address = direct.nodes[node][family]
        question = Question("outside", protocol, address, NODE_PORTS[server], family)
        assert ask(direct, question).said == f"{server} {OUTSIDE[family]}"
    for server in SERVERS:
        balancer = direct.address_of(f"balancer-{server}", "external_ips", family)
        question = Question("outside", protocol, balancer, PORT, family)
        assert ask(direct, question).said == f"{server} {OUTSIDE[family]}"


@families
@protocols
def test_external_traffic_policy_local(ground: Field, protocol: str, family: int) -> None:
    """The client's address stays, and a node without an endpoint has nothing to give."""
    local = {"type": "NodePort", "externalTrafficPolicy": "Local"}
    ground.cluster.apply(service("local", "here", node_port=LOCAL_PORT, **local))
    at_a, at_b = (ground.nodes[node][family] for node in "ab")
    asked = Question("outside", protocol, at_a, LOCAL_PORT, family)
    assert ask(ground, asked).said == f"here {OUTSIDE[family]}"
    asked = asked._replace(host=at_b)
    assert ask(ground, asked, "silent").outcome == "silent"
    asked = asked._replace(source="client")
    assert ask(ground, asked).said == f"here {ground.pods['client'][family]}"


@families
def test_a_client_outside_stays_with_its_server(ground: Field, family: int) -> None:
    sticky = {"type": "NodePort", "sessionAffinity": "ClientIP", "selector": {"role": "server"}}
    ground.cluster.apply(
        service("sticky", "", node_port=STICKY_PORT, **sticky),
        service("shared", "", node_port=SHARED_PORT, type="NodePort", selector=sticky["selector"]),
    )
    at_a = ground.nodes["a"][family]

    def servers(port: int) -> set[str]:
        asked = Question("outside", "TCP", at_a, port, family)
        return {ask(ground, asked).said.split()[0] for _ in range(20)}

    wait_for(lambda: servers(SHARED_PORT) == set(SERVERS))
    assert len(servers(STICKY_PORT)) == 1


@families
@protocols
def test_who_leaves_is_seen_as_its_node(ground: Field, protocol: str, family: int) -> None:
    asked = Question("client", protocol, OUTSIDE[family], SERVED, family)
    assert seen(ground, asked) == ground.nodes["a"][family]
    asked = asked._replace(source="host")
    assert seen(ground, asked) == ground.nodes["a"][family]


@families
def test_an_excluded_range_sees_the_workload(ground: Field, family: int) -> None:
    asked = Question("client", "TCP", PLAIN[family], SERVED, family)
    assert seen(ground, asked) == ground.pods["client"][family]


@families
def test_chosen_workloads_leave_by_a_gateway(ground: Field, family: int) -> None:
    asked = Question("client", "TCP", FAR[family], SERVED, family)
    assert seen(ground, asked) == ground.nodes["a"][family]
    ground.cluster.apply(gateway(ground.cluster["b"].name))
    assert seen(ground, asked) == ground.nodes["b"][family]
    assert seen(ground, asked._replace(host=NEAR[family])) == ground.nodes["a"][family]
    assert seen(ground, asked._replace(source="host")) == ground.nodes["a"][family]
    with pytest.raises(AssertionError, match="matches no node: what it selects is dropped"):
        ground.cluster["a"].apply(gateway("nobody"))
    assert ask(ground, asked, "silent").outcome == "silent"
    found = ground.cluster["a"].flows("--verdict", "DROPPED", "--to-ip", FAR[family])
    assert {flow["reason"] for flow in found} == {"NO_GATEWAY"}
    ground.cluster.delete(gateway("nobody"))
    assert seen(ground, asked) == ground.nodes["a"][family]


def gateway(node: str) -> Json:
    """For the client; its traffic to FAR and NEAR, but not to NEAR."""
    spec = {
        "selectors": [{"podSelector": {"matchLabels": {"app": "client"}}}],
        "destinationCIDRs": ["203.0.113.0/24", "2001:db8:ffff::/64"],
        "excludedCIDRs": [f"{NEAR[4]}/32", f"{NEAR[6]}/128"],
        "egressGateway": {"nodeSelector": {"matchLabels": {"kubernetes.io/hostname": node}}},
    }
    kind, meta = "CiliumEgressGatewayPolicy", {"name": "far"}
    return {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": meta, "spec": spec}


@protocols
def test_only_named_ranges_may_ask_a_balancer(ground: Field, protocol: str) -> None:
    for name, allowed in (("open", "192.168.96.0/20"), ("shut", NEVER_ALLOWED)):
        ranges = {"type": "LoadBalancer", "loadBalancerSourceRanges": [allowed]}
        ground.cluster.apply(service(name, "here", **ranges))
    opened, shut = (ground.address_of(name, "external_ips", 4) for name in ("open", "shut"))
    asked = Question("outside", protocol, opened, PORT)
    assert ask(ground, asked).said.startswith("here ")
    asked = asked._replace(host=shut)
    assert ask(ground, asked, "silent").outcome == "silent"
    found = ground.cluster["a"].flows("--verdict", "DROPPED", "--to-ip", shut)
    assert {flow["reason"] for flow in found} == {"SOURCE_RANGE"}


def test_an_external_address_is_served(ground: Field) -> None:
    ground.route_outside("198.51.100.9", "a", 4)
    ground.cluster.apply(service("external", "there", externalIPs=["198.51.100.9"]))
    for who in ("outside", "client", "host"):
        asked = Question(who, "TCP", "198.51.100.9", PORT)
        assert ask(ground, asked).said.startswith("there ")


@families
def test_a_server_reaches_itself_through_its_service(ground: Field, family: int) -> None:
    address = ground.address_of("cluster-here", "cluster_ips", family)
    line = ("python3", "-c", HAIRPIN, address, str(PORT))
    assert ground.cluster["a"].exec("here", *line).split()[0] == "here"


HAIRPIN = """
import socket, sys
print(socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).recv(100).decode())
"""
