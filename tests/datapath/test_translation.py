"""What translation makes of packets, byte for byte: every checksum holds, and every way leads back.

Programs run on frames (BPF_PROG_TEST_RUN) in a network namespace whose routes all lead to `lo`;
nothing is attached. The maps hold a node with one local and one remote backend behind a node port.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from struct import pack, unpack_from

import pytest

from tests.datapath.frames import (
    ACK,
    ECHO,
    ECHO6,
    ECHO_REPLY,
    ECHO_REPLY6,
    FIN,
    ICMP,
    ICMP6,
    IPV4,
    IPV6,
    SYN,
    TCP,
    UDP,
    UNREACHABLE,
    checksum,
    ether,
    fragment6,
    icmp,
    ipv4,
    ipv6,
    tcp,
    udp,
)
from tulle import abi
from tulle.abi import EndpointFlag, Identity, IpcacheFlag, NodeFlag, Reason, ServiceFlag
from tulle.compile.image import packed
from tulle.edges import netlink, netns
from tulle.edges.bpf import bpffs, syscall
from tulle.edges.bpf.loader import Objects

SHOT, REDIRECT = 2, 7
PORT = 30080
LIMITS = {name: 1024 for name in abi.MAPS if name not in ("reasons", "state", "events")}
del LIMITS["events_lost"]
FRAGMENT = 44


@dataclass(frozen=True)
class Place:
    """Addresses of one family."""

    node: str
    other: str
    client: str
    local: str
    remote: str
    outside: str
    icmp: int
    echo: int
    reply: int


PLACES = {
    4: Place(
        "192.0.2.1",
        "192.0.2.2",
        "198.51.100.7",
        "10.244.0.5",
        "10.244.1.9",
        "203.0.113.80",
        ICMP,
        ECHO,
        ECHO_REPLY,
    ),
    6: Place(
        "2001:db8::1",
        "2001:db8::2",
        "2001:db8:1::7",
        "fd00:7a11::5",
        "fd00:7a11:1::9",
        "2001:db8:2::80",
        ICMP6,
        ECHO6,
        ECHO_REPLY6,
    ),
}
both = pytest.mark.parametrize("place", PLACES.values(), ids=("IPv4", "IPv6"))
protocols = pytest.mark.parametrize("protocol", (TCP, UDP), ids=("TCP", "UDP"))


def raw(text: str) -> bytes:
    return packed(ip_address(text))


def u32(number: int) -> bytes:
    return pack("=I", number)


class Node:
    """Maps by hand: what is tested is what the programs make of them."""

    def __init__(self, objects: Objects, namespace: Path) -> None:
        self._namespace = namespace
        self.programs = objects.load("pod", ("from_workload", "to_workload"))
        self.programs |= objects.load("host", ("from_uplink", "to_uplink"))
        self.maps = objects.maps
        self.set_state()
        for place in PLACES.values():
            self._add(place.local, abi.Endpoint(1, 300, EndpointFlag.WORKLOAD, 77))
            self._add(place.node, abi.Endpoint(0, Identity.HOST, EndpointFlag.HOST))
            node = raw(place.other)
            self._add(place.remote, abi.Endpoint(0, 301, EndpointFlag.REMOTE, 78, node=node))
            self._add(
                place.other,
                abi.Endpoint(0, Identity.REMOTE_NODE, EndpointFlag.NODE, node=node),
            )

    def _add(self, address: str, endpoint: abi.Endpoint) -> None:
        self.maps["endpoints"][raw(address)] = endpoint.pack()

    def set_state(self, flags: int = 0, ports: tuple[int, int] = (1024, 29999)) -> None:
        flags |= NodeFlag.MASQUERADE_4 | NodeFlag.MASQUERADE_6
        state = abi.State(1, flags, 1, *ports, raw(PLACES[4].node), raw(PLACES[6].node))
        self.maps["state"][u32(0)] = state.pack()

    def serve(self, address: str, port: int = 8080, **fields: int) -> None:
        """A node port whose only backend is there."""
        number, table = 5, abi.Table(9, 1)
        fields = {"flags": ServiceFlag.EXTERNAL, **fields}
        service = abi.Service(number, internal=table, external=table, local=table, **fields)
        slot = abi.Slot(11, 0xFFFFFFFF, 0, raw(address), port)
        self.maps["slots"][abi.SlotKey(9, 0).pack()] = slot.pack()
        self.maps["backends"][pack("=Q", 11)] = abi.Backend(number, port, raw(address)).pack()
        for protocol in (TCP, UDP):
            self.maps["services"][abi.ServiceKey(bytes(16), PORT, protocol).pack()] = service.pack()

    def forget(self) -> None:
        for name in ("nat", "conntrack", "services", "source_ranges", "fragments", "affinity"):
            self.maps[name].delete_many([key for key, _ in self.maps[name].items()])
        self.set_state()

    def run(self, program: str, frame: bytes) -> tuple[int, bytes]:
        run = partial(syscall.test_run, self.programs[program], data=frame, data_out=2048)
        action, out, _ = netns.run_in(self._namespace, run)
        return action, out

    def reason(self, program: str, frame: bytes) -> Reason:
        """Of a drop."""
        before = self._counts()
        action, _ = self.run(program, frame)
        assert action == SHOT
        dropped = [kind for kind, count in self._counts().items() if count != before[kind]]
        return next(kind for kind in reversed(dropped) if kind >= Reason.DROP)

    def _counts(self) -> dict[Reason, int]:
        return {
            kind: sum(
                unpack_from("=Q", self.maps["reasons"][u32(kind)], 16 * cpu)[0]
                for cpu in range(syscall.possible_cpus())
            )
            for kind in Reason
            if kind != Reason.MAX
        }


def make_routes() -> None:
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        netlink.sysctl(name, "1")
    for line in ("link set lo up", "route add default dev lo", "-6 route add default dev lo"):
        subprocess.run(["ip", *line.split()], check=True)


@pytest.fixture(scope="module")
def kept() -> Iterator[Node]:
    pins = bpffs.ROOT / "tulle" / f"translation-{os.getpid()}"
    namespaces = Path(f"/run/tulle-test-{os.getpid()}")
    bpffs.mount()
    try:
        netns.create(namespaces / "node")
        netns.run_in(namespaces / "node", make_routes)
        objects = Objects(pins, LIMITS)
        node = Node(objects, namespaces / "node")
        yield node
        for fd in node.programs.values():
            os.close(fd)
        objects.close()
    finally:
        for path in sorted(pins.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        if pins.exists():
            pins.rmdir()
        netns.delete_all(namespaces)


@pytest.fixture
def node(kept: Node) -> Iterator[Node]:
    kept.forget()
    yield kept


@dataclass(frozen=True)
class Seen:
    """A packet, read back; `checked` says that every checksum of it holds."""

    src: str
    dst: str
    sport: int
    dport: int
    payload: bytes
    checked: bool


def ones(data: bytes) -> bool:
    return checksum(data) == 0


def pseudo(src: bytes, dst: bytes, protocol: int, body: bytes) -> bytes:
    return src + dst + pack("!II", len(body), protocol) + body


def read(frame: bytes) -> Seen:
    kind = int.from_bytes(frame[12:14], "big")
    packet = frame[14:]
    if kind == IPV4:
        size, protocol = (packet[0] & 15) * 4, packet[9]
        src, dst = packet[12:16], packet[16:20]
        body = packet[size : int.from_bytes(packet[2:4], "big")]
        sound = ones(packet[:size])
    else:
        size, protocol = 40, packet[6]
        src, dst = packet[8:24], packet[24:40]
        body = packet[40 : 40 + int.from_bytes(packet[4:6], "big")]
        sound = True
    if protocol == ICMP:
        sound = sound and ones(body)
    else:
        sound = sound and ones(pseudo(src, dst, protocol, body))
    sport, dport = unpack_from("!HH", body)
    if protocol in (ICMP, ICMP6):
        sport = dport = unpack_from("!H", body, 4)[0]
    return Seen(str(ip_address(src)), str(ip_address(dst)), sport, dport, body, sound)


def summed(src: str, dst: str, protocol: int, body: bytes) -> bytes:
    """The transport with its checksum filled in."""
    at = {TCP: 16, UDP: 6, ICMP: 2, ICMP6: 2}[protocol]
    body = body[:at] + bytes(2) + body[at + 2 :]
    whole = pseudo(ip_address(src).packed, ip_address(dst).packed, protocol, body)
    value = checksum(body if protocol == ICMP else whole)
    return body[:at] + pack("!H", value or 0xFFFF) + body[at + 2 :]


def frame(src: str, dst: str, protocol: int, body: bytes) -> bytes:
    body = summed(src, dst, protocol, body)
    if ":" in src:
        return ether(ipv6(src, dst, protocol, body), IPV6)
    return ether(ipv4(src, dst, protocol, body), IPV4)


def segment(protocol: int, sport: int, dport: int, flags: int = SYN) -> bytes:
    if protocol == TCP:
        return tcp(sport, dport, flags)
    return udp(sport, dport, b"a question")


def ends(seen: Seen) -> tuple[str, int, str, int]:
    return seen.src, seen.sport, seen.dst, seen.dport


@both
@protocols
def test_a_node_port_to_a_local_backend_keeps_the_client(
    node: Node, place: Place, protocol: int
) -> None:
    node.serve(place.local)
    asked = frame(place.client, place.node, protocol, segment(protocol, 4000, PORT))
    action, out = node.run("from_uplink", asked)
    assert (action, ends(read(out))) == (REDIRECT, (place.client, 4000, place.local, 8080))
    assert read(out).checked
    answer = frame(place.local, place.client, protocol, segment(protocol, 8080, 4000, SYN | ACK))
    _, out = node.run("from_workload", answer)
    assert ends(read(out)) == (place.node, PORT, place.client, 4000)
    assert read(out).checked


@both
@protocols
def test_a_node_port_to_a_remote_backend_speaks_for_the_client(
    node: Node, place: Place, protocol: int
) -> None:
    node.serve(place.remote)
    asked = frame(place.client, place.node, protocol, segment(protocol, 4000, PORT))
    _, out = node.run("from_uplink", asked)
    seen = read(out)
    assert (seen.src, seen.dst, seen.dport) == (place.node, place.remote, 8080)
    assert 1024 <= seen.sport <= 29999
    assert seen.checked
    answer = frame(place.remote, place.node, protocol, segment(protocol, 8080, seen.sport, ACK))
    _, out = node.run("from_uplink", answer)
    assert ends(read(out)) == (place.node, PORT, place.client, 4000)
    assert read(out).checked


@both
@protocols
def test_what_leaves_the_mesh_leaves_as_the_node(node: Node, place: Place, protocol: int) -> None:
    asked = frame(place.local, place.outside, protocol, segment(protocol, 4000, 443))
    seen = masqueraded(node, asked)
    assert (seen.src, seen.dst, seen.dport) == (place.node, place.outside, 443)
    assert seen.checked
    answer = frame(place.outside, place.node, protocol, segment(protocol, 443, seen.sport, ACK))
    action, out = node.run("from_uplink", answer)
    assert (action, ends(read(out))) == (REDIRECT, (place.outside, 443, place.local, 4000))
    assert read(out).checked


def masqueraded(node: Node, asked: bytes) -> Seen:
    """Twice: the second packet must find what the first one made."""
    outs = {node.run("from_workload", asked) for _ in range(2)}
    [(action, out)] = outs
    assert action == REDIRECT
    return read(out)


@both
def test_pings_leave_and_come_back(node: Node, place: Place) -> None:
    asked = frame(place.local, place.outside, place.icmp, icmp(place.echo, b"hello", ident=77))
    seen = masqueraded(node, asked)
    assert (seen.src, seen.dst, seen.checked) == (place.node, place.outside, True)
    answer = frame(
        place.outside, place.node, place.icmp, icmp(place.reply, b"hello", ident=seen.sport)
    )
    _, out = node.run("from_uplink", answer)
    assert (read(out).dst, read(out).sport, read(out).checked) == (place.local, 77, True)


@both
@protocols
def test_errors_about_translated_packets_find_the_client(
    node: Node, place: Place, protocol: int
) -> None:
    """A router between this node and a remote backend's answers: the client is told in its words."""
    node.serve(place.remote)
    asked = frame(place.client, place.node, protocol, segment(protocol, 4000, PORT))
    _, out = node.run("from_uplink", asked)
    about = out[14:]
    v4 = ":" not in place.node
    kind, code = (UNREACHABLE, 4) if v4 else (2, 0)
    reported = frame(
        "192.0.2.254" if v4 else "2001:db8::fe",
        place.node,
        place.icmp,
        icmp(kind, about[: 28 if v4 else 60], code=code),
    )
    _, out = node.run("from_uplink", reported)
    seen = read(out)
    assert (seen.dst, seen.checked) == (place.client, True)
    inner = ether(seen.payload[8:], IPV4 if v4 else IPV6)
    assert inner_ends(inner) == (place.client, 4000, place.node, PORT)


