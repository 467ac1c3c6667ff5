"""Rules of layer 7: connections under them come to the proxy's listener of their number, whatever
way they come, and go on from there as the client's own.

Numbers are written into the kernel's policy entries by hand: what gives them out is compiled
elsewhere. A listener passes on what it takes in to where that was sent, with its own mark.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from tests.datapath.steered import Field, SteeredNode, address_of, field_of
from tests.datapath.test_legs import ADMIT, SEND, Way, exchange
from tulle.abi import Action, Identity, Mark, PolicyEntry, Reason
from tulle.compile.parts import packed
from tulle.model.proxy import RULES_ADDRESSES, UPSTREAM_PORTS
from tulle.model.routing import Proxied

VIP = {4: "10.96.0.80", 6: "fd00:7a11:0:96::80"}
PORT, SERVED, NODE_PORT = 80, 8080, 30080
INGRESS_RULES, EGRESS_RULES = 7001, 7002
SERVICE = f"""
kind: Service
metadata: {{name: web}}
spec:
  type: NodePort
  clusterIPs: [{VIP[4]}, "{VIP[6]}"]
  ipFamilyPolicy: RequireDualStack
  selector: {{app: web}}
  ports: [{{port: {PORT}, targetPort: {SERVED}, nodePort: {NODE_PORT}}}]
"""
PROXIED: frozenset[Proxied] = frozenset(
    (("shop", "web"), ip_address(address), PORT, "TCP") for address in VIP.values()
)
FROM_ALL = """
---
kind: CiliumNetworkPolicy
metadata: {name: web}
spec: {endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEntities: [all]}]}
"""
TAKEN = f"""
---
kind: Service
metadata: {{name: taken}}
spec:
  clusterIPs: [10.96.0.81, "fd00:7a11:0:96::81"]
  ipFamilyPolicy: RequireDualStack
  externalIPs: ["%s"]
  ports: [{{port: {INGRESS_RULES}}}]
"""
versions = pytest.mark.parametrize("version", (4, 6), ids=("IPv4", "IPv6"))


@pytest.fixture(scope="module", params=("native", "vxlan"))
def kept(request: pytest.FixtureRequest) -> Iterator[Field]:
    with field_of("rules", request.param) as field:
        for name in ("client", "web"):
            field.a.run(name)
        field.b.run("far")
        field.force(SERVICE, PROXIED)
        yield field


@pytest.fixture
def field(kept: Field) -> Iterator[Field]:
    yield kept
    kept.clear()
    kept.force(SERVICE)


def under(field: Field, node: SteeredNode, text: str, number: int) -> None:
    """Puts policies in force, and all that they allow on a node under rules of that number."""
    field.force(SERVICE + text)
    number_all(node, number)


def number_all(node: SteeredNode, number: int) -> None:
    policy = node.datapath.maps["policy"]
    for key, raw in list(policy.items()):
        entry = PolicyEntry.unpack(raw)
        if entry.action == Action.ALLOW and entry.rule >= 256:
            policy[key] = entry._replace(proxy=number).pack()
    node.datapath.raise_epoch()


def listeners(number: int) -> list[dict[str, Any]]:
    mark = int(Mark.PROXY) | number
    return [
        {"at": [str(item), number], "kind": "TCP", "mark": mark, "to": "original", "leg": mark}
        for item in RULES_ADDRESSES
    ]


def serve(field: Field, version: int, name: str = "web") -> socket.socket:
    node = field.b if name == "far" else field.a
    server = field.serve(node.place(name), address_of(node, name, version), port=SERVED)
    server.settimeout(1)
    for each in (field.a, field.b):
        each.events()
    return server


def meet(field: Field, client: socket.socket, server: socket.socket) -> Way:
    accepted, source = server.accept()
    return Way(client, field.keep(accepted), source[:2])


def is_by_proxy(way: Way) -> bool:
    """The backend's peer has the client's address, and a port that no client is given."""
    own = way.client.getsockname()
    assert way.source[0] == own[0]
    return way.source[1] != own[1] and UPSTREAM_PORTS[0] <= way.source[1] <= UPSTREAM_PORTS[1]


def refused(field: Field, where: Any, address: str, port: int) -> None:
    """Nobody answers."""
    client = field.open(where, 6 if ":" in address else 4, "TCP")
    client.settimeout(0.5)
    with pytest.raises(TimeoutError):
        client.connect((address, port))


@versions
def test_a_neighbours_connection_comes_by_the_rules(field: Field, version: int) -> None:
    """The rules of the backend's side."""
    a = field.a
    under(field, a, ADMIT % {"subject": "web", "peer": "client"}, INGRESS_RULES)
    a.proxy(*listeners(INGRESS_RULES))
    server = serve(field, version)
    client = field.connect(a.place("client"), *server.getsockname()[:2])
    way = meet(field, client, server)
    assert is_by_proxy(way)
    exchange(way)
    allowed = [item for item in a.events() if item.verdict.reason == Reason.ALLOWED]
    first, second = sorted(allowed, key=lambda item: item.time_ns)
    assert (first.verdict.to_proxy, first.verdict.proxy) == (1, INGRESS_RULES)
    assert (second.flow.from_proxy, second.flow.passed) == (1, INGRESS_RULES)
    assert a.rule_of(first) == a.rule_of(second) == "NetworkPolicy shop/web ingress[0]"


