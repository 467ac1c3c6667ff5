"""Connections to addresses that are the node's proxy's, from everywhere, and back again."""

from __future__ import annotations

import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tests.datapath.frames import ACK, RST, TCP, tcp
from tests.datapath.programs import ends, frame, read
from tests.datapath.steered import Field, SteeredNode, address_of, ask, field_of
from tests.datapath.wire import ETH_P_ALL, received
from tulle.abi import Mark, Reason
from tulle.agent.addresses import node_addresses
from tulle.edges import netlink, netns
from tulle.model.routing import Proxied

VIP = {4: "192.0.2.80", 6: "2001:db8::80"}
PORT, PLAIN, NODE_PORT = 80, 81, 30080
KINDS = ("TCP", "UDP")
SERVICE = f"""
kind: Service
metadata: {{name: gateway}}
spec:
  type: LoadBalancer
  clusterIPs: [10.96.0.80, "fd00:7a11:0:96::80"]
  ipFamilyPolicy: RequireDualStack
  selector: {{app: web}}
  ports:
    - {{name: a, port: {PORT}, protocol: TCP, targetPort: 8080, nodePort: {NODE_PORT}}}
    - {{name: b, port: {PORT}, protocol: UDP, targetPort: 8080, nodePort: {NODE_PORT}}}
    - {{name: c, port: {PLAIN}, protocol: TCP, targetPort: 8080, nodePort: {NODE_PORT + 1}}}
status: {{loadBalancer: {{ingress: [{{ip: {VIP[4]}}}, {{ip: "{VIP[6]}"}}]}}}}
"""
PROXIED: frozenset[Proxied] = frozenset(
    (("shop", "gateway"), ip_address(address), PORT, kind)
    for address in VIP.values()
    for kind in KINDS
)
FRONTS = [
    {"at": [address, PORT], "kind": kind, "mark": int(Mark.PROXY)}
    for address in VIP.values()
    for kind in KINDS
]
# connects, or sends unconnected, and prints what comes back
ASK = """
import socket, sys
address, port, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM if kind == "TCP" else socket.SOCK_DGRAM) as s:
    s.settimeout(3)
    if kind == "UDP":
        s.sendto(b"hello\\n", (address, port))
        data, peer = s.recvfrom(4096)
        print(data.decode().split("\\n")[0], peer[0], peer[1])
    else:
        s.connect((address, port))
        s.sendall(b"hello\\n")
        print(s.recv(4096).decode().split("\\n")[0], *s.getpeername()[:2])
"""
versions = pytest.mark.parametrize("version", (4, 6), ids=("IPv4", "IPv6"))
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module", params=("native", "vxlan"))
def kept(request: pytest.FixtureRequest) -> Iterator[Field]:
    with field_of("fronts", request.param) as field:
        for node, names in ((field.a, ("client", "web")), (field.b, ("far",))):
            for name in names:
                node.run(name)
        for address in VIP.values():
            field.route_outside(address, field.a)
        field.force(SERVICE, PROXIED)
        yield field


@pytest.fixture
def field(kept: Field) -> Iterator[Field]:
    yield kept
    kept.clear()
    kept.force(SERVICE, PROXIED)


@pytest.fixture
def proxied(field: Field) -> Field:
    for node in (field.a, field.b):
        node.proxy(*FRONTS)
        node.events()
    return field


def source_outside(version: int) -> str:
    return {4: "192.168.96.1", 6: "fd00:7a11:1::1"}[version]


@versions
@kinds
def test_a_workload_of_any_node_meets_its_own_nodes_proxy(
    proxied: Field, kind: str, version: int
) -> None:
    for node, name in ((proxied.a, "client"), (proxied.b, "far")):
        client = proxied.connect(node.place(name), VIP[version], PORT, kind)
        own = address_of(node, name, version), str(client.getsockname()[1])
        for line in ("one", "two"):
            asked = [VIP[version], str(PORT)]
            assert ask(client, line) in ([*own, *asked], [*own, "::", str(PORT)])
        [event] = [item for item in node.events() if item.verdict.reason == Reason.PROXIED]
        assert event.verdict.to_proxy
        assert not event.verdict.egress_rule


