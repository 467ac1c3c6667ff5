"""Every reason for which real traffic can fall, and what `observe` then says of it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from struct import pack

import pytest
import yaml

from tests.datapath.frames import (
    ACK,
    ICMP,
    IPV6,
    ROUTING,
    SYN,
    TCP,
    UDP,
    UNREACHABLE,
    ether,
    icmp,
    ipv4,
    ipv6,
    options6,
    tcp,
    udp,
)
from tests.e2e.conftest import Clusters
from tests.e2e.mesh import Cluster, Json, Mesh, admit, service, wait_for
from tulle.abi import Reason
from tulle.agent.addresses import node_addresses
from tulle.edges import netns
from tulle.observe.reasons import TEXT

# What no packet can bring about: a hole in the maps, and a kernel without memory. To use up ports
# takes thousands: tests/datapath/test_translation.py does it to eight. What comes of a proxy that
# is away, and of rules that have changed, is in tests/datapath/test_rules.py; limits of bandwidth,
# which a container runtime asks for, are in tests/kubernetes/test_cni_capabilities.py.
NOT_BY_TRAFFIC = {
    *("DROP", "MAX", "NO_POLICY", "CONNTRACK_FULL", "NAT_FULL", "NAT_PORTS_EXHAUSTED"),
    *("NO_PROXY", "OTHER_RULES", "OVER_BANDWIDTH", "DNS_REFUSED", "DNS_UNREADABLE", "DNS_PROTOCOL"),
    *("NOT_HELD", "HTTP_CUT", "BEHIND", "HTTP_KEPT", "HTTP_REFUSED", "HTTP_ORDER"),
}
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 80), timeout=1)"
SEND = """
import socket, sys
host, port, text = sys.argv[1:]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.sendto(bytes.fromhex(text), (host, int(port)))
"""
FAR, NOWHERE = "203.0.113.9", "10.244.0.250"  # outside; an address of the pod range, nobody's
GRE, VXLAN = 47, 8472
LOST = 30901  # the node port of a backend without a route


class Town:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.mesh = cluster, cluster["a"]
        mesh = self.mesh
        for name in ("client", "web", "guarded"):
            mesh.run(name, "sleep", "inf")
        mesh.apply(service("web", "web"), service("empty", "nobody"), admit("guarded", "guarded"))
        mesh.apply(*ranged(), *lost())
        gateway = yaml.safe_dump(no_gateway())  # which is told to have no node
        mesh.tulle("apply", "-f", "-", stdin=gateway, check=False)
        self.node = next(item for item in mesh.get("nodes")[0]["addresses"] if "192.168" in item)
        [self.balancer] = [
            item["external_ips"][0] for item in mesh.get("services") if item["external_ips"]
        ]
        self.v4, self.v6 = (
            {item["name"]: item["addresses"][at] for item in mesh.get("endpoints")} for at in (0, 1)
        )
        self.services = {item["name"]: item["cluster_ips"][0] for item in mesh.get("services")}
        [self.netns] = Path(f"/run/tulle/{mesh.name}/netns").glob("shop_client-*")

    def send(self, *frames: bytes) -> None:
        """Frames from the client's interface."""
        make = partial(socket.socket, socket.AF_PACKET, socket.SOCK_RAW)
        with netns.run_in(self.netns, make) as link:
            link.bind(("eth0", 0))
            for frame in frames:
                link.send(frame)

    def send_from_node(self) -> None:
        """A datagram to everybody on the client's link: only its own addresses are its own."""
        node, interface = self.netns.with_name("node"), self.netns.name.rpartition("-")[2]
        scope = netns.run_in(node, partial(socket.if_nametoindex, interface))
        make = partial(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
        with netns.run_in(node, make) as sock:
            sock.bind((str(node_addresses()[0]), 0))
            way = pack("4s4si", bytes(4), bytes(4), scope)  # struct ip_mreqn
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, way)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            sock.sendto(b"?", ("224.0.0.1", 5353))

    def send_from_outside(self) -> None:
        inner = ether(ipv4(FAR, self.v4["web"], UDP, udp(1, 53)))
        tunnelled = pack("!BxxxI", 8, 99 << 8) + inner
        ranged = self.balancer
        self.cluster.outside("ip", "route", "replace", ranged, "via", self.node)
        sent = (ranged, 80, b"?"), (self.node, LOST, b"?"), (self.node, VXLAN, tunnelled)
        for host, port, text in sent:
            script = (sys.executable, "-c", SEND, host, str(port), text.hex())
            self.cluster.outside(*script)

    def frames(self) -> dict[str, bytes]:
        """By the reason for which each falls."""
        here, web, guarded = (self.v4[name] for name in ("client", "web", "guarded"))
        routed = options6(UDP, udp(1, 53))
        quoted = ipv4(web, here, UDP, udp(53, 1))
        return {
            "POLICY_DENIED": ether(ipv4(here, guarded, TCP, tcp(5000, 80))),
            "SPOOFED_SOURCE": ether(ipv4(web, guarded, TCP, tcp(5000, 80))),
            "MALFORMED": ether(ipv4(here, web, TCP, tcp(5000, 80)[:9])),
            "UNSUPPORTED_PROTOCOL": ether(
                ipv6(self.v6["client"], self.v6["web"], ROUTING, routed), IPV6
            ),
            "FRAGMENT_UNTRACKED": ether(ipv4(here, web, UDP, bytes(16), offset=1480)),
            "ICMP_UNRELATED": ether(ipv4(here, web, ICMP, icmp(UNREACHABLE, quoted, ident=0))),
            "NO_SERVICE_PORT": ether(ipv4(here, self.services["web"], TCP, tcp(5000, 81))),
            "NAT_UNSUPPORTED": ether(ipv4(here, "198.51.100.9", GRE, bytes(8))),
            "NO_GATEWAY": ether(ipv4(here, FAR, UDP, udp(1, 53))),
            "UNSOLICITED_REPLY": ether(ipv4(here, web, TCP, tcp(80, 5000, SYN | ACK))),
        }


