"""What the node's proxy sends in its own name, for clients from outside: the mesh's ingress."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from tests.datapath.steered import Field, SteeredNode, address_of, field_of
from tests.datapath.test_legs import FORGE, Way, exchange
from tulle.abi import Identity, Mark, Reason
from tulle.model.routing import Proxied

VIP = {4: "192.0.2.80", 6: "2001:db8::80"}
PORT, SERVED = 80, 8080
SERVICE = f"""
kind: Service
metadata: {{name: gateway}}
spec:
  type: LoadBalancer
  clusterIPs: [10.96.0.80, "fd00:7a11:0:96::80"]
  ipFamilyPolicy: RequireDualStack
  ports: [{{port: {PORT}}}]
status: {{loadBalancer: {{ingress: [{{ip: {VIP[4]}}}, {{ip: "{VIP[6]}"}}]}}}}
"""
PROXIED: frozenset[Proxied] = frozenset(
    (("shop", "gateway"), ip_address(address), PORT, "TCP") for address in VIP.values()
)
FROM = """
---
kind: CiliumNetworkPolicy
metadata: {name: from}
spec:
  endpointSelector: {}
  ingress: [{fromEntities: [%s]}]
"""
versions = pytest.mark.parametrize("version", (4, 6), ids=("IPv4", "IPv6"))
places = pytest.mark.parametrize("where", ("here", "there"))


@pytest.fixture(scope="module", params=("native", "vxlan"))
def kept(request: pytest.FixtureRequest) -> Iterator[Field]:
    with field_of("ingress", request.param) as field:
        field.a.run("web")
        field.b.run("far")
        for address in VIP.values():
            field.route_outside(address, field.a)
        field.force(SERVICE, PROXIED)
        yield field


@pytest.fixture
def field(kept: Field) -> Iterator[Field]:
    yield kept
    kept.clear()
    if kept.text != SERVICE:
        kept.force(SERVICE)


def source_of(node: SteeredNode, version: int) -> str:
    return next(str(i) for i in node.network.node().ingress if i.version == version)


def backend_of(field: Field, where: str, version: int) -> tuple[SteeredNode, str, str]:
    node, name = (field.a, "web") if where == "here" else (field.b, "far")
    return node, name, address_of(node, name, version)


def serve(field: Field, where: str, version: int) -> socket.socket:
    node, name, address = backend_of(field, where, version)
    server = field.serve(node.place(name), address, port=SERVED)
    server.settimeout(0.5)
    mark = int(Mark.PROXY)
    listener = {"at": [VIP[version], PORT], "kind": "TCP", "mark": mark, "leg": mark}
    source = source_of(field.a, version)
    field.a.proxy(listener | {"to": [address, SERVED], "source": source})
    for each in (field.a, field.b):
        each.events()
    return server


def through(field: Field, server: socket.socket, version: int) -> Way:
    client = field.connect(field.cluster.fabric, VIP[version], PORT)
    accepted, source = server.accept()
    return Way(client, field.keep(accepted), source[:2])


@versions
@places
def test_a_client_from_outside_reaches_backends_of_any_node(
    field: Field, where: str, version: int
) -> None:
    node, _, _ = backend_of(field, where, version)
    way = through(field, serve(field, where, version), version)
    assert way.source[0] == source_of(field.a, version)
    exchange(way)
    identities = {item.verdict.src_identity for item in node.events()}
    assert Identity.INGRESS in identities
    assert field.a.reasons() | field.b.reasons() <= {Reason.ALLOWED, Reason.PROXIED}


@versions
@places
@pytest.mark.parametrize(
    ("entity", "passes"),
    [
        *((name, True) for name in ("ingress", "cluster", "all")),
        *((name, False) for name in ("host", "world", "remote-node", "unmanaged")),
    ],
)
def test_policies_know_it_as_ingress_alone(
    field: Field, where: str, version: int, entity: str, passes: bool
) -> None:
    """And no rule lets it pass because it is of the backend's own node."""
    node, _, _ = backend_of(field, where, version)
    field.force(SERVICE + FROM % entity)
    server = serve(field, where, version)
    if passes:
        exchange(through(field, server, version))
        return
    with pytest.raises(TimeoutError):
        through(field, server, version)
    drops = [item for item in node.events() if item.verdict.reason == Reason.POLICY_DENIED]
    assert "CiliumNetworkPolicy shop/from" in node.rule_of(drops[0])


@versions
@places
@pytest.mark.parametrize("mark", [0, int(Mark.PROXY)])
def test_no_other_process_is_the_ingress(field: Field, where: str, version: int, mark: int) -> None:
    _, _, address = backend_of(field, where, version)
    serve(field, where, version)
    line = (sys.executable, "-c", FORGE, source_of(field.a, version), address)
    rogue = field.a.cgroups.make("rogue")
    child = field.a.spawn(*line, str(SERVED), str(mark), cgroup=rogue)
    assert child.stdout
    assert child.stdout.read() == "timed out\n"
    assert Reason.SPOOFED_SOURCE in field.a.reasons()


@versions
def test_nobody_from_outside_is_the_ingress(field: Field, version: int) -> None:
    """Of this node; of another one only where the overlay carries what nodes say."""
    for node in (field.a, field.b):
        if node is field.b and field.a.settings.routing == "native":
            continue
        source = source_of(node, version)
        forged = field.open(field.cluster.fabric, version, "UDP")
        forged.setsockopt(socket.IPPROTO_IP, 19, 1)  # IP_TRANSPARENT
        forged.bind((source, 0))
        field.a.events()
        forged.sendto(b"x", (address_of(field.a, "web", version), SERVED))
        assert Reason.SPOOFED_SOURCE in field.a.reasons(), source