def inner_ends(inner: bytes) -> tuple[str, int, str, int]:
    packet = inner[14:]
    if packet[0] >> 4 == 4:
        assert ones(packet[:20])
        src, dst, body = packet[12:16], packet[16:20], packet[20:]
    else:
        src, dst, body = packet[8:24], packet[24:40], packet[40:]
    sport, dport = unpack_from("!HH", body)
    return str(ip_address(src)), sport, str(ip_address(dst)), dport


@both
def test_errors_from_a_backend_leave_in_the_services_words(node: Node, place: Place) -> None:
    node.serve(place.local)
    asked = frame(place.client, place.node, UDP, segment(UDP, 4000, PORT))
    _, out = node.run("from_uplink", asked)
    kind, code = (UNREACHABLE, 3) if ":" not in place.node else (1, 4)
    closed = frame(place.local, place.client, place.icmp, icmp(kind, out[14:], code=code))
    _, out = node.run("from_workload", closed)
    seen = read(out)
    assert (seen.src, seen.dst, seen.checked) == (place.node, place.client, True)
    assert inner_ends(bytes(14) + seen.payload[8:]) == (place.client, 4000, place.node, PORT)


@both
def test_later_fragments_are_translated_without_ports(node: Node, place: Place) -> None:
    node.serve(place.local)
    body = summed(place.client, place.node, UDP, udp(4000, PORT, bytes(64)))
    pieces = [(0, body[:32], True), (32, body[32:], False)]
    for offset, piece, more in pieces:
        if ":" in place.node:
            part = fragment6(UDP, piece, offset=offset, more=more)
            packet = ether(ipv6(place.client, place.node, FRAGMENT, part), IPV6)
        else:
            whole = ipv4(place.client, place.node, UDP, piece, offset=offset, more=more)
            packet = ether(whole, IPV4)
        action, out = node.run("from_uplink", packet)
        assert action == REDIRECT
        at = (26, 30) if ":" not in place.node else (22, 38)
        size = 4 if ":" not in place.node else 16
        assert out[at[1] : at[1] + size] == ip_address(place.local).packed
        if offset:
            assert out[-len(piece) :] == piece


