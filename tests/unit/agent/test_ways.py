"""From one address to another, through services and across nodes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from tests.unit.agent.passes import pass_of
from tests.unit.compile.objects import workload, world_of
from tulle.abi import Reason
from tulle.agent.ways import Views, Way, ways
from tulle.model.kubernetes import ContainerPort
from tulle.model.verdict import Flow
from tulle.model.world import Node, Settings, World

WEB = workload("web-1", app="web")
DB = workload("db-2", app="db")
FAR = replace(workload("db-3", "10.0.1.3", app="db"), node="east", ifindex=0)
TILL = replace(workload("till-4", "10.0.1.4", app="till"), node="east", ifindex=0)
WEST = Node(
    "west",
    (ip_address("192.0.2.30"),),
    pod_cidrs=(ip_network("10.0.0.0/24"),),
    underlay=ip_address("192.0.2.30"),
)
EAST = replace(
    WEST,
    name="east",
    addresses=(ip_address("192.0.2.31"),),
    underlay=ip_address("192.0.2.31"),
    pod_cidrs=(ip_network("10.0.1.0/24"),),
)
TEXT = """
kind: Service
metadata: {name: db}
spec:
  type: NodePort
  clusterIP: 10.96.0.9
  selector: {app: db}
  ports: [{port: 5432, nodePort: 30432}]
