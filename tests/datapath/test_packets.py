"""Real packets of real sockets between workloads, honest and hostile ones.

`a` and `b` are open; `guarded` admits nobody and may itself call anybody.
"""

from __future__ import annotations

import hashlib
import os
import select
import socket
from collections.abc import Iterator
from functools import partial
from struct import pack
from threading import Thread

import pytest

from tests.datapath.frames import (
    ACK,
    ARP,
    ECHO,
    ECHO6,
    FRAGMENT,
    HOP_BY_HOP,
    ICMP,
    ICMP6,
    IPV6,
    NODE_MAC,
    SYN,
    TCP,
    UDP,
    WORKLOAD_MAC,
    ether,
    fragment6,
    icmp,
    ipv4,
    ipv6,
    options6,
    tcp,
    udp,
    udp_sum,
)
from tests.datapath.wire import FAMILIES, Wire, received, wire_of
from tulle.abi import Reason
from tulle.edges import netlink
from tulle.edges.netlink.base import IFA_F_NODAD

WORLD = """
kind: NetworkPolicy
metadata: {name: guarded}
spec: {podSelector: {matchLabels: {app: guarded}}, policyTypes: [Ingress]}
---
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, "fd00:7a11:0:96::10"]
  ports: [{port: 80}]
"""
SERVICE = {4: "10.96.0.10", 6: "fd00:7a11:0:96::10"}
BROADCAST = b"\xff" * 6
both = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])


@pytest.fixture(scope="module")
def network() -> Iterator[Wire]:
    with wire_of("packets", ("a", "b", "guarded"), WORLD) as wire:
        yield wire


@pytest.fixture
def wire(network: Wire) -> Iterator[Wire]:
    network.events()
    yield network
    network.close_sockets()


@both
@pytest.mark.parametrize(("client", "host"), [("a", "b"), ("node", "a"), ("a", "node")])
def test_datagrams_that_need_fragments(wire: Wire, version: int, client: str, host: str) -> None:
    server = wire.listen(host, version, socket.SOCK_DGRAM)
    near = wire.open(client, FAMILIES[version], socket.SOCK_DGRAM)
    for size in (1, 4096, 60_000):
        data = os.urandom(size)
        near.sendto(data, server.getsockname())
        got, peer = server.recvfrom(65536)
        assert got == data
        server.sendto(data[::-1], peer)
        assert near.recv(65536) == data[::-1]
    assert wire.reasons() <= {Reason.ALLOWED}


@both
def test_denied_datagrams_do_not_pass_in_fragments(wire: Wire, version: int) -> None:
    link = wire.link("guarded")
    near = wire.open("a", FAMILIES[version], socket.SOCK_DGRAM)
    near.sendto(bytes(4096), (wire.at("guarded", version), 5353))
    assert received(link) == []
    assert wire.reasons() == {Reason.POLICY_DENIED}


@both
@pytest.mark.parametrize("host", ["b", "node"])
def test_ping(wire: Wire, version: int, host: str) -> None:
    protocol, kind, reply = (ICMP, ECHO, 0) if version == 4 else (ICMP6, ECHO6, 129)
    near = wire.open("a", FAMILIES[version], socket.SOCK_RAW, protocol)
    near.sendto(icmp(kind, b"hello", ident=77), (wire.at(host, version), 0))
    answer = near.recv(2048)[20 if version == 4 else 0 :]
    assert (answer[0], answer[8:]) == (reply, b"hello")


@both
def test_a_closed_port_refuses(wire: Wire, version: int) -> None:
    near = wire.open("a", FAMILIES[version], socket.SOCK_DGRAM)
    near.connect((wire.at("b", version), 9))
    near.send(b"?")
    with pytest.raises(ConnectionRefusedError):
        near.recv(1)
    refused = wire.open("a", FAMILIES[version], socket.SOCK_STREAM)
    with pytest.raises(ConnectionRefusedError):
        refused.connect((wire.at("b", version), 9))
    assert Reason.ICMP_UNRELATED not in wire.reasons()


@both
def test_the_node_reaches_a_workload_that_admits_nobody(wire: Wire, version: int) -> None:
    server = wire.listen("guarded", version)
    client, accepted = wire.connect("node", server)
    accepted.sendall(b"hello")
    assert client.recv(5) == b"hello"
    denied = wire.open("a", FAMILIES[version], socket.SOCK_STREAM)
    denied.settimeout(0.3)
    with pytest.raises(TimeoutError):
        denied.connect(server.getsockname()[:2])


