"""Who is where, when nodes contradict each other or the user."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from tulle.agent.mesh import mesh, placed, underlay_of, uplink_addresses
from tulle.agent.nodes import Others
from tulle.agent.published import NodeState, node_object
from tulle.model.kubernetes import (
    Container,
    NodeAddress,
    NodeObject,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodSpec,
)
from tulle.model.world import Node, Workload


def node(name: str, number: int, **more: object) -> Node:
    addresses = (ip_address(f"192.0.2.{number}"), ip_address(f"10.244.{number}.1"))
    cidrs = (ip_network(f"10.244.{number}.0/24"),)
    return Node(name, addresses, pod_cidrs=cidrs, **more)  # type: ignore[arg-type]


def web(name: str, number: int, on: str = "") -> Workload:
    return Workload("shop", name, {}, (ip_address(f"10.244.{number}.2"),), 0, node=on)


def others(*nodes: tuple[Node, list[Workload]]) -> Others:
    return Others(
        {
            item.name: NodeState(
                node_object(item, ""), {workload.key: workload for workload in workloads}, {}
            )
            for item, workloads in nodes
        }
    )


A, B, C = node("a", 1), node("b", 2), node("c", 3)


def test_other_nodes_and_their_workloads() -> None:
    seen = mesh(A, {("shop", "x"): web("x", 1)}, others((B, [web("y", 2, "b")])), {})
    assert set(seen.nodes) == {"b"} and set(seen.remote["b"]) == {("shop", "y")}
    assert seen.nodes["b"].underlay == ip_address("192.0.2.2")
    assert not seen.refusals


def test_what_stays_is_the_same_object() -> None:
    local, told = {("shop", "x"): web("x", 1)}, others((B, [web("y", 2, "b")]), (C, []))
    before = mesh(A, local, told, {})
    after = mesh(A, local, told, {}, before)
    assert after.node is before.node and after.nodes is before.nodes
    assert after.remote == before.remote
    assert all(after.remote[name] is before.remote[name] for name in "bc")
    assert after.workloads is before.workloads


def test_two_nodes_cannot_have_one_pod_range() -> None:
    thief = Node("z", (ip_address("192.0.2.9"),), pod_cidrs=(ip_network("10.244.2.128/25"),))
    seen = mesh(A, {}, others((B, []), (thief, [web("y", 2, "z")])), {})
    assert set(seen.nodes) == set(seen.remote) == {"b"}
    (refusal,) = seen.refusals
    assert str(refusal.ref) == "Node z"
    assert "10.244.2.128/25 overlaps that of node b" in refusal.reason
    first = Node("0", (ip_address("192.0.2.9"),), pod_cidrs=A.pod_cidrs)
    assert not mesh(A, {}, others((first, [])), {}).nodes, "its own range is never given away"


def test_one_name_is_in_one_place_on_every_node_alike() -> None:
    on_a, on_b = {("shop", "x"): web("x", 1)}, {("shop", "x"): web("x", 2)}
    at_a = mesh(A, on_a, others((B, [web("x", 2, "b")])), {})
    at_b = mesh(B, on_b, others((A, [web("x", 1, "a")])), {})
    assert at_a.workloads and not at_a.remote["b"]
    assert not at_b.workloads and at_b.remote["a"]
    for seen in (at_a, at_b):
        assert [str(item.ref) for item in seen.refusals] == ["Pod shop/x"]
        assert "runs on node a already" in seen.refusals[0].reason
    again = mesh(B, on_b, others((A, [web("x", 1, "a")])), {}, at_b)
    assert again.refusals == at_b.refusals and not again.workloads


def test_the_users_node_object_adds_to_what_the_node_says() -> None:
    written = NodeObject(
        ObjectMeta("b", labels={"zone": "z", "mine": "1"}),
        status=NodeStatus((NodeAddress("203.0.113.7", "ExternalIP"),)),
    )
    told = others((node("b", 2, labels={"zone": "y"}), []))
    seen = mesh(A, {}, told, {"b": written, "w": NodeObject(ObjectMeta("w"))})
    assert seen.nodes["b"].labels == {"zone": "y", "mine": "1"}
    assert seen.nodes["b"].addresses[-1] == ip_address("203.0.113.7")
    assert seen.nodes["b"].underlay == ip_address("192.0.2.2")
    assert seen.nodes["w"].addresses == ()
    assert mesh(B, {}, Others(), {"b": written}).node.labels == {"zone": "z", "mine": "1"}


def test_of_another_plugins_addresses_each_has_one_owner_and_no_node_has_ranges() -> None:
    own, told = {("shop", "x"): web("x", 7)}, [web("y", 7, "b"), web("z", 8, "b")]
    b = NodeObject(ObjectMeta("b"), spec=NodeSpec(pod_cidrs=("10.9.0.0/24",)))
    away = Others({"b": NodeState(b, {item.key: item for item in told}, {})})
    mine = NodeObject(ObjectMeta("a"), spec=NodeSpec(pod_cidrs=("10.8.0.0/24",)))
    at = Node("a", (ip_address("192.0.2.1"),))
    seen = mesh(at, own, away, {"a": mine}, chained=True)
    assert seen.node.pod_cidrs == ()
    assert list(seen.remote["b"]) == [("shop", "z")]
    (refusal,) = seen.refusals
    assert "10.244.7.2 belongs to Pod shop/x" in refusal.reason
    same = mesh(at, own, away, {"a": mine}, seen, chained=True)
    assert same.remote["b"] == seen.remote["b"] and same.refusals == seen.refusals


def test_the_overlay_uses_a_family_that_both_ends_have() -> None:
    both = Node("x", (ip_address("192.0.2.1"), ip_address("2001:db8::1")))
    six = Node("y", (ip_address("2001:db8::2"),))
    four = Node("z", (ip_address("192.0.2.3"),))
    assert underlay_of(both, both) == ip_address("192.0.2.1")
    assert underlay_of(both, six) == ip_address("2001:db8::1")
    assert underlay_of(four, six) is None
    assert uplink_addresses(A) == [ip_address("192.0.2.1")]


def pod(on: str = "") -> Pod:
    return Pod(ObjectMeta("p", "shop"), PodSpec((Container("c"),), node_name=on))


def test_pods_run_where_they_are_told() -> None:
    pods = {("s", "here"): pod("a"), ("s", "there"): pod("b"), ("s", "lost"): pod("q")}
    mine, pending = placed(pods, Node("a"), {"b"}, (), {})
    assert set(mine) == {("s", "here")}
    assert pending == {("s", "lost"): "spec.nodeName: there is no node 'q'"}


def test_a_pod_runs_only_where_the_labels_are_that_it_asks_for() -> None:
    spec = PodSpec((Container("c"),), node_selector={"disk": "ssd"})
    pods = {("s", "p"): Pod(ObjectMeta("p", "s"), spec)}
    assert set(placed(pods, Node("a", labels={"disk": "ssd"}), (), (), {})[0]) == set(pods)
    mine, pending = placed(pods, Node("a", labels={"disk": "hdd"}), (), (), {})
    assert mine == {}
    assert pending == {("s", "p"): "spec.nodeSelector: node a has not these labels"}


def test_a_pod_that_does_not_say_where_runs_where_there_is_no_choice() -> None:
    pods = {("s", "p"): pod(), ("s", "old"): pod()}
    assert set(placed(pods, Node("a"), (), (), {})[0]) == set(pods)
    mine, pending = placed(pods, Node("a"), {"b"}, {("s", "old")}, {})
    assert set(mine) == {("s", "old")}, "what runs already stays where it is"
    assert "set spec.nodeName" in pending["s", "p"]
    remote = {"b": {("s", "p"): web("p", 2, on="b")}}
    assert placed(pods, Node("a"), {"b"}, {("s", "old")}, remote)[1] == {}, (
        "it runs on the other node"
    )


def test_a_pod_that_two_nodes_have_started_stays_on_one() -> None:
    key = ("shop", "x")
    for at, name, number in ((A, "b", 2), (B, "a", 1)):
        other = B if at is A else A
        own = {key: web("x", 3 - number)}
        seen = mesh(at, own, others((other, [web("x", number, name)])), {})
        mine, pending = placed({key: pod()}, at, seen.nodes, own, seen.remote)
        assert set(mine) == ({key} if at is A else set())
        assert not pending