@both
def test_ports_that_run_out_are_a_named_drop(node: Node, place: Place) -> None:
    node.serve(place.remote)
    node.set_state(ports=(2000, 2007))
    full = 0
    for sport in range(4000, 4064):
        asked = frame(place.client, place.node, UDP, segment(UDP, sport, PORT))
        before = node._counts()[Reason.NAT_PORTS_EXHAUSTED]
        node.run("from_uplink", asked)
        full += node._counts()[Reason.NAT_PORTS_EXHAUSTED] - before
    assert full >= 64 - 8
    taken = {
        abi.NatEntry.unpack(value).sport
        for _, value in node.maps["nat"].items()
        if abi.NatEntry.unpack(value).flags & abi.NatFlag.FORWARD
    }
    assert taken == set(range(2000, 2008))


@both
def test_a_backend_that_goes_is_left_by_new_packets_at_once(node: Node, place: Place) -> None:
    node.serve(place.local)
    asked = frame(place.client, place.node, UDP, segment(UDP, 4000, PORT))
    node.run("from_uplink", asked)
    node.maps["backends"].delete_many([pack("=Q", 11)])
    node.maps["slots"][abi.SlotKey(9, 0).pack()] = abi.Slot(
        12, 0xFFFFFFFF, 0, raw(place.remote), 9090
    ).pack()
    node.maps["backends"][pack("=Q", 12)] = abi.Backend(5, 9090, raw(place.remote)).pack()
    _, out = node.run("from_uplink", asked)
    assert (read(out).dst, read(out).dport) == (place.remote, 9090)


