"""A node's programs run on frames, and what they make of them read back.

They run on frames (BPF_PROG_TEST_RUN) in a network namespace whose routes all lead to `lo`;
nothing is attached. The maps hold a node with one local and one remote backend behind a node port.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from struct import pack, unpack_from

import pytest

from tests.datapath.frames import (
    ECHO,
    ECHO6,
    ECHO_REPLY,
    ECHO_REPLY6,
    ICMP,
    ICMP6,
    IPV4,
    IPV6,
    NODE_MAC,
    SYN,
    TCP,
    UDP,
    checksum,
    ether,
    ipv4,
    ipv6,
    tcp,
    udp,
)
from tulle import abi
from tulle.abi import EndpointFlag, Identity, NodeFlag, Reason, ServiceFlag
from tulle.compile.parts import packed
from tulle.edges import netlink, netns
from tulle.edges.bpf import bpffs, syscall
from tulle.edges.bpf.loader import Objects

SHOT, REDIRECT = 2, 7
XDP_PASS, XDP_TX = 2, 3
PORT = 30080
FIXED = ("reasons", "state", "events", "short_senders")  # the last has one for each socket
LIMITS = {name: 1024 for name in abi.MAPS if name not in FIXED}
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


def node_port(address: str, protocol: int) -> bytes:
    """Key of PORT on every node, in the family of an address."""
    anywhere = raw("::" if ":" in address else "0.0.0.0")  # noqa: S104
    return abi.ServiceKey(anywhere, PORT, protocol).pack()


class Node:
    """Maps by hand: what is tested is what the programs make of them."""

    def __init__(self, objects: Objects, namespace: Path) -> None:
        self._namespace = namespace
        self.programs = objects.load("pod", ("from_workload", "to_workload"))
        self.programs |= objects.load("host", ("from_uplink", "to_uplink"))
        self.programs |= objects.load("xdp", ("from_device",))
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
            self.maps["services"][node_port(address, protocol)] = service.pack()

    def forget(self) -> None:
        for name in (
            "nat",
            "conntrack",
            "policy",
            "services",
            "source_ranges",
            "fragments",
            "affinity",
        ):
            self.maps[name].delete_many([key for key, _ in self.maps[name].items()])
        self.set_state()

    def ip(self, *lines: str) -> None:
        """Commands in the node's namespace."""
        netns.run_in(self._namespace, partial(run_ip, *lines))

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
    lines = [f"link set lo address {NODE_MAC.hex(':')}", "link set lo up"]
    lines += ["route add default dev lo", "-6 route add default dev lo"]
    mac = "02:00:00:00:00:01"  # XDP goes on only where the neighbour is known
    for place in PLACES.values():
        for address in (place.remote, place.client):
            lines.append(f"neigh add {address} lladdr {mac} dev lo nud permanent")
    run_ip(*lines)


def run_ip(*lines: str) -> None:
    for line in lines:
        subprocess.run(["ip", *line.split()], check=True)


@contextmanager
def node_of(name: str) -> Iterator[Node]:
    pins = bpffs.ROOT / "tulle" / f"{name}-{os.getpid()}"
    namespaces = Path(f"/run/tulle-{name}-{os.getpid()}")
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


def inner_ends(inner: bytes) -> tuple[str, int, str, int]:
    packet = inner[14:]
    if packet[0] >> 4 == 4:
        assert ones(packet[:20])
        src, dst, body = packet[12:16], packet[16:20], packet[20:]
    else:
        src, dst, body = packet[8:24], packet[24:40], packet[40:]
    sport, dport = unpack_from("!HH", body)
    return str(ip_address(src)), sport, str(ip_address(dst)), dport
