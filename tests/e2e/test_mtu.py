"""Packets are as large as the way lets them be, and who sends larger ones is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.e2e.big import BYTES, TCP_PORT, UDP_PORT
from tests.e2e.conftest import Clusters
from tests.e2e.field import by_family, listed_addresses
from tests.e2e.mesh import HERE, Cluster, Json, wait_for

WAYS = {  # the options of the lab, and the workloads' MTU
    "native": ((), 1500),
    "overlay": (("--routing", "vxlan"), 1450),
    "dsr": (("--load-balancing", "dsr"), 1450),
}
HEADERS = {4: 28, 6: 48}  # IP and UDP
FAR = {4: "203.0.113.1", 6: "2001:db8:ffff::1"}
NODE_PORTS = {TCP_PORT: 30900, UDP_PORT: 30901}
BIG = (sys.executable, str(HERE / "big.py"))


class Way:
    """From `client` on node a, or from outside, to `big` on node b."""

    def __init__(self, cluster: Cluster, mtu: int) -> None:
        self.cluster, self.mtu = cluster, mtu
        self._client, server = cluster["a"], cluster["b"]
        self._client.run("client", "sleep", "inf")
        server.run("big", *BIG, "serve")
        cluster.apply(node_ports())
        [found] = [item for item in server.get("endpoints") if item["name"] == "big"]
        self.server = by_family(found["addresses"])
        self.node = listed_addresses(self._client.name)
        wait_for(lambda: self.inside("datagram", self.server[4], UDP_PORT, 1) == "1")

    def inside(self, verb: str, host: str, *rest: int) -> str:
        return self._client.exec("client", *BIG, verb, host, *map(str, rest)).strip()

    def outside(self, verb: str, host: str, *rest: int) -> str:
        return self.cluster.outside(*BIG, verb, host, *map(str, rest)).strip()


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest, clusters: Clusters) -> Iterator[Way]:
    options, mtu = WAYS[request.param]
    with clusters("mtu", ("a", "b"), *options) as cluster:
        yield Way(cluster, mtu)


families = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])


@families
def test_a_large_transfer_arrives(way: Way, family: int) -> None:
    assert way.inside("stream", way.server[family], TCP_PORT) == str(BYTES)
    assert way.outside("stream", way.node[family], NODE_PORTS[TCP_PORT]) == str(BYTES)


@families
def test_the_largest_packet_arrives_and_a_larger_one_does_not_leave(way: Way, family: int) -> None:
    largest = way.mtu - HEADERS[family]
    server = way.server[family]
    assert way.inside("datagram", server, UDP_PORT, largest) == str(largest)
    assert way.inside("datagram", server, UDP_PORT, largest + 1) == f"too large, {way.mtu}"


@families
def test_a_client_outside_is_told_how_much_the_way_takes(way: Way, family: int) -> None:
    node, port = way.node[family], NODE_PORTS[UDP_PORT]
    largest = way.mtu - HEADERS[family]
    assert way.outside("datagram", node, port, largest) == str(largest)
    assert way.outside("datagram", node, port, largest + 1) == f"too large, {way.mtu}"


@families
def test_a_router_on_the_way_out_is_heard(way: Way, family: int) -> None:
    """It answers to the node, which speaks for the workload."""
    far = FAR[family]
    way.cluster.outside("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    narrow = ("via", listed_addresses(way.cluster["b"].name)[family], "mtu", "lock", "1300")
    way.cluster.outside("ip", "route", "replace", far, *narrow)
    largest = way.mtu - HEADERS[family]
    assert way.inside("datagram", far, UDP_PORT, largest) == "too large, 1300"


def node_ports() -> Json:
    ports = [
        {"name": str(port), "port": port, "nodePort": NODE_PORTS[port], "protocol": protocol}
        for port, protocol in ((TCP_PORT, "TCP"), (UDP_PORT, "UDP"))
    ]
    spec = {
        "type": "NodePort",
        "ipFamilyPolicy": "RequireDualStack",
        "selector": {"app": "big"},
        "ports": ports,
    }
    meta = {"name": "big", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
