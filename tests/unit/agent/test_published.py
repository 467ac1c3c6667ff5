"""What nodes tell each other: nothing is lost on the way, and nothing foreign is believed."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
import pytest

from tulle.agent.published import decode, encode, node_object, world_node
from tulle.errors import Refused
from tulle.model.kubernetes import ContainerPort
from tulle.model.world import Node, Workload

NODE = Node(
    "a",
    (ip_address("192.0.2.10"), ip_address("10.244.3.1")),
    labels={"topology.kubernetes.io/zone": "z"},
    pod_cidrs=(ip_network("10.244.3.0/24"), ip_network("fd00:7a11:0:244:3::/80")),
    ingress=(ip_address("10.244.3.254"), ip_address("fd00:7a11:0:244:3::fe")),
)
OBJECT = node_object(NODE, "2026-01-01T00:00:00Z")
WEB = Workload(
    "shop",
    "web-1",
    {"app": "web"},
    (ip_address("10.244.3.7"), ip_address("fd00:7a11:0:244:3::7")),
    0,
    (ContainerPort(8080, "http"),),
    weight=3,
    ready=False,
    terminating=True,
    service_account="seller",
    node="a",
)
OTHER = replace(WEB, name="web-2")


def changed(change: Any) -> bytes:
    """The file, after `change` has had its way with it."""
    document = msgspec.json.decode(encode(OBJECT, [WEB]))
    change(document)
    return msgspec.json.encode(document)


def test_what_is_told_is_what_is_known() -> None:
    state = decode(encode(OBJECT, [replace(WEB, ifindex=7, node="")]), "a")
    assert dict(state.workloads) == {WEB.key: WEB}
    assert world_node(state.node) == replace(NODE, service_cidrs=Node().service_cidrs)


def test_the_order_of_workloads_makes_no_news() -> None:
    assert encode(OBJECT, [WEB, OTHER]) == encode(OBJECT, [OTHER, WEB])


def test_what_has_not_changed_is_the_same_object() -> None:
    first = decode(encode(OBJECT, [WEB, OTHER]), "a")
    second = decode(encode(OBJECT, [WEB, replace(OTHER, ready=True)]), "a", first)
    assert second.workloads[WEB.key] is first.workloads[WEB.key]
    assert second.workloads[OTHER.key].ready
    third = decode(encode(OBJECT, [WEB, replace(OTHER, ready=True)]), "a", second)
    assert third.workloads is second.workloads and third.node is first.node


def test_a_pod_without_an_address_or_that_has_ended_is_nowhere() -> None:
    for status in ({"phase": "Pending"}, {"phase": "Failed", "podIPs": [{"ip": "10.244.3.9"}]}):
        data = changed(lambda file, status=status: file["pods"][0].update(status=status))
        assert not decode(data, "a").workloads


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f["node"]["metadata"].update(name="b"), "says that it is of the node 'b'"),
        (lambda f: f["pods"][0].update(kind="Node"), "Invalid enum value 'Node'"),
        (
            lambda f: f["node"]["status"].update(
                addresses=[{"type": "InternalIP", "address": "x"}]
            ),
            "status.addresses",
        ),
        (lambda f: f.update(more=1), "unknown field"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(change: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        decode(changed(change), "a")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda pod: pod["spec"].update(nodeName="b"), "spec.nodeName"),
        (lambda pod: pod["spec"].update(serviceAccountName="a;b"), "spec.serviceAccountName"),
        (lambda pod: pod["metadata"].update(namespace="A"), "metadata.namespace"),
        (lambda pod: pod["metadata"].update(labels={"a b": ""}), "metadata.labels"),
        (
            lambda pod: pod["status"].update(podIPs=[{"ip": "10.244.9.9"}]),
            "status.podIPs[0].ip: is not in its node's podCIDRs",
        ),
        (lambda pod: pod["status"].update(podIPs=[{"ip": "::1"}]), "loopback"),
        (
            lambda pod: pod["metadata"]["annotations"].update({"tulle.io/weight": "-1"}),
            "whole number",
        ),
    ],
)
def test_a_pod_that_makes_no_sense_is_refused_alone(change: Any, reason: str) -> None:
    def spoil(file: Any) -> None:
        file["pods"].append(msgspec.json.decode(encode(OBJECT, [OTHER]))["pods"][0])
        change(file["pods"][0])

    state = decode(changed(spoil), "a")
    assert set(state.workloads) == {OTHER.key}
    (refusal,) = state.refusals
    assert reason in refusal.reason and refusal.ref.kind == "Pod"
    assert decode(changed(spoil), "a", state).refusals == state.refusals


def test_a_pod_is_judged_anew_when_its_nodes_ranges_have_changed() -> None:
    before = decode(encode(OBJECT, [WEB]), "a")
    moved = node_object(replace(NODE, pod_cidrs=(ip_network("10.244.9.0/24"),)), "")
    after = decode(encode(moved, [WEB]), "a", before)
    assert not after.workloads and "podCIDRs" in after.refusals[0].reason
    assert decode(encode(OBJECT, [WEB]), "a", after).workloads == before.workloads


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"null", b'{"node":', b"{}"])
def test_what_is_no_such_file_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        decode(data, "a")
