"""A hostile host on the wire between two nodes: nobody hears it who should not.

Its packets bear source ports from FORGED on. A server of node b admits only the workload `client`
of node a; node b itself is guarded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import count

import pytest

from tests.datapath.frames import IPV4, IPV6, UDP, ether, ipv4, ipv6, udp, udp_sum
from tests.e2e.conftest import Clusters
from tests.e2e.mesh import HERE, Cluster, Json, policy, wait_for

FORGED = 62_000  # source ports from here on: above those that the kernel gives out
OVERLAY_PORT, SERVED = 8472, 5353
FAR = "203.0.113.1"  # behind a gateway
ALL = ("--last", "4000")
families = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])
ASK = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as asking:
    asking.settimeout(5)
    asking.sendto(b"?", (sys.argv[1], int(sys.argv[2])))
    print(asking.recv(64).decode())
"""


class Ground:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self._ports = cluster, count(FORGED)
        a, b = cluster["a"], cluster["b"]
        a.run("client", "sleep", "inf")
        b.serve("server")
        peers = [{"podSelector": {"matchLabels": {"app": "client"}}}]
        cluster.apply(
            policy("server", "server", policyTypes=["Ingress"], ingress=[{"from": peers}]),
            host_policy(b.name),
        )
        found = [item for node in (a, b) for item in node.get("endpoints")]
        self.pods = {item["name"]: by_version(item["addresses"]) for item in found}
        self.hosts = {short: self._addresses(short) for short in ("a", "b")}
        self.outside = by_version(
            [item["local"] for item in self._devices("fabric") if item["scope"] == "global"]
        )

    def _devices(self, name: str) -> list[Json]:
        shown = self.cluster.outside("ip", "-json", "address", "show", "dev", name)
        found: list[Json] = json.loads(shown)[0]["addr_info"]
        return found

    def _addresses(self, node: str) -> dict[int, str]:
        shown = json.loads(self.cluster[node].host("ip", "-json", "address", "show", "dev", "eth0"))
        found = [item for item in shown[0]["addr_info"] if item["scope"] == "global"]
        return by_version([item["local"] for item in found])

    def inject(self, node: str, *packets: bytes) -> None:
        """To the node's own MAC."""
        shown = json.loads(self.cluster[node].host("ip", "-json", "link", "show", "dev", "eth0"))
        mac = bytes.fromhex(shown[0]["address"].replace(":", ""))
        frames = [ether(packet, kind_of(packet), dst=mac).hex() for packet in packets]
        self.cluster.outside(sys.executable, str(HERE / "inject.py"), "fabric", *frames)

    def datagram(self, src: str, dst: str, dport: int = SERVED) -> bytes:
        body = udp_sum(src, dst, udp(next(self._ports), dport, b"forged"))
        return ipv6(src, dst, UDP, body) if ":" in src else ipv4(src, dst, UDP, body)

    def tunnel(self, src: str, vni: int, inner: bytes) -> bytes:
        """To node b, as RFC 7348 has it."""
        head = b"\x08\0\0\0" + vni.to_bytes(3, "big") + b"\0"
        body = udp(next(self._ports), OVERLAY_PORT, head + ether(inner, kind_of(inner)))
        return ipv4(src, self.hosts["b"][4], UDP, body)

    def ask(self, version: int) -> str:
        address = self.pods["server"][version]
        return (
            self.cluster["a"]
            .exec("client", sys.executable, "-c", ASK, address, str(SERVED))
            .strip()
        )

    def heard(self) -> list[Json]:
        """What of the forged packets anybody was let hear, after one that is honest has come."""
        assert self.ask(4) == self.ask(6) == "server"
        return [
            flow
            for node in self.cluster.nodes.values()
            for flow in node.flows("--verdict", "FORWARDED", *ALL)
            if flow.get("l4", {}).get("UDP", {}).get("source_port", 0)
            in range(FORGED, FORGED + 999)
        ]

    def dropped(self, node: str) -> int:
        """How many packets policies have."""
        return len(self.cluster[node].flows("--verdict", "DROPPED", "--protocol", "UDP", *ALL))

    def refused(self, node: str) -> set[str]:
        """Why, of forged packets."""
        flows = self.cluster[node].flows("--verdict", "DROPPED", *ALL)
        return {
            flow["reason"]
            for flow in flows
            if flow.get("l4", {}).get("UDP", {}).get("source_port", 0)
            in range(FORGED, FORGED + 999)
        }


def kind_of(packet: bytes) -> int:
    return IPV6 if packet[0] >> 4 == 6 else IPV4