@versions
@kinds
def test_the_host_outside_meets_the_proxy_of_the_node_that_it_comes_to(
    proxied: Field, kind: str, version: int
) -> None:
    client = proxied.connect(proxied.cluster.fabric, VIP[version], PORT, kind)
    for line in ("one", "two"):
        assert ask(client, line)[:2] == [source_outside(version), str(client.getsockname()[1])]
    assert client.getpeername()[:2] == (VIP[version], PORT)
    assert Reason.PROXIED in proxied.a.reasons()
    assert not proxied.b.events()


@versions
@kinds
@pytest.mark.parametrize("cgroup", ["host", "elsewhere"])
def test_a_process_of_the_node_meets_it_too(
    proxied: Field, kind: str, version: int, cgroup: str
) -> None:
    """Whether its sockets have our hooks or not."""
    own = proxied.a.cgroups.make("host") if cgroup == "host" else proxied.a.cgroups.root.parent
    child = proxied.a.spawn(sys.executable, "-c", ASK, VIP[version], str(PORT), kind, cgroup=own)
    assert child.stdout
    source, _, _, _, peer, port = child.stdout.read().split()
    assert (peer, int(port)) == (VIP[version], PORT)
    assert ip_address(source) in proxied.a.network.node().addresses


@versions
def test_only_the_ports_of_the_front_are_proxied(proxied: Field, version: int) -> None:
    """Another port of the same address, and the node port, lead where they always have."""
    web, a = proxied.a.place("web"), proxied.a
    server = proxied.serve(web, address_of(a, "web", version), port=8080)
    uplink = next(str(i) for i in a.network.node().addresses if i.version == version)
    for address, port in ((VIP[version], PLAIN), (uplink, NODE_PORT)):
        proxied.connect(proxied.cluster.fabric, address, port)
        accepted, peer = server.accept()
        proxied.keep(accepted)
        assert peer[0] == source_outside(version)
    client = proxied.open(a.place("client"), version, "TCP")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.connect((VIP[version], 9999))
    assert Reason.NO_SERVICE_PORT in a.reasons()


@versions
def test_much_is_sent_either_way(proxied: Field, version: int) -> None:
    for where in (proxied.a.place("client"), proxied.cluster.fabric):
        client = proxied.connect(where, VIP[version], PORT)
        line = "x" * 3_000_000
        netns.run_in(where, partial(client.sendall, f"{line}\n".encode()))
        got = 0
        while got < len(line):
            got += len(client.recv(1 << 20))


@versions
def test_ends_and_resets_reach_the_other_side(proxied: Field, version: int) -> None:
    a = proxied.a
    client = proxied.connect(a.place("client"), VIP[version], PORT)
    ask(client)
    client.shutdown(socket.SHUT_WR)
    assert client.recv(100) == b""  # its end was seen, and ours is
    client = proxied.connect(a.place("client"), VIP[version], PORT)
    ask(client)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    wait_until(lambda: count_established(a, PORT) == 0)


@versions
def test_a_client_hears_when_the_proxy_has_died(proxied: Field, version: int) -> None:
    a = proxied.a
    client = proxied.connect(a.place("client"), VIP[version], PORT)
    ask(client)
    a.end_children()
    assert client.recv(100) == b""
    with pytest.raises(ConnectionError):
        for _ in range(10):
            client.sendall(b"more\n")
            time.sleep(0.05)


@versions
def test_without_a_proxy_a_connection_waits_for_one(field: Field, version: int) -> None:
    a = field.a
    a.events()
    client = field.open(a.place("client"), version, "TCP")
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.connect((VIP[version], PORT))
    time.sleep(0.1)
    assert a.reasons() >= {Reason.PROXIED, Reason.NO_PROXY}
    a.proxy(*FRONTS)
    assert select.select([], [client], [], 3)[1]
    client.settimeout(3)
    assert ask(client)[0] == address_of(a, "client", version)


@versions
def test_without_a_proxy_a_datagram_is_dropped_by_name(field: Field, version: int) -> None:
    client = field.connect(field.a.place("client"), VIP[version], PORT, "UDP")
    client.send(b"hello\n")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(100)
    assert Reason.NO_PROXY in field.a.reasons()