@both
def test_an_established_connection_stays_with_a_backend_that_takes_no_new_ones(
    node: Node, place: Place
) -> None:
    node.serve(place.local)
    node.run("from_uplink", frame(place.client, place.node, TCP, segment(TCP, 4000, PORT)))
    node.maps["backends"].delete_many([pack("=Q", 11)])
    later = frame(place.client, place.node, TCP, segment(TCP, 4000, PORT, ACK))
    action, out = node.run("from_uplink", later)
    assert (action, read(out).dst) == (REDIRECT, place.local)


@both
def test_a_port_is_used_again_after_the_connection_closed(node: Node, place: Place) -> None:
    node.serve(place.local)
    node.run("from_uplink", frame(place.client, place.node, TCP, segment(TCP, 4000, PORT)))
    node.run("from_uplink", frame(place.client, place.node, TCP, segment(TCP, 4000, PORT, FIN)))
    action, out = node.run(
        "from_uplink", frame(place.client, place.node, TCP, segment(TCP, 4000, PORT))
    )
    assert (action, read(out).dst) == (REDIRECT, place.local)


@both
def test_only_clients_in_range_are_served(node: Node, place: Place) -> None:
    node.serve(place.local, flags=ServiceFlag.EXTERNAL | ServiceFlag.SOURCE_RANGES)
    asked = frame(place.client, place.node, TCP, segment(TCP, 4000, PORT))
    assert node.reason("from_uplink", asked) == Reason.SOURCE_RANGE
    key = abi.SourceRangeKey(32 + 128, 5, raw(place.client))
    node.maps["source_ranges"][key.pack()] = abi.SourceRange().pack()
    action, _ = node.run("from_uplink", asked)
    assert action == REDIRECT