@both
def test_a_half_closed_connection_still_carries_the_other_half(wire: Wire, version: int) -> None:
    client, accepted = wire.connect("a", wire.listen("b", version))
    client.shutdown(socket.SHUT_WR)
    assert accepted.recv(1) == b""
    accepted.sendall(b"late")
    accepted.close()
    assert client.recv(10) == b"late"
    assert client.recv(10) == b""


@both
def test_a_reset_arrives(wire: Wire, version: int) -> None:
    client, accepted = wire.connect("a", wire.listen("b", version))
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
    accepted.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


@both
def test_fifty_megabytes_each_way_at_once(wire: Wire, version: int) -> None:
    ends = wire.connect("a", wire.listen("b", version))
    block, blocks = os.urandom(1 << 20), 50
    wanted = hashlib.blake2b()
    for _ in range(blocks):
        wanted.update(block)
    sums: dict[int, bytes] = {}

    def send(end: socket.socket) -> None:
        for _ in range(blocks):
            end.sendall(block)
        end.shutdown(socket.SHUT_WR)

    def receive(number: int) -> None:
        digest = hashlib.blake2b()
        while data := ends[number].recv(1 << 18):
            digest.update(data)
        sums[number] = digest.digest()

    jobs = [Thread(target=send, args=(end,)) for end in ends]
    jobs += [Thread(target=receive, args=(number,)) for number in (0, 1)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
    assert sums == {0: wanted.digest(), 1: wanted.digest()}
    assert [event.verdict.reason for event in wire.events()] == [Reason.ALLOWED]


@both
def test_packets_to_a_service_address_go_nowhere(wire: Wire, version: int) -> None:
    near = wire.open("a", FAMILIES[version], socket.SOCK_DGRAM)
    near.sendto(b"?", (SERVICE[version], 80))
    raw = wire.link("a")
    for flags in (SYN, ACK, SYN | ACK):  # the last two are sent as answers
        raw.send(frame(wire.at("a", version), SERVICE[version], TCP, tcp(79, 80, flags)))
    expected = [Reason.NO_SERVICE_PORT] * 3 + [Reason.UNSOLICITED_REPLY]
    assert [event.verdict.reason for event in wire.events()] == expected


def frame(src: str, dst: str, protocol: int, payload: bytes, mac: bytes = NODE_MAC) -> bytes:
    if ":" in src:
        return ether(ipv6(src, dst, protocol, payload), IPV6, mac)
    return ether(ipv4(src, dst, protocol, payload), dst=mac)


def datagram(src: str, dst: str, text: bytes, mac: bytes = NODE_MAC) -> bytes:
    return frame(src, dst, UDP, udp_sum(src, dst, udp(1000, 2000, text)), mac)


FOREIGN = {4: ("192.0.2.7", "0.0.0.0", "127.0.0.1"), 6: ("2001:db8::7", "::", "fe80::5")}  # noqa: S104


@both
def test_spoofed_packets_never_arrive(wire: Wire, version: int) -> None:
    here, there = wire.link("a"), {name: wire.link(name) for name in ("b", "guarded")}
    others = [wire.at(name, version) for name in ("b", "guarded", "node")]
    sent = 0
    for source in (*others, *FOREIGN[version], SERVICE[version]):
        for target in (*others, FOREIGN[version][0]):
            here.send(datagram(source, target, b"forged"))
            sent += 1
    here.send(datagram(wire.at("a", version), wire.at("b", version), b"honest"))
    assert [item[-6:] for item in received(there["b"])] == [b"honest"]
    assert received(there["guarded"]) == []
    *forged, honest = wire.events()
    kinds = {Reason(event.verdict.reason) for event in forged}
    assert (len(forged), kinds) == (sent, {Reason.SPOOFED_SOURCE})
    assert honest.verdict.reason == Reason.ALLOWED


@both
def test_a_mac_address_opens_no_way(wire: Wire, version: int) -> None:
    here, there = wire.link("a"), {name: wire.link(name) for name in ("b", "guarded")}
    for mac in (NODE_MAC, WORKLOAD_MAC, BROADCAST, b"\x33\x33\0\0\0\1", b"\x02\0\0\0\0\1"):
        for name in there:
            here.send(datagram(wire.at("a", version), wire.at(name, version), b"hello", mac))
    assert len(received(there["b"])) == 5  # allowed, whatever the frame says
    assert received(there["guarded"]) == []
    assert Reason.POLICY_DENIED in wire.reasons()


def test_neighbours_cannot_be_asked_for_or_told(wire: Wire) -> None:
    here, there = wire.link("a"), wire.link("guarded")
    ip, ip6 = wire.at("guarded", 4), wire.at("guarded", 6)
    ends = bytes(6) + socket.inet_aton(wire.at("b", 4)) + bytes(6) + socket.inet_aton(ip)
    for mac in (BROADCAST, NODE_MAC):
        for operation in (1, 2):
            here.send(ether(pack("!HHBBH", 1, 0x0800, 6, 4, operation) + ends, ARP, mac))
        for kind in (133, 134, 135, 136, 137, 143):
            for target in ("ff02::1", "fe80::1", ip6):
                here.send(frame(wire.at("a", 6), target, ICMP6, icmp(kind, bytes(16)), mac))
    assert received(there) == []


def test_link_local_addresses_lead_nowhere(wire: Wire) -> None:
    for number, name in enumerate(("a", "b"), 5):
        wire.run(name, partial(_add_link_local, f"fe80::{number}"))
    near, scope = wire.open("a", socket.AF_INET6, socket.SOCK_DGRAM), scope_of(wire)
    there = wire.link("b")
    near.bind(("fe80::5", 0, 0, scope))
    for target in ("fe80::6", "ff02::1", wire.at("b", 6)):
        near.sendto(b"?", (target, 2000, 0, scope))
    assert received(there) == []
    assert wire.reasons() == {Reason.SPOOFED_SOURCE}


def scope_of(wire: Wire) -> int:
    return wire.run("a", lambda: socket.if_nametoindex("eth0"))


def _add_link_local(address: str) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as routes:
        index = socket.if_nametoindex("eth0")
        routes.addr("add", index=index, address=address, prefixlen=64, flags=IFA_F_NODAD)
        routes.neigh(
            "replace", dst="fe80::6", lladdr=netlink.WORKLOAD_MAC, ifindex=index, state="permanent"
        )


def test_multicast_and_broadcast_reach_no_other_workload(wire: Wire) -> None:
    there = [wire.link(name) for name in ("b", "guarded")]
    scope = scope_of(wire)
    for version, groups in (
        (4, ("255.255.255.255", "224.0.0.1", "224.0.0.251", "10.244.0.255")),
        (6, ("ff02::1", "ff02::fb", "ff05::1")),
    ):
        near = wire.open("a", FAMILIES[version], socket.SOCK_DGRAM)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        near.bind((wire.at("a", version), 0))
        for group in groups:
            near.sendto(b"?", (group, 5353) if version == 4 else (group, 5353, 0, scope))
    assert [received(link) for link in there] == [[], []]


def test_a_connection_that_is_denied_does_not_open_in_pieces(wire: Wire) -> None:
    """Flags in the padding of a short first fragment, and others in the one that follows."""
    server = wire.listen("guarded", 4)
    src, (dst, port) = wire.at("a", 4), server.getsockname()
    here, there = wire.link("a"), wire.link("guarded")
    shown, meant = tcp(79, port, ACK), tcp(79, port, SYN)
    here.send(ether(ipv4(src, dst, TCP, shown, more=True, length=28)))
    here.send(ether(ipv4(src, dst, TCP, meant[8:], offset=8)))
    src6, dst6 = wire.at("a", 6), wire.at("guarded", 6)
    first = fragment6(TCP, shown, more=True)
    here.send(ether(ipv6(src6, dst6, FRAGMENT, first, length=16), IPV6))
    here.send(ether(ipv6(src6, dst6, FRAGMENT, fragment6(TCP, meant[8:], offset=8)), IPV6))
    assert received(there) == []
    assert not select.select([server], [], [], 0)[0]
    assert wire.reasons() == {Reason.MALFORMED, Reason.FRAGMENT_UNTRACKED}


def test_frames_shorter_than_their_headers_are_malformed(wire: Wire) -> None:
    here = wire.link("a")
    src, dst, src6, dst6 = (wire.at(name, at) for at in (4, 6) for name in ("a", "b"))
    whole = ether(ipv4(src, dst, UDP, udp(1, 2)))
    whole6 = ether(ipv6(src6, dst6, HOP_BY_HOP, options6(UDP, udp(1, 2))), IPV6)
    sent = 0
    for raw, needed in ((whole, 38), (whole6, 66)):
        for size in range(15, needed):
            here.send(raw[:size])
            sent += 1
    found = [Reason(event.verdict.reason) for event in wire.events()]
    assert found == [Reason.MALFORMED] * sent
