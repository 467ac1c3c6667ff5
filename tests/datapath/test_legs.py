"""The second leg: what the node's proxy sends in its clients' names, and what comes back to it."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from typing import NamedTuple

import pytest

from tests.datapath.steered import Field, SteeredNode, address_of, field_of
from tulle.abi import Mark, Reason
from tulle.model.proxy import UPSTREAM_PORTS
from tulle.model.routing import Proxied
from tulle.model.verdict import TO_ITSELF

VIP = {4: "10.96.0.80", 6: "fd00:7a11:0:96::80"}
PORT, SERVED = 80, 8080
SERVICE = f"""
kind: Service
metadata: {{name: web}}
spec:
  clusterIPs: [{VIP[4]}, "{VIP[6]}"]
  ipFamilyPolicy: RequireDualStack
  selector: {{app: web}}
  ports: [{{port: {PORT}, targetPort: {SERVED}}}]
"""
PROXIED: frozenset[Proxied] = frozenset(
    (("shop", "web"), ip_address(address), PORT, "TCP") for address in VIP.values()
)
ADMIT = """
---
kind: NetworkPolicy
metadata: {name: %(subject)s}
spec:
  podSelector: {matchLabels: {app: %(subject)s}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: %(peer)s}}}]}]
"""
SEND = """
---
kind: NetworkPolicy
metadata: {name: %(subject)s-out}
spec:
  podSelector: {matchLabels: {app: %(subject)s}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: %(peer)s}}}]}]
"""
SHUT = """
---
kind: NetworkPolicy
metadata: {name: shut}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
"""
READ = f"""
---
kind: CiliumNetworkPolicy
metadata: {{name: read}}
spec:
  endpointSelector: {{matchLabels: {{app: web}}}}
  ingress:
    - toPorts:
        - ports: [{{port: "{SERVED}", protocol: TCP}}]
          rules: {{http: [{{method: GET}}]}}
"""
# connects from an address with the mark of the proxy's
FORGE = """
import socket, sys
source, address, port, mark = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
v6 = ":" in address
with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET) as s:
    s.setsockopt(41 if v6 else 0, 75 if v6 else 19, 1)  # IPV6_TRANSPARENT, IP_TRANSPARENT
    s.setsockopt(socket.SOL_SOCKET, 36, mark)
    s.bind((source, 0))
    s.settimeout(0.5)
    try:
        s.connect((address, port))
        print("connected")
    except TimeoutError:
        print("timed out")
"""
# sends a datagram likewise, and prints the answer
SEND_DATAGRAM = """
import socket, sys
source, address, port, mark = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
v6 = ":" in address
with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.setsockopt(41 if v6 else 0, 75 if v6 else 19, 1)  # IPV6_TRANSPARENT, IP_TRANSPARENT
    s.setsockopt(socket.SOL_SOCKET, 36, mark)
    s.bind((source, 50000))
    s.settimeout(2)
    s.sendto(b"ping", (address, port))
    print(s.recv(100).decode())
"""
versions = pytest.mark.parametrize("version", (4, 6), ids=("IPv4", "IPv6"))
places = pytest.mark.parametrize("where", ("here", "there"))
QUIET = {Reason.ALLOWED, Reason.PROXIED}


class Way(NamedTuple):
    """A client's connection through the proxy, and the backend's end of it."""

    client: socket.socket
    backend: socket.socket
    source: tuple[str, int]  # as the backend sees it


@pytest.fixture(scope="module", params=("native", "vxlan"))
def kept(request: pytest.FixtureRequest) -> Iterator[Field]:
    with field_of("legs", request.param) as field:
        for name in ("client", "stranger", "web"):
            field.a.run(name)
        field.b.run("far")
        field.force(SERVICE, PROXIED)
        yield field


@pytest.fixture
def field(kept: Field) -> Iterator[Field]:
    yield kept
    kept.clear()
    if kept.text != SERVICE:
        kept.force(SERVICE)


def backend_of(field: Field, where: str) -> tuple[SteeredNode, str]:
    return (field.a, "web") if where == "here" else (field.b, "far")


def serve(field: Field, where: str, version: int) -> socket.socket:
    """A backend, and a proxy on the client's node that leads to it."""
    node, name = backend_of(field, where)
    address = address_of(node, name, version)
    server = field.serve(node.place(name), address, port=SERVED)
    mark = int(Mark.PROXY)
    listener = {"at": [VIP[version], PORT], "kind": "TCP", "mark": mark}
    field.a.proxy(listener | {"to": [address, SERVED], "leg": mark})
    for each in (field.a, field.b):
        each.events()
    return server