@versions
@pytest.mark.parametrize("listens", [True, False])
def test_what_the_proxy_knows_nothing_of_is_reset(
    field: Field, version: int, listens: bool
) -> None:
    """By its listener, or in its place."""
    a = field.a
    if listens:
        a.proxy(*FRONTS)
    raw = partial(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    link = netns.run_in(a.place("client"), raw)
    with link:
        link.bind(("eth0", ETH_P_ALL))
        own = address_of(a, "client", version)
        link.send(frame(own, VIP[version], TCP, tcp(40000, PORT, ACK)))
        answers = [read(item) for item in received(link)]
    assert [ends(item) for item in answers] == [(VIP[version], PORT, own, 40000)]
    assert answers[0].payload[13] & RST
    assert listens or answers[0].checked  # the stack leaves its own to the device
    assert (Reason.NO_PROXY in a.reasons()) is not listens


@versions
@kinds
def test_nobody_else_can_stand_there(field: Field, kind: str, version: int) -> None:
    """The same address and mark, as root, but not in the proxy's cgroup."""
    a = field.a
    a.proxy(*FRONTS, cgroup=a.cgroups.make("rogue"))
    for where in (a.place("client"), field.cluster.fabric):
        a.events()
        client = field.open(where, version, kind)
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.connect((VIP[version], PORT))
            ask(client)
        assert Reason.SPOOFED_SOURCE in a.reasons()


@versions
def test_without_the_mark_it_is_not_the_proxy(field: Field, version: int) -> None:
    a = field.a
    a.proxy(*(item | {"mark": 0} for item in FRONTS))
    client = field.open(a.place("client"), version, "TCP")
    client.settimeout(0.5)
    with pytest.raises(TimeoutError):
        client.connect((VIP[version], PORT))
    assert Reason.NO_PROXY in a.reasons()


@versions
def test_connections_go_on_where_new_ones_find_backends(proxied: Field, version: int) -> None:
    """The service is the proxy's no more."""
    a = proxied.a
    server = proxied.serve(a.place("web"), address_of(a, "web", version), port=8080)
    old = proxied.connect(a.place("client"), VIP[version], PORT)
    ask(old)
    proxied.force(SERVICE, frozenset())
    assert ask(old, "still")[0] == address_of(a, "client", version)
    new = proxied.connect(proxied.cluster.fabric, VIP[version], PORT)
    accepted, peer = server.accept()
    proxied.keep(accepted)
    assert peer[:2] == new.getsockname()[:2]


def test_the_uplink_is_still_found(field: Field) -> None:
    """The table for the proxy has a default route as well."""
    assert netns.run_in(field.a.netns, netlink.default_device) == "eth0"
    for made in (netlink.unsteer, netlink.unsteer, lambda: netlink.steer({})):
        netns.run_in(field.a.netns, made)
    field.a.network.mend()


def test_a_node_without_ipv6_is_steered_all_the_same(field: Field) -> None:
    def steered() -> str:
        netlink.sysctl("ipv6/conf/lo/disable_ipv6", "1")
        try:
            netlink.unsteer()
            netlink.steer({ip_address(VIP[4]): ip_address("127.0.0.1")})
            command = ["ip", "route", "get", VIP[4]]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout
        finally:
            netlink.sysctl("ipv6/conf/lo/disable_ipv6", "0")
            netlink.set_up_loopback(node_addresses(field.b.cidrs))

    assert netns.run_in(field.b.netns, steered).startswith(f"local {VIP[4]} ")
    field.b.network.mend()


def wait_until(true: Any) -> None:
    deadline = time.monotonic() + 3
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def count_established(node: SteeredNode, port: int) -> int:
    """TCP sockets of the node's namespace that are connected, with this port of their own."""
    return netns.run_in(node.netns, partial(_count, port))


def _count(port: int) -> int:
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/thread-self/net/{name}").read_text().splitlines()[1:]
    ]
    return sum(f[3] == "01" and f[1].endswith(f":{port:04X}") for f in lines)