@both
def test_no_endpoint_is_a_named_drop(node: Node, place: Place) -> None:
    node.serve(place.local)
    service = abi.Service(5, ServiceFlag.EXTERNAL)
    node.maps["services"][abi.ServiceKey(bytes(16), PORT, TCP).pack()] = service.pack()
    asked = frame(place.client, place.node, TCP, segment(TCP, 4000, PORT))
    assert node.reason("from_uplink", asked) == Reason.NO_BACKEND


@both
def test_a_range_that_is_not_masqueraded_sees_the_workload(node: Node, place: Place) -> None:
    width = 128
    entry = abi.IpcacheEntry(Identity.WORLD, IpcacheFlag.NO_MASQUERADE)
    node.maps["ipcache"][abi.IpcacheKey(width, raw(place.outside)).pack()] = entry.pack()
    try:
        asked = frame(place.local, place.outside, UDP, segment(UDP, 4000, 53))
        _, out = node.run("from_workload", asked)
        assert read(out).src == place.local
        assert list(node.maps["nat"].items()) == []
    finally:
        node.maps["ipcache"].delete_many([abi.IpcacheKey(width, raw(place.outside)).pack()])


@both
def test_a_workloads_address_does_not_come_by_the_uplink(node: Node, place: Place) -> None:
    forged = frame(place.node, place.local, UDP, segment(UDP, 4000, 53))
    assert node.reason("from_uplink", forged) == Reason.SPOOFED_SOURCE
    node.set_state(NodeFlag.VXLAN)
    forged = frame(place.remote, place.local, UDP, segment(UDP, 4000, 53))
    assert node.reason("from_uplink", forged) == Reason.SPOOFED_SOURCE