def through(field: Field, server: socket.socket, version: int, name: str = "client") -> Way:
    client = field.connect(field.a.place(name), VIP[version], PORT)
    server.settimeout(1)
    accepted, source = server.accept()
    return Way(client, field.keep(accepted), source[:2])


def exchange(way: Way, word: bytes = b"ping") -> None:
    for src, dst in ((way.client, way.backend), (way.backend, way.client)):
        src.sendall(word)
        assert receive(dst, len(word)) == word


def receive(end: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        chunk = end.recv(size - len(got))
        assert chunk, "the other end closed"
        got += chunk
    return got


@versions
@places
def test_backends_see_the_client_itself(field: Field, where: str, version: int) -> None:
    way = through(field, serve(field, where, version), version)
    assert way.source[0] == address_of(field.a, "client", version)
    assert UPSTREAM_PORTS[0] <= way.source[1] <= UPSTREAM_PORTS[1]
    assert way.source[1] != way.client.getsockname()[1]
    exchange(way)
    exchange(way)
    assert field.a.reasons() == QUIET
    assert field.b.reasons() <= QUIET


@versions
@places
def test_much_is_sent_either_way(field: Field, where: str, version: int) -> None:
    """More than any buffer takes, in packets as large as they may be."""
    way = through(field, serve(field, where, version), version)
    for src, dst in ((way.client, way.backend), (way.backend, way.client)):
        sent, got = 0, 0
        src.setblocking(False)
        while got < 3_000_000:
            with suppress(BlockingIOError):
                sent += src.send(bytes(min(65536, 3_000_000 - sent)))
            dst.settimeout(3)
            got += len(dst.recv(1 << 20))
        src.settimeout(3)
    assert field.a.reasons() == QUIET


@versions
@places
@pytest.mark.parametrize("first", ["client", "backend"])
def test_a_half_closed_connection_ends_without_a_drop(
    field: Field, where: str, version: int, first: str
) -> None:
    """Also where it is the proxy that is left in TIME_WAIT."""
    way = through(field, serve(field, where, version), version)
    ends = (way.client, way.backend) if first == "client" else (way.backend, way.client)
    exchange(way)
    ends[0].shutdown(socket.SHUT_WR)
    assert ends[1].recv(10) == b""
    ends[1].sendall(b"still")
    assert receive(ends[0], 5) == b"still"
    ends[1].close()
    assert ends[0].recv(10) == b""
    ends[0].close()
    time.sleep(0.3)  # for what a kernel would say again
    assert field.a.reasons() == QUIET
    assert field.b.reasons() <= QUIET


@versions
@places
@pytest.mark.parametrize("who", ["client", "backend"])
def test_resets_reach_the_other_end(field: Field, where: str, version: int, who: str) -> None:
    way = through(field, serve(field, where, version), version)
    ends = (way.client, way.backend) if who == "client" else (way.backend, way.client)
    exchange(way)
    ends[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ends[0].close()
    with pytest.raises(ConnectionResetError):
        while ends[1].recv(10):
            pass
        raise ConnectionResetError  # the proxy may have closed in order
    time.sleep(0.1)
    assert field.a.reasons() == QUIET


@versions
@places
def test_a_backend_that_refuses_is_heard(field: Field, where: str, version: int) -> None:
    serve(field, where, version).close()
    client = field.connect(field.a.place("client"), VIP[version], PORT)
    assert client.recv(100) == b"no upstream: Connection refused\n"
    assert field.a.reasons() == QUIET


def assert_proxys_death_is_heard(field: Field, way: Way) -> None:
    """By the backend: an end, and then a reset."""
    field.a.end_children()
    assert way.backend.recv(10) == b""
    with pytest.raises(ConnectionError):
        for _ in range(10):
            way.backend.sendall(b"more")
            time.sleep(0.05)


@versions
@places
def test_backends_hear_when_the_proxy_dies(field: Field, where: str, version: int) -> None:
    way = through(field, serve(field, where, version), version)
    exchange(way)
    assert_proxys_death_is_heard(field, way)


@versions
@places
def test_a_process_of_the_node_is_served_too(field: Field, where: str, version: int) -> None:
    server = serve(field, where, version)
    client = field.connect(field.a.netns, VIP[version], PORT)
    accepted, source = server.accept()
    way = Way(client, field.keep(accepted), source[:2])
    assert ip_address(way.source[0]) in field.a.network.node().addresses
    exchange(way)


@versions
@places
def test_datagrams_go_and_come_back_likewise(field: Field, where: str, version: int) -> None:
    node, name = backend_of(field, where)
    own, peer = address_of(field.a, "client", version), address_of(node, name, version)
    server = field.serve(node.place(name), peer, "UDP", SERVED)
    for each in (field.a, field.b):
        each.events()
    line = (sys.executable, "-c", SEND_DATAGRAM, own, peer, str(SERVED), str(int(Mark.PROXY)))
    child = field.a.spawn(*line, cgroup=field.a.proxy_cgroup)
    data, source = server.recvfrom(100)
    assert (data, source[0]) == (b"ping", own)
    server.sendto(b"pong", source)
    assert child.stdout
    assert child.stdout.read() == "pong\n"
    assert field.a.reasons() | field.b.reasons() == {Reason.ALLOWED}


# --- policies ---


@versions
@places
def test_policies_of_either_end_judge_the_client(field: Field, where: str, version: int) -> None:
    node, subject = backend_of(field, where)
    server = serve(field, where, version)
    field.force(SERVICE + ADMIT % {"subject": subject, "peer": "client"})
    exchange(through(field, server, version))
    node.events()
    denied = field.connect(field.a.place("stranger"), VIP[version], PORT)
    with pytest.raises(TimeoutError):
        through(field, server, version, "stranger")
    drops = [item for item in node.events() if item.verdict.reason == Reason.POLICY_DENIED]
    assert drops
    assert node.rule_of(drops[0]) == f"default deny by NetworkPolicy shop/{subject} (ingress)"
    denied.close()


@versions
@places
def test_egress_policies_judge_the_backend(field: Field, where: str, version: int) -> None:
    """And not the address that the client asked for."""
    _, subject = backend_of(field, where)
    server = serve(field, where, version)
    field.force(SERVICE + SEND % {"subject": "client", "peer": subject})
    exchange(through(field, server, version))
    field.force(SERVICE + SEND % {"subject": "client", "peer": "nobody"})
    field.a.events()
    with pytest.raises(TimeoutError):
        through(field, server, version)
    drops = [item for item in field.a.events() if item.verdict.reason == Reason.POLICY_DENIED]
    assert drops
    denial = "default deny by NetworkPolicy shop/client-out (egress)"
    assert field.a.rule_of(drops[0]) == denial


@versions
@places
def test_a_changed_policy_reaches_what_is_established(
    field: Field, where: str, version: int
) -> None:
    node, subject = backend_of(field, where)
    way = through(field, serve(field, where, version), version)
    exchange(way)
    field.force(SERVICE + ADMIT % {"subject": subject, "peer": "nobody"})
    node.events()
    way.client.sendall(b"more")
    way.backend.settimeout(0.3)
    with pytest.raises(TimeoutError):
        way.backend.recv(10)
    assert Reason.POLICY_DENIED in node.reasons()
    field.force(SERVICE + ADMIT % {"subject": subject, "peer": "client"})
    way.backend.settimeout(3)  # TCP sends it again
    assert receive(way.backend, 4) == b"more"


# --- a workload that the proxy leads to itself ---


def rules_of(field: Field) -> set[str]:
    """Of what was judged at the workload's own hook."""
    assert field.a.compiled
    return {
        str(field.a.compiled.rules[number])
        for item in field.a.events()
        if item.verdict.reason == Reason.ALLOWED
        for number in (item.verdict.egress_rule, item.verdict.ingress_rule)
    }


@versions
@pytest.mark.parametrize("policy", ["", SHUT, READ], ids=("open", "isolated", "L7"))
def test_a_workload_may_be_led_to_itself(field: Field, version: int, policy: str) -> None:
    """Under whatever policy: the rules for others are not for itself."""
    server = serve(field, "here", version)
    field.force(SERVICE + policy)
    field.a.events()
    way = through(field, server, version, "web")
    ingress = {str(item) for item in field.a.network.node().ingress}
    assert way.source[0] in ingress
    exchange(way)
    assert rules_of(field) == {TO_ITSELF}
    for src, dst in ((way.client, way.backend), (way.backend, way.client)):
        sent, got = 0, 0
        src.setblocking(False)
        while got < 3_000_000:
            with suppress(BlockingIOError):
                sent += src.send(bytes(min(65536, 3_000_000 - sent)))
            dst.settimeout(3)
            got += len(dst.recv(1 << 20))
        src.settimeout(3)
    way.client.shutdown(socket.SHUT_WR)
    assert way.backend.recv(10) == b""
    way.backend.sendall(b"still")
    assert receive(way.client, 5) == b"still"
    way.backend.close()
    assert way.client.recv(10) == b""
    time.sleep(0.3)  # for what a kernel would say again
    assert field.a.reasons() <= QUIET
    exchange(through(field, server, version, "web"))


@versions
def test_what_leads_to_itself_outlives_a_changed_policy(field: Field, version: int) -> None:
    way = through(field, serve(field, "here", version), version, "web")
    for policy in (SHUT, READ, ""):
        field.force(SERVICE + policy)
        exchange(way)
        way.backend.sendall(b"first")  # the other end is judged again first
        assert receive(way.client, 5) == b"first"
    assert field.a.reasons() == QUIET


@versions
def test_a_workload_hears_when_the_proxy_between_it_and_itself_dies(
    field: Field, version: int
) -> None:
    way = through(field, serve(field, "here", version), version, "web")
    exchange(way)
    assert_proxys_death_is_heard(field, way)


@versions
def test_a_workload_that_refuses_itself_is_heard(field: Field, version: int) -> None:
    serve(field, "here", version).close()
    client = field.connect(field.a.place("web"), VIP[version], PORT)
    assert client.recv(100) == b"no upstream: Connection refused\n"
    assert field.a.reasons() == QUIET


@versions
def test_others_stay_under_the_policies_of_who_reaches_itself(field: Field, version: int) -> None:
    server = serve(field, "here", version)
    field.force(SERVICE + SHUT)
    exchange(through(field, server, version, "web"))
    with pytest.raises(TimeoutError):
        through(field, server, version, "stranger")
    assert Reason.POLICY_DENIED in field.a.reasons()


@versions
@pytest.mark.parametrize("mark", [0, int(Mark.PROXY)])
def test_nobody_but_the_proxy_leads_a_workload_to_itself(
    field: Field, version: int, mark: int
) -> None:
    serve(field, "here", version)
    own = address_of(field.a, "web", version)
    line = (sys.executable, "-c", FORGE, own, own, str(SERVED), str(mark))
    child = field.a.spawn(*line, cgroup=field.a.cgroups.make("rogue"))
    assert child.stdout
    assert child.stdout.read() == "timed out\n"
    assert field.a.reasons() == {Reason.SPOOFED_SOURCE}


@versions
def test_nobody_else_answers_in_the_place_of_who_reaches_itself(field: Field, version: int) -> None:
    """Not even with the packet that would end it."""
    way = through(field, serve(field, "here", version), version, "web")
    exchange(way)
    field.a.events()
    forged = field.open(field.a.place("stranger"), version, "TCP")
    forged.setsockopt(41 if version == 6 else 0, 75 if version == 6 else 19, 1)
    forged.bind((address_of(field.a, "web", version), SERVED))
    forged.settimeout(0.5)
    with pytest.raises(TimeoutError):
        forged.connect(way.source)
    assert field.a.reasons() == {Reason.SPOOFED_SOURCE}
    exchange(way)


# --- others who would speak so ---


@versions
@places
@pytest.mark.parametrize("mark", [0, int(Mark.PROXY), int(Mark.LOCAL)])
def test_nobody_else_speaks_in_a_workloads_name(
    field: Field, where: str, version: int, mark: int
) -> None:
    node, name = backend_of(field, where)
    serve(field, where, version)
    own, peer = address_of(field.a, "client", version), address_of(node, name, version)
    rogue = field.a.cgroups.make("rogue")
    line = (sys.executable, "-c", FORGE, own, peer, str(SERVED), str(mark))
    child = field.a.spawn(*line, cgroup=rogue)
    assert child.stdout
    assert child.stdout.read() == "timed out\n"
    if mark != Mark.LOCAL:  # that one only finds what the node itself listens on
        assert Reason.SPOOFED_SOURCE in field.a.reasons()
    assert Reason.ALLOWED not in node.reasons()


@versions
@places
def test_a_client_cannot_step_into_a_leg(field: Field, where: str, version: int) -> None:
    """From the same address and port as the proxy in its name."""
    server = serve(field, where, version)
    way = through(field, server, version)
    exchange(way)
    node, name = backend_of(field, where)
    own = field.open(field.a.place("client"), version, "TCP")
    own.bind(way.source)
    own.settimeout(0.5)
    with pytest.raises(TimeoutError):
        own.connect((address_of(node, name, version), SERVED))
    assert Reason.SPOOFED_SOURCE in field.a.reasons()
    exchange(way)


def test_workloads_own_ports_are_others(field: Field) -> None:
    server = field.serve(field.a.place("web"), address_of(field.a, "web", 4))
    for _ in range(20):
        client = field.connect(field.a.place("client"), *server.getsockname())
        assert client.getsockname()[1] < UPSTREAM_PORTS[0]