@pytest.fixture(scope="module")
def town(clusters: Clusters) -> Iterator[Town]:
    with clusters("drops", ("a",)) as cluster:
        yield Town(cluster)


def ranged() -> tuple[Json, Json]:
    """A service for others only, and the pool of its address."""
    pool = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumLoadBalancerIPPool",
        "metadata": {"name": "pool"},
        "spec": {"blocks": [{"cidr": "192.0.2.128/28"}]},
    }
    ports = [{"port": 80, "protocol": "UDP"}]
    ranges = {"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"], "ports": ports}
    made = service("ranged", "web", protocol="UDP", **ranges)
    made["spec"]["ipFamilyPolicy"] = "SingleStack"
    return pool, made


def lost() -> tuple[Json, Json]:
    """A service whose only endpoint has no route."""
    ports = [{"name": "p", "port": 80, "nodePort": LOST, "protocol": "UDP"}]
    made = service("lost", "", protocol="UDP", type="NodePort", selector={}, ports=ports)
    made["spec"]["ipFamilyPolicy"] = "SingleStack"
    meta = {"name": "lost", "namespace": "shop", "labels": {"kubernetes.io/service-name": "lost"}}
    return made, {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": "IPv4",
        "endpoints": [{"addresses": [NOWHERE]}],
        "ports": [{"name": "p", "port": 53, "protocol": "UDP"}],
    }


def no_gateway() -> Json:
    spec = {
        "selectors": [{"podSelector": {"matchLabels": {"app": "client"}}}],
        "destinationCIDRs": [f"{FAR}/32"],
        "egressGateway": {"nodeSelector": {"matchLabels": {"gateway": "none"}}},
    }
    meta = {"name": "nobody"}
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumEgressGatewayPolicy",
        "metadata": meta,
        "spec": spec,
    }


def test_every_drop_names_its_reason_and_rule(town: Town) -> None:
    frames = town.frames()
    town.send(*frames.values())
    town.send_from_node()
    town.send_from_outside()
    line = (sys.executable, "-c", CONNECT, town.services["empty"])
    town.mesh.tulle("exec", "-n", "shop", "client", "--", *line, check=False)
    borders = {"SOURCE_RANGE", "NO_ROUTE", "SPOOFED_TUNNEL"}
    reasons = {*frames, *borders, "NO_ENDPOINT", "NO_BACKEND"}
    assert reasons | NOT_BY_TRAFFIC == {
        name for name, kind in Reason.__members__.items() if kind >= Reason.DROP
    }
    wait_for(lambda: reasons <= {flow["reason"] for flow in dropped(town.mesh)})
    told = {flow["reason"]: flow for flow in dropped(town.mesh)}
    assert {name: flow["rule"] for name, flow in told.items()} == {
        **{name: TEXT[Reason[name]] for name in reasons},
        "POLICY_DENIED": "default deny by NetworkPolicy shop/guarded (ingress)",
        "NO_SERVICE_PORT": "Service shop/web has no port 81/TCP",
        "NO_BACKEND": "Service shop/empty has no ready endpoint",
    }
    for name, flow in told.items():
        assert flow["drop_reason_desc"] not in ("", "DROP_REASON_UNKNOWN"), name
        if name not in ("NO_ENDPOINT", "SPOOFED_SOURCE", *borders):
            assert flow["source"].get("pod_name") == "client", flow


def dropped(mesh: Mesh) -> list[Json]:
    return mesh.flows("--verdict", "DROPPED", "--last", "1000")