def by_version(texts: list[str]) -> dict[int, str]:
    return {6 if ":" in text else 4: text for text in texts}


def host_policy(node: str) -> Json:
    """Nobody from outside of the mesh comes in."""
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumClusterwideNetworkPolicy",
        "metadata": {"name": "guard"},
        "spec": {
            "nodeSelector": {"matchLabels": {"kubernetes.io/hostname": node}},
            "ingress": [{"fromEntities": ["cluster"]}],
        },
    }


def gateway(node: str) -> Json:
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumEgressGatewayPolicy",
        "metadata": {"name": "far"},
        "spec": {
            "selectors": [{"podSelector": {"matchLabels": {"app": "client"}}}],
            "destinationCIDRs": [f"{FAR}/32"],
            "egressGateway": {"nodeSelector": {"matchLabels": {"kubernetes.io/hostname": node}}},
        },
    }


@pytest.fixture(scope="module")
def ground(clusters: Clusters) -> Iterator[Ground]:
    with clusters("hostile", ("a", "b"), "--routing", "vxlan") as cluster:
        made = Ground(cluster)
        wait_for(lambda: made.ask(4) == made.ask(6) == "server")
        yield made


@families
def test_no_node_vouches_for_who_only_says_that_he_lives_there(
    ground: Ground, version: int
) -> None:
    server, client = ground.pods["server"][version], ground.pods["client"][version]
    host = ground.hosts["a"][version]
    ground.inject("a", ground.datagram(client, server), ground.datagram(host, server))
    assert ground.heard() == []
    assert ground.refused("a") == {"SPOOFED_SOURCE"}


@families
def test_workloads_are_not_heard_outside_of_the_overlay(ground: Ground, version: int) -> None:
    server, client = ground.pods["server"][version], ground.pods["client"][version]
    own = ground.hosts["b"][version]
    ports = (SERVED, OVERLAY_PORT)
    ground.inject("b", *(ground.datagram(s, server, p) for s in (client, own) for p in ports))
    assert ground.heard() == []


@families
def test_a_guarded_node_is_guarded_by_all_its_addresses(ground: Ground, version: int) -> None:
    """Those too that the mesh does not name."""
    link = json.loads(ground.cluster["b"].host("ip", "-json", "address", "show", "dev", "eth0"))
    local = [item["local"] for item in link[0]["addr_info"] if item["scope"] == "link"]
    wanted = [*local, "ff02::1"] if version == 6 else ["255.255.255.255", "224.0.0.1"]
    outside = "fe80::7" if version == 6 else ground.outside[4]
    before = ground.dropped("b")
    ground.inject("b", *(ground.datagram(outside, dst, 7000) for dst in wanted))
    wait_for(lambda: ground.dropped("b") == before + len(wanted))


@pytest.mark.parametrize("vni", [0, 1, 2, 3, 77, 0xFFFFFF])
def test_forged_tunnels_lead_nowhere(ground: Ground, vni: int) -> None:
    """Whoever seems to send them; the node that a packet's source lives on excepted: who can forge
    that needs no tunnel."""
    packets = []
    for version in (4, 6):
        outside, a, b = ground.outside[version], ground.hosts["a"], ground.hosts["b"]
        client, server = ground.pods["client"][version], ground.pods["server"][version]
        for dst in (server, b[version]):
            inners = [ground.datagram(src, dst) for src in (client, a[version], server, outside)]
            packets += [ground.tunnel(ground.outside[4], vni, inner) for inner in inners]
            # of what lives on b, or nowhere, not even a node may tell
            if vni != 1:  # which says that it came to that node from outside
                foreign = [ground.datagram(src, dst) for src in (server, b[version], outside)]
                packets += [ground.tunnel(a[4], vni, inner) for inner in foreign]
    ground.inject("b", *packets)
    assert ground.heard() == []
    assert ground.refused("b") & {"SPOOFED_TUNNEL", "NO_GATEWAY"}


def test_what_comes_back_to_a_gateway_reaches_who_asked(ground: Ground) -> None:
    """Its source lives on no node: the overlay takes it from the gateway alone."""
    ground.cluster.outside("ip", "address", "add", FAR, "dev", "lo")
    server = ground.cluster.spawn_outside(
        sys.executable, "-m", "http.server", "--bind", FAR, "8000", "--directory", str(HERE)
    )
    try:
        ground.cluster.apply(gateway(ground.cluster["b"].name))
        url = f"http://{FAR}:8000/inject.py"
        wait_for(lambda: "HEX" in ground.cluster["a"].get_http("client", url))
    finally:
        server.kill()
        ground.cluster.delete(gateway(ground.cluster["b"].name))
