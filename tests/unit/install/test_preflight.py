"""What must not be installed over is refused by its name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tulle.edges.kubernetes.discovery import Discovered, Resource
from tulle.install.preflight import Facts, NodeFacts, findings
from tulle.install.values import chosen

from .fake import node

API = "https://10.0.0.1:6443"
SLICES = Resource("discovery.k8s.io", "v1beta1", "endpointslices", "EndpointSlice", True)


def server(minor: int, *resources: Resource) -> Discovered:
    return Discovered(
        f"v1.{minor}.0", minor, {(item.group_version, item.kind): item for item in resources}
    )


def refused(
    *nodes: dict[str, Any],
    daemons: frozenset[str] = frozenset(),
    discovered: Discovered | None = None,
    before: str = "",
    **given: Any,
) -> list[str]:
    facts = Facts(
        discovered or server(30, SLICES),
        [msgspec.convert(item, NodeFacts) for item in nodes or (node("a"),)],
        daemons,
        before,
    )
    values = chosen({"apiServer": API, **given})
    return [str(item) for item in findings(facts, values) if item.level == "refused"]


def test_a_usual_cluster_is_fit() -> None:
    assert refused() == []
    assert refused(daemons=frozenset({"kube-proxy"}), apiServer="") == []


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([node("old", kernelVersion="5.15.0")], "node old: Linux 5.15.0; 6.6 is needed"),
        ([node("b", architecture="s390x")], "node b: s390x: the image is for amd64 and arm64"),
        ([{**node("c"), "spec": {}}], "node c: has no podCIDR: start kube-controller-manager"),
    ],
)
def test_nodes(nodes: list[dict[str, Any]], reason: str) -> None:
    (found,) = refused(*nodes)
    assert found.startswith(reason)


def test_nodes_of_other_systems_are_left_alone() -> None:
    windows = node("w", operatingSystem="windows", kernelVersion="10.0.20348")
    assert refused(windows) == []


def test_another_cni_is_refused() -> None:
    for daemon in ("calico-node", "aws-node", "kube-flannel-ds", "cilium"):
        (found,) = refused(daemons=frozenset({daemon}))
        assert found.startswith(f"DaemonSet {daemon}: ")


def test_another_cni_can_be_followed_without_pod_cidrs() -> None:
    for daemons in (frozenset[str](), frozenset({"aws-node"}), frozenset({"calico-node"})):
        assert not refused({**node("c"), "spec": {}}, daemons=daemons, **{"cni.chained": True})
    (found,) = refused(daemons=frozenset({"cilium"}), **{"cni.chained": True})
    assert found.startswith("DaemonSet cilium")


def test_without_kube_proxy_the_api_server_has_to_be_said() -> None:
    (found,) = refused(apiServer="")
    assert found.startswith("apiServer: has to be said where no kube-proxy runs")


def test_the_server() -> None:
    assert refused(discovered=server(20, SLICES)) == []
    assert refused(discovered=server(19, SLICES)) == [
        "API server v1.19.0: Tulle is written for Kubernetes 1.20 or newer"
    ]
    (found,) = refused(discovered=server(30))
    assert found.startswith("EndpointSlices: are not served")


def test_a_newer_version_is_not_gone_under() -> None:
    assert refused(before="0.1.0") == []
    (found,) = refused(before="7.0.0")
    assert found.startswith("version 7.0.0: is installed, and newer than")