---
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {}}]}, {from: [{ipBlock: {cidr: 198.51.100.0/24}}]}]
"""
CLIENT = "198.51.100.7"


def mesh(text: str = TEXT, **settings: Any) -> Views:
    world = world_of(WEB, DB, text=text, node=WEST)
    world = replace(
        world,
        nodes={"east": EAST},
        remote={"east": {item.key: item for item in (FAR, TILL)}},
        settings=Settings(**settings),
    )
    return Views(pass_of(world).world)


def found(views: Views, source: str, target: str, port: int) -> list[Way]:
    return ways(views, Flow(ip_address(source), ip_address(target), "TCP", port))


def told(views: Views, way: Way) -> tuple[str, str, str]:
    """Source as the backend sees it, destination, verdict."""
    verdict = views.judge(way)
    return str(way.flow.src), str(way.flow.dst), verdict.reason.name


def test_a_socket_chooses_among_all_nodes() -> None:
    views = mesh(routing="vxlan")
    near, far = found(views, "10.0.0.1", "10.96.0.9", 5432)
    assert (near.share, far.share) == (0.5, 0.5)
    assert near.served is not None
    assert (near.served.node, near.served.at_socket) == ("west", True)
    assert near.words == ("stays on node west",)
    assert far.words == ("through the overlay to node east",)
    assert [node for node, _ in far.legs] == ["west", "east"]
    assert told(views, far) == ("10.0.0.1", "10.0.1.3", "ALLOWED")


def test_each_nodes_own_policies_are_asked() -> None:
    views = mesh()
    (way,) = found(views, "10.0.1.4", "10.0.0.2", 5432)
    assert [node for node, _ in way.legs] == ["east", "west"]
    verdict = views.judge(way)
    assert str(verdict.egress) == "no policy selects the workload"
    assert str(verdict.ingress) == "NetworkPolicy shop/db ingress[0]"
    (outside,) = found(views, "203.0.113.9", "10.0.1.3", 5432)
    assert [node for node, _ in outside.legs] == ["east"]
    assert views.judge(outside).reason is Reason.POLICY_DENIED


def test_a_service_is_seen_from_where_its_client_runs() -> None:
    local = TEXT.replace("type: NodePort", "type: NodePort\n  internalTrafficPolicy: Local")
    (way,) = found(mesh(local), "10.0.1.4", "10.96.0.9", 5432)
    assert str(way.flow.dst) == "10.0.1.3"
    (way,) = found(mesh(local), "10.0.0.1", "10.96.0.9", 5432)
    assert str(way.flow.dst) == "10.0.0.2"


def test_a_node_port_asked_for_from_inside_is_a_sockets_choice() -> None:
    for node in ("192.0.2.30", "192.0.2.31"):
        chosen = found(mesh(), "10.0.0.1", node, 30432)
        assert [str(way.flow.dst) for way in chosen] == ["10.0.0.2", "10.0.1.3"]
        assert all(way.served and way.served.at_socket for way in chosen)


def test_a_client_outside_is_spoken_for_where_the_backend_is_elsewhere() -> None:
    views = mesh()
    near, far = found(views, CLIENT, "192.0.2.30", 30432)
    assert told(views, near) == (CLIENT, "10.0.0.2", "ALLOWED")
    assert near.words == ("comes in at node west", "stays on node west")
    # the backend's policy sees the node that speaks for the client
    assert told(views, far) == ("192.0.2.30", "10.0.1.3", "POLICY_DENIED")
    assert far.words == (
        "comes in at node west",
        "goes on as 192.0.2.30 of node west",
        "by the network's routes to node east",
    )


def test_with_dsr_the_client_keeps_its_address() -> None:
    views = mesh(load_balancing="dsr")
    _, far = found(views, CLIENT, "192.0.2.30", 30432)
    assert told(views, far) == (CLIENT, "10.0.1.3", "ALLOWED")
    assert far.words[-1] == "goes on unchanged to node east, which answers itself"


def test_local_external_traffic_stays_on_the_node_that_was_asked() -> None:
    local = TEXT.replace("type: NodePort", "type: NodePort\n  externalTrafficPolicy: Local")
    for node, backend in (("192.0.2.30", "10.0.0.2"), ("192.0.2.31", "10.0.1.3")):
        (way,) = found(mesh(local), CLIENT, node, 30432)
        assert (str(way.flow.src), str(way.flow.dst)) == (CLIENT, backend)


def test_a_cluster_address_is_not_served_to_the_outside() -> None:
    views = mesh()
    (way,) = found(views, CLIENT, "10.96.0.9", 5432)
    assert way.served is None
    assert views.judge(way).reason is Reason.NO_SERVICE_PORT


def test_source_ranges() -> None:
    text = TEXT.replace("type: NodePort", "type: LoadBalancer") + (
        "---\nkind: Service\nmetadata: {name: gate}\n"
        "spec: {type: LoadBalancer, clusterIP: 10.96.0.8, selector: {app: web}, "
        "ports: [{port: 80}], loadBalancerSourceRanges: [203.0.113.0/24]}\n"
        "status: {loadBalancer: {ingress: [{ip: 198.18.0.1}]}}\n"
    )
    views = mesh(text)
    (way,) = found(views, CLIENT, "198.18.0.1", 80)
    assert way.drop is Reason.SOURCE_RANGE
    (way,) = found(views, "203.0.113.9", "198.18.0.1", 80)
    assert way.drop is None


def test_a_service_without_endpoint() -> None:
    views = mesh(TEXT.replace("selector: {app: db}", "selector: {app: none}"))
    (inside,) = found(views, "10.0.0.1", "10.96.0.9", 5432)
    (outside,) = found(views, CLIENT, "192.0.2.30", 30432)
    assert inside.drop is outside.drop is Reason.NO_BACKEND


def test_a_host_port_of_another_node_is_translated_there() -> None:
    views = mesh()
    port = ContainerPort(80, host_port=8080)
    far = replace(FAR, ports=(port,))
    world: World = replace(views.world, remote={"east": {far.key: far}})
    views = Views(world)
    (way,) = found(views, "10.0.0.1", "192.0.2.31", 8080)
    assert way.served is not None
    assert (way.served.node, way.served.at_socket) == ("east", False)
    assert [node for node, _ in way.legs] == ["west", "east"]
    assert told(views, way) == ("10.0.0.1", "10.0.1.3", "ALLOWED")


def test_what_leaves_the_mesh() -> None:
    (way,) = found(mesh(), "10.0.0.1", "203.0.113.9", 443)
    assert way.words == ("leaves the mesh masqueraded as 192.0.2.30 of node west",)
    (way,) = found(mesh(), "203.0.113.9", "203.0.113.10", 443)
    assert (way.words, way.legs) == ((), ())