@versions
def test_rules_of_the_client_hold_towards_other_nodes(field: Field, version: int) -> None:
    a = field.a
    under(field, a, SEND % {"subject": "client", "peer": "far"}, EGRESS_RULES)
    a.proxy(*listeners(EGRESS_RULES))
    server = serve(field, version, "far")
    client = field.connect(a.place("client"), *server.getsockname()[:2])
    way = meet(field, client, server)
    assert is_by_proxy(way)
    exchange(way)


@versions
def test_rules_of_the_backend_hold_for_other_nodes(field: Field, version: int) -> None:
    """By the uplink or the overlay, and back the same way."""
    a, b = field.a, field.b
    under(field, a, ADMIT % {"subject": "web", "peer": "far"}, INGRESS_RULES)
    a.proxy(*listeners(INGRESS_RULES))
    server = serve(field, version)
    way = meet(field, field.connect(b.place("far"), *server.getsockname()[:2]), server)
    assert is_by_proxy(way)
    exchange(way)
    assert a.reasons() | b.reasons() == {Reason.ALLOWED}


@versions
def test_rules_of_the_backend_hold_for_the_outside(field: Field, version: int) -> None:
    """Whose answers come from the node port that was asked."""
    a = field.a
    under(field, a, FROM_ALL, INGRESS_RULES)
    a.proxy(*listeners(INGRESS_RULES))
    server = serve(field, version)
    uplink = next(str(i) for i in a.network.node().addresses if i.version == version)
    way = meet(field, field.connect(field.cluster.fabric, uplink, NODE_PORT), server)
    assert is_by_proxy(way)
    exchange(way)
    assert way.client.getpeername()[:2] == (uplink, NODE_PORT)


@versions
def test_rules_of_both_ends_hold_one_after_the_other(field: Field, version: int) -> None:
    a = field.a
    both = SEND % {"subject": "client", "peer": "web"} + ADMIT % {
        "subject": "web",
        "peer": "client",
    }
    field.force(SERVICE + both)
    policy = a.datapath.maps["policy"]
    assert a.compiled
    for key, raw in list(policy.items()):
        entry = PolicyEntry.unpack(raw)
        rule = a.compiled.rules[entry.rule]
        if entry.action == Action.ALLOW and rule.policy:
            number = EGRESS_RULES if rule.direction == "egress" else INGRESS_RULES
            policy[key] = entry._replace(proxy=number).pack()
    a.datapath.raise_epoch()
    a.proxy(*listeners(EGRESS_RULES), *listeners(INGRESS_RULES))
    server = serve(field, version)
    way = meet(field, field.connect(a.place("client"), *server.getsockname()[:2]), server)
    assert is_by_proxy(way)
    exchange(way)
    passed = [i.flow.passed for i in a.events() if i.verdict.reason == Reason.ALLOWED]
    assert sorted(passed) == [0, INGRESS_RULES, EGRESS_RULES]


@versions
def test_a_leg_of_a_front_comes_by_the_rules_as_well(field: Field, version: int) -> None:
    a, mark = field.a, int(Mark.PROXY)
    under(field, a, ADMIT % {"subject": "web", "peer": "client"}, INGRESS_RULES)
    server = serve(field, version)
    front = {"at": [VIP[version], PORT], "kind": "TCP", "mark": mark, "leg": mark}
    a.proxy(front | {"to": server.getsockname()[:2]}, *listeners(INGRESS_RULES))
    way = meet(field, field.connect(a.place("client"), VIP[version], PORT), server)
    assert is_by_proxy(way)
    exchange(way)
    for end in (way.client, way.backend):
        end.close()
    passed = [i.flow.passed for i in a.events() if i.verdict.reason == Reason.ALLOWED]
    assert passed == [0, INGRESS_RULES]


