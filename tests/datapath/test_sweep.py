"""Sockets that are tied to what has vanished hear of it, and no others."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from tulle import abi
from tulle.compile.diff import Change
from tulle.compile.parts import packed
from tulle.edges import netlink, netns
from tulle.edges.bpf import bpffs
from tulle.edges.bpf.datapath import remove
from tulle.edges.bpf.loader import Objects
from tulle.edges.bpf.sockets import SocketSweep, vanishing

SO_COOKIE = 57
SMALL = {name: min(spec.max_entries, 1024) for name, spec in abi.MAPS.items() if name != "events"}
SERVICE, OTHER_SERVICE = ("10.96.0.10", 53), ("10.96.0.11", 53)
HERE = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
FAMILIES = pytest.mark.parametrize("family", HERE)


class Bench:
    """The sweep, its maps, and a network namespace with nothing but loopback."""

    def __init__(self, pins: Path, namespace: Path) -> None:
        self.objects, self.namespace = Objects(pins, SMALL), namespace
        self.sweep = SocketSweep(self.objects)
        self.maps = self.objects.maps
        self.open: list[socket.socket] = []

    def socket(self, family: int, kind: int) -> socket.socket:
        made = netns.run_in(self.namespace, lambda: socket.socket(family, kind))
        made.settimeout(2)
        self.open.append(made)
        return made

    def server(self, family: int, kind: int) -> socket.socket:
        made = self.socket(family, kind)
        made.bind((HERE[family], 0))
        if kind == socket.SOCK_STREAM:
            made.listen()
        return made

    def client(self, server: socket.socket) -> socket.socket:
        made = self.socket(server.family, server.type)
        made.connect(server.getsockname())
        return made

    def asked(self, client: socket.socket, service: tuple[str, int]) -> None:
        """As the connect() hook notes it."""
        cookie = int.from_bytes(client.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8), "little")
        host, port = client.getpeername()[:2]
        key = abi.SockNatKey(cookie=cookie, addr=packed(ip_address(host)), port=port)
        address = packed(ip_address(service[0]))
        self.maps["sock_nat"][key.pack()] = abi.SockNat(address, service[1]).pack()

    def serve(self, service: tuple[str, int], number: int, server: socket.socket) -> Change:
        """A service with a backend; returns the change that takes the backend away."""
        address = packed(ip_address(service[0]))
        key = abi.ServiceKey(addr=address, port=service[1], proto=socket.IPPROTO_UDP).pack()
        self.maps["services"][key] = abi.Service(id=number).pack()
        host, port = server.getsockname()[:2]
        backend = (number * 100_000 + port).to_bytes(self.maps["backends"].key_size, "little")
        entry = abi.Backend(service=number, port=port, addr=packed(ip_address(host)))
        self.maps["backends"][backend] = entry.pack()
        return Change("backends", backend)

    def take_away(self, *changes: Change, back_again: bool = False) -> None:
        rows = vanishing(self.maps, changes)
        for change in changes if not back_again else ():
            del self.maps[change.map][change.key]
        self.sweep.begin(rows)
        netns.run_in(self.namespace, lambda: self.sweep.run(streams=True))
        self.sweep.end()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bpffs.mount()
    pins, namespace = Path(f"/sys/fs/bpf/tulle-sweep-{os.getpid()}"), tmp_path / "netns" / "a"
    netns.create(namespace)
    try:
        netns.run_in(namespace, lambda: netlink.set_up_loopback(()))
        made = Bench(pins, namespace)
        yield made
        for item in made.open:
            item.close()
        made.sweep.close()
        made.objects.close()
    finally:
        netns.delete_all(namespace.parent)
        remove(pins)


def works(client: socket.socket) -> bool:
    """Whether it can send; raises what is not ECONNABORTED."""
    try:
        client.send(b"x")
    except OSError as error:
        if error.errno in (errno.ECONNABORTED, errno.EDESTADDRREQ, errno.EPIPE):
            return False
        raise
    return True


def hears(client: socket.socket) -> int:
    """The error that a reader gets; 0 if none comes."""
    client.settimeout(0)
    try:
        client.recv(1)
    except BlockingIOError:
        return 0
    except OSError as error:
        return error.errno or 0
    return 0


@FAMILIES
def test_a_datagram_socket_hears_that_its_backend_is_gone(bench: Bench, family: int) -> None:
    first, second = (bench.server(family, socket.SOCK_DGRAM) for _ in range(2))
    gone = bench.serve(SERVICE, 7, first)
    bench.serve(SERVICE, 7, second)
    clients = [bench.client(server) for server in (first, second)]
    for client in clients:
        bench.asked(client, SERVICE)
    direct = bench.client(first)
    bench.take_away(gone)
    assert hears(clients[0]) == errno.ECONNABORTED
    assert works(clients[1])
    assert works(direct)  # it asked for this address, not for a service
    assert not list(bench.maps["gone"].items())


def test_the_socket_can_be_connected_again(bench: Bench) -> None:
    first, second = (bench.server(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    gone = bench.serve(SERVICE, 7, first)
    client = bench.client(first)
    bench.asked(client, SERVICE)
    bench.take_away(gone)
    assert hears(client) == errno.ECONNABORTED
    client.connect(second.getsockname())
    client.settimeout(2)
    client.send(b"again")
    assert second.recv(16) == b"again"


def test_a_mapped_address_is_the_ipv4_one(bench: Bench) -> None:
    server = bench.server(socket.AF_INET, socket.SOCK_DGRAM)
    gone = bench.serve(SERVICE, 7, server)
    client = bench.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    client.connect(("::ffff:127.0.0.1", server.getsockname()[1]))
    bench.asked(client, SERVICE)
    bench.take_away(gone)
    assert hears(client) == errno.ECONNABORTED


def test_another_service_may_keep_the_backend(bench: Bench) -> None:
    server = bench.server(socket.AF_INET, socket.SOCK_DGRAM)
    gone = bench.serve(SERVICE, 7, server)
    bench.serve(OTHER_SERVICE, 8, server)
    client = bench.client(server)
    bench.asked(client, OTHER_SERVICE)
    bench.take_away(gone)
    assert works(client)


def test_a_service_that_is_gone_altogether(bench: Bench) -> None:
    server = bench.server(socket.AF_INET, socket.SOCK_DGRAM)
    gone = bench.serve(SERVICE, 7, server)
    client = bench.client(server)
    bench.asked(client, SERVICE)
    key = next(key for key, _ in bench.maps["services"].items())
    bench.take_away(Change("services", key), gone)
    assert hears(client) == errno.ECONNABORTED


def test_a_backend_that_came_back_meanwhile(bench: Bench) -> None:
    server = bench.server(socket.AF_INET, socket.SOCK_DGRAM)
    gone = bench.serve(SERVICE, 7, server)
    client = bench.client(server)
    bench.asked(client, SERVICE)
    bench.take_away(gone, back_again=True)
    assert works(client)


@FAMILIES
def test_a_stream_lasts_until_its_address_has_left_the_mesh(bench: Bench, family: int) -> None:
    server = bench.server(family, socket.SOCK_STREAM)
    backend = bench.serve(SERVICE, 7, server)
    address = packed(ip_address(HERE[family]))
    bench.maps["endpoints"][address] = abi.Endpoint().pack()
    client = bench.client(server)
    bench.asked(client, SERVICE)
    bench.take_away(backend)
    assert works(client)
    bench.take_away(Change("endpoints", address))
    # the other end is in this namespace too, and resets the connection if its turn comes first
    assert hears(client) in (errno.ECONNABORTED, errno.ECONNRESET)
    assert server.accept()  # listeners live on


def test_what_the_peer_has_closed_may_still_be_read(bench: Bench) -> None:
    server = bench.server(socket.AF_INET, socket.SOCK_STREAM)
    address = packed(ip_address("127.0.0.1"))
    bench.maps["endpoints"][address] = abi.Endpoint().pack()
    client = bench.client(server)
    accepted, _ = server.accept()
    accepted.send(b"last words")
    accepted.close()
    bench.take_away(Change("endpoints", address))
    assert client.recv(100) == b"last words"
    assert client.recv(100) == b""


def test_sockets_of_other_namespaces_are_left_alone(bench: Bench, tmp_path: Path) -> None:
    server = bench.server(socket.AF_INET, socket.SOCK_DGRAM)
    gone = bench.serve(SERVICE, 7, server)
    client = bench.client(server)
    bench.asked(client, SERVICE)
    bench.namespace = tmp_path / "netns" / "b"
    netns.create(bench.namespace)
    bench.take_away(gone)
    assert works(client)


def test_only_holders_of_streams_are_looked_at_for_streams(bench: Bench) -> None:
    gone, other, client = (packed(ip_address(f"10.0.0.{number}")) for number in (9, 8, 1))
    for ends, proto, ifindex in (
        ((client, gone), socket.IPPROTO_TCP, (41, 0)),
        ((gone, packed(ip_address("10.0.0.99"))), socket.IPPROTO_TCP, (0, 42)),
        ((client, gone), socket.IPPROTO_UDP, (43, 0)),
        ((client, other), socket.IPPROTO_TCP, (44, 0)),
    ):
        key = abi.CtKey(addr=ends, port=(1000, 80), proto=proto)
        bench.maps["conntrack"][key.pack()] = abi.CtEntry(ifindex=ifindex).pack()
    bench.maps["endpoints"][gone] = abi.Endpoint().pack()
    rows = vanishing(bench.maps, [Change("endpoints", gone)])
    assert bench.sweep.holders(rows) == {41, 42}
    assert bench.sweep.holders({}) == set()


@FAMILIES
@pytest.mark.parametrize("in_a_range", [False, True])
def test_the_proxys_own_streams_to_what_is_read_from_now_on(
    bench: Bench, family: int, in_a_range: bool
) -> None:
    server, elsewhere = (bench.server(family, socket.SOCK_STREAM) for _ in range(2))
    port = server.getsockname()[1]
    made = {}
    for name, mark, to in (
        ("proxy", abi.Mark.PROXY, server),
        ("enforced", abi.Mark.PROXY | 77, server),
        ("elsewhere", abi.Mark.PROXY, elsewhere),
        ("workload", 0, server),
    ):
        made[name] = bench.socket(family, socket.SOCK_STREAM)
        made[name].setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        made[name].connect(to.getsockname())
    prefix = abi.PolicyPrefix.PORT + 4 if in_a_range else abi.PolicyPrefix.FULL
    key = abi.PolicyKey(prefixlen=prefix, set=9, proto=socket.IPPROTO_TCP, port=port)
    endpoint = abi.Endpoint(ingress_set=9).pack()
    bench.take_away(
        Change("policy", key.pack(), abi.PolicyEntry(proxy=77).pack()),
        Change("endpoints", packed(ip_address(HERE[family])), endpoint),
        back_again=True,
    )
    left = {name for name, client in made.items() if works(client)}
    # of a range any port may be meant
    assert left == {"enforced", "workload"} | (set() if in_a_range else {"elsewhere"})


def test_what_nothing_reads_is_left_alone(bench: Bench) -> None:
    key = abi.PolicyKey(prefixlen=abi.PolicyPrefix.FULL, set=9, proto=6, port=80).pack()
    endpoints = [
        Change("endpoints", packed(ip_address("10.0.0.9")), abi.Endpoint(ingress_set=number).pack())
        for number in (0, 8, 9)
    ]
    allow = Change("policy", key, abi.PolicyEntry().pack())
    read = Change("policy", key, abi.PolicyEntry(proxy=77).pack())
    assert vanishing(bench.maps, [allow, *endpoints]) == {}
    assert vanishing(bench.maps, [read, *endpoints[:2]]) == {}
    (row,) = vanishing(bench.maps, [read, *endpoints])
    assert bench.sweep.holders({row: b""}) == {0}