@versions
def test_without_a_listener_nothing_passes(field: Field, version: int) -> None:
    a = field.a
    under(field, a, ADMIT % {"subject": "web", "peer": "client"}, INGRESS_RULES)
    server = serve(field, version)
    refused(field, a.place("client"), *server.getsockname()[:2])
    assert Reason.NO_PROXY in a.reasons()
    a.proxy(*listeners(INGRESS_RULES), cgroup=a.cgroups.make("rogue"))
    refused(field, a.place("client"), *server.getsockname()[:2])
    assert Reason.SPOOFED_SOURCE in a.reasons()
    with pytest.raises(TimeoutError):
        server.accept()


@versions
def test_what_the_rules_do_not_concern_goes_on_directly(field: Field, version: int) -> None:
    """A process of the node, which always may."""
    a = field.a
    under(field, a, ADMIT % {"subject": "web", "peer": "client"}, INGRESS_RULES)
    server = serve(field, version)
    way = meet(field, field.connect(a.netns, *server.getsockname()[:2]), server)
    assert way.source == way.client.getsockname()[:2]
    exchange(way)


@versions
@pytest.mark.parametrize("before", [0, EGRESS_RULES], ids=("none", "others"))
def test_a_connection_does_not_stand_under_other_rules(
    field: Field, version: int, before: int
) -> None:
    """It is reset, and comes by the right ones when it is opened again."""
    a = field.a
    under(field, a, ADMIT % {"subject": "web", "peer": "client"}, before)
    a.proxy(*listeners(EGRESS_RULES), *listeners(INGRESS_RULES))
    server = serve(field, version)
    way = meet(field, field.connect(a.place("client"), *server.getsockname()[:2]), server)
    assert is_by_proxy(way) is bool(before)
    exchange(way)
    number_all(a, INGRESS_RULES)
    a.events()
    way.client.sendall(b"more")
    with pytest.raises(ConnectionResetError):
        way.client.recv(10)
    assert Reason.OTHER_RULES in a.reasons()
    way.backend.settimeout(0.3)
    with pytest.raises((TimeoutError, ConnectionResetError)):
        assert way.backend.recv(10) == b""
        raise TimeoutError  # the proxy has closed its leg
    again = meet(field, field.connect(a.place("client"), *server.getsockname()[:2]), server)
    assert is_by_proxy(again)
    exchange(again)


@versions
def test_a_connection_goes_on_where_its_rules_are_gone(field: Field, version: int) -> None:
    a = field.a
    under(field, a, ADMIT % {"subject": "web", "peer": "client"}, INGRESS_RULES)
    a.proxy(*listeners(INGRESS_RULES))
    server = serve(field, version)
    way = meet(field, field.connect(a.place("client"), *server.getsockname()[:2]), server)
    exchange(way)
    number_all(a, 0)
    exchange(way)
    field.force(SERVICE + ADMIT % {"subject": "web", "peer": "nobody"})
    a.events()
    way.client.sendall(b"more")
    way.backend.settimeout(0.3)
    with pytest.raises(TimeoutError):
        way.backend.recv(10)
    assert Reason.POLICY_DENIED in a.reasons()


@versions
def test_nobody_comes_to_the_rules_by_name(field: Field, version: int) -> None:
    """Neither workloads nor the host outside, nor by a service that has taken the address."""
    a = field.a
    a.proxy(*listeners(INGRESS_RULES))
    address = next(str(item) for item in RULES_ADDRESSES if item.version == version)
    refused(field, a.place("client"), address, INGRESS_RULES)
    asked = [item for item in a.events() if item.flow.dst == packed(ip_address(address))]
    assert {item.verdict.reason for item in asked} == {Reason.NO_SERVICE_PORT}
    assert {item.verdict.dst_identity for item in asked} == {Identity.SERVICE}
    field.route_outside(address, a)
    refused(field, field.cluster.fabric, address, INGRESS_RULES)
    place = ("shop", "taken"), ip_address(address), INGRESS_RULES, "TCP"
    field.force(SERVICE + TAKEN % address, PROXIED | {place})
    for where in (a.place("client"), field.cluster.fabric):
        refused(field, where, address, INGRESS_RULES)
    field.force(SERVICE, PROXIED)
