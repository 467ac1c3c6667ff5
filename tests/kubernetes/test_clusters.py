"""Two clusters on one network: a Service of both, identities across, and one without the other."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import assert_gone
from tests.e2e.mesh import Mesh, admit, service, tulle, wait_for
from tests.kubernetes.control_plane import ControlPlane, control_plane
from tests.kubernetes.crds import definitions
from tests.kubernetes.kubectl import Json
from tests.kubernetes.objects import listing, pod, say_running
from tulle.agent.kube.population import REMEMBER_S
from tulle.install.rbac import sharing
from tulle.lab import node
from tulle.lab.cluster import Cluster
from tulle.model.paths import NodePaths

SERVER = Path(__file__).parents[1] / "e2e" / "server.py"
FROM_EAST = {"app": "client", "io.cilium.k8s.policy.cluster": "east"}
# all kinds of ours that are needed: others would only cost time
POLICIES = [
    item for item in definitions() if item["spec"]["names"]["kind"] == "CiliumNetworkPolicy"
]
MCS = list(yaml.safe_load_all((Path(__file__).parent / "mcs.yaml").read_text()))
RBAC = "rbac.authorization.k8s.io/v1"


@dataclass
class Side:
    """A cluster of one node, with a server and a client that are called as those of the other."""

    name: str
    plane: ControlPlane
    node: Mesh
    words: tuple[str, ...]  # of its agent
    kubeconfig: Path
    ips: dict[str, str]
    url: str = ""

    def start(self) -> None:
        self.node.tulle("up", "-d", *self.words)

    def list_web(self) -> None:
        self.plane.kubectl.apply(listing("web-1", "web", self.node.name, self.ips["web"]))

    def unlist_web(self) -> None:
        self.plane.kubectl("delete", "endpointslice", "-n", "shop", "web-1")

    def ask(self, timeout_s: float = 1.0) -> str:
        return self.node.get_http_direct("client", self.url, timeout_s)

    def joined(self) -> Json:
        found: Json = self.node.status()["kubernetes"]["clusters"]["joined"]
        return found


@pytest.fixture(scope="module")
def sides() -> Iterator[dict[str, Side]]:
    lab = Cluster(f"two-{os.getpid()}")
    with ExitStack() as stack:
        found: dict[str, Side] = {}
        planes: dict[str, ControlPlane] = {}
        for number, name in ((5, "east"), (6, "west")):
            plane = stack.enter_context(control_plane(f"{name}-{os.getpid()}", number))
            plane.kubectl.apply(*POLICIES, *MCS, manager="tests")
            plane.connect(lab)
            stack.callback(plane.disconnect)
            planes[name] = plane
        for name, plane in planes.items():
            own = Mesh(f"{lab.name}-{name}")
            node.create_in(lab, own.name)
            stack.callback(tulle, "lab", "down", own.name)
            found[name] = make(name, plane, lab, own)
        for side, other in (("east", "west"), ("west", "east")):
            found[side].plane.kubectl.apply(leading(found[side], found[other]))
        for side in found.values():
            wait_for(lambda side=side: all(i["synced"] for i in side.joined().values()), 40)
        yield found
    assert_gone(lab.name)


def make(name: str, plane: ControlPlane, lab: Cluster, own: Mesh) -> Side:
    plane.make_node(lab, own.name)
    plane.make_namespace("shop")
    plane.kubectl.apply(*reader())
    access = plane.kubeconfig("agent", "tulle", "system:masters")
    words = ("--kubernetes", str(access), "--cluster-name", name, "--routing", "vxlan", "--duties")
    side = Side(name, plane, own, words, plane.kubeconfig("peer", "peer"), {})
    side.start()
    own.run("web", sys.executable, str(SERVER), name)  # it answers with its cluster's name
    own.run("client", "sleep", "inf")
    for each in ("web", "client"):
        found = own.exec(each, "ip", "-4", "-o", "address", "show", "scope", "global")
        side.ips[each] = found.split(" inet ")[1].split("/")[0]
        plane.kubectl.apply(pod(each, each, own.name))
        say_running(plane, each, side.ips[each])
    shared = service("web", "web")
    shared["metadata"]["annotations"] = {"tulle.io/global": "true"}
    plane.kubectl.apply(shared)
    side.list_web()
    given = plane.kubectl.get("service", "web", "shop")
    assert given is not None
    side.url = f"http://{given['spec']['clusterIP']}/"
    return side


def reader() -> list[Json]:
    """What the other cluster may do here, and who it is."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "peer"}
    return [
        {
            "apiVersion": RBAC,
            "kind": "ClusterRole",
            "metadata": {"name": "peer"},
            "rules": sharing(),
        },
        {
            "apiVersion": RBAC,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "peer"},
            "roleRef": role,
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "peer"}],
        },
    ]


def cilium_policy(spec: Json) -> Json:
    """Of the servers."""
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "across", "namespace": "shop"},
        "spec": {"endpointSelector": {"matchLabels": {"app": "web"}}, **spec},
    }


def leading(side: Side, other: Side) -> Json:
    """The Secret by which a side is joined with the other."""
    content = base64.b64encode(other.kubeconfig.read_bytes()).decode()
    labels = {"tulle.io/cluster": other.name}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": other.name, "namespace": "default", "labels": labels},
        "data": {"kubeconfig": content},
    }


def test_a_request_stays_where_it_can_be_answered(sides: dict[str, Side]) -> None:
    for name, side in sides.items():
        wait_for(lambda side=side, name=name: side.ask() == name, 20)
        assert {side.ask() for _ in range(10)} == {name}


def test_without_anybody_here_the_other_cluster_answers(sides: dict[str, Side]) -> None:
    east, west = sides["east"], sides["west"]
    east.unlist_web()
    wait_for(lambda: east.ask() == "west")
    assert west.ask() == "west"
    east.list_web()
    wait_for(lambda: east.ask() == "east")


def test_a_policy_means_its_own_cluster_unless_it_names_another(sides: dict[str, Side]) -> None:
    """The other's client bears the same labels, in a namespace of the same name."""
    east, west = sides["east"], sides["west"]
    url = f"http://{west.ips['web']}:8080/"
    ask = partial(east.node.get_http_direct, "client", url, 0.5)
    wait_for(lambda: ask() == "west")
    west.plane.kubectl.apply(admit("web", "web", "client"))
    wait_for(lambda: ask() == "")
    assert west.ask() == "west"
    both = cilium_policy({"ingress": [{"fromEndpoints": [{"matchLabels": FROM_EAST}]}]})
    west.plane.kubectl.apply(both)
    wait_for(lambda: ask() == "west")  # by VXLAN, so both nodes give it one number
    none = cilium_policy({"ingressDeny": [{"fromEndpoints": [{"matchLabels": FROM_EAST}]}]})
    west.plane.kubectl.apply(none)
    wait_for(lambda: ask() == "")
    assert west.ask() == "west"
    denied = west.node.flows("--verdict", "DROPPED", "--to-ip", west.ips["web"])
    assert denied
    west.plane.kubectl.delete(none, admit("web", "web", "client"))
    wait_for(lambda: ask() == "west")


def exporting(name: str) -> Json:
    return {
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "kind": "ServiceExport",
        "metadata": {"name": name, "namespace": "shop"},
    }


def imported(side: Side, *clusters: str) -> Json:
    """The ServiceImport of `api`, as of these clusters."""

    def holds(item: Json) -> bool:
        said = item.get("status", {}).get("clusters", [])
        return sorted(each["cluster"] for each in said) == [*clusters]

    return side.plane.kubectl.wait("serviceimport", "api", "shop", holds)


def answers(side: Side) -> Iterator[str]:
    """Of the ServiceImport of `api`, as this side has it."""
    found = side.plane.kubectl.get("serviceimport", "api", "shop")
    assert found is not None
    url = f"http://{found['spec']['ips'][0]}/"
    return (side.node.get_http_direct("client", url, 0.3) for _ in range(8))


def condition(side: Side, name: str, kind: str, status: str) -> str:
    """Its reason, once it has that status."""
    found: list[str] = []

    def holds(item: Json) -> bool:
        said = item.get("status", {}).get("conditions", [])
        found[:] = [c["reason"] for c in said if (c["type"], c["status"]) == (kind, status)]
        return bool(found)

    side.plane.kubectl.wait("serviceexport", name, "shop", holds)
    return found[0]


def test_what_any_cluster_exports_all_have_under_one_name(sides: dict[str, Side]) -> None:
    """By an address and a name of the set's own; beside it each one's Service stays as it is."""
    east, west = sides["east"], sides["west"]
    for side in sides.values():
        side.plane.kubectl.apply(service("api", "web"))
        side.plane.kubectl.apply(listing("api-1", "api", side.node.name, side.ips["web"]))
    west.plane.kubectl.apply(exporting("api"), exporting("ghost"))
    made = imported(east, "west")
    assert made["spec"]["type"] == "ClusterSetIP"
    assert [port["port"] for port in made["spec"]["ports"]] == [80]
    url = f"http://{made['spec']['ips'][0]}/"
    ask = partial(east.node.get_http_direct, "client")
    wait_for(lambda: ask(url) == "west")
    name = "api.shop.svc.clusterset.local"
    wait_for(lambda: east.node.get_http("client", f"http://{name}/") == "west")
    wait_for(lambda: east.node.host("curl", "-s", "-m", "1", url, check=False) == "west")
    assert condition(west, "ghost", "Valid", "False") == "NoService"
    assert condition(west, "api", "Valid", "True") == "Valid"

    east.plane.kubectl.apply(exporting("api"))
    for side in sides.values():
        imported(side, "east", "west")
        wait_for(lambda side=side: name in side.node.exec("client", "cat", "/etc/hosts"))
        wait_for(lambda side=side: {*answers(side)} == {"east", "west"})
    assert {item["name"] for item in east.node.get("services")} >= {"api", "clusterset/api"}
    told = east.node.tulle("explain", "shop/client", "shop/clusterset/api", "--port", "80")
    assert "shop/west/web" in told and "shop/web" in told
    west.plane.kubectl.apply(admit("web", "web", "client"))  # those of its own cluster
    wait_for(lambda: {*answers(east)} == {"east", ""})
    wait_for(lambda: {*answers(west)} == {"east", "west"})
    west.plane.kubectl.delete(admit("web", "web", "client"))

    port = [{"op": "replace", "path": "/spec/ports/0/port", "value": 81}]
    east.plane.kubectl(
        "patch", "service", "api", "-n", "shop", "--type=json", "-p", json.dumps(port)
    )
    for side in sides.values():
        assert condition(side, "api", "Conflict", "True") == "PortConflict"
    for side in sides.values():
        side.plane.kubectl.delete(exporting("api"))
    wait_for(
        lambda: not any(s.plane.kubectl.get("serviceimport", "api", "shop") for s in sides.values())
    )
    wait_for(lambda: ask(url, 0.3) == "")


def test_pod_ranges_that_overlap_are_refused_and_the_rest_holds(sides: dict[str, Side]) -> None:
    east, west = sides["east"], sides["west"]
    ranges = east.node.get("nodes")[0]["pod_cidrs"]
    spec = {"podCIDR": ranges[0], "podCIDRs": ranges}
    thief = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}, "spec": spec}
    west.plane.kubectl.create(thief)

    def refused() -> dict[str, str]:
        return {item["object"]: item["reason"] for item in east.node.status()["refused"]}

    wait_for(lambda: "Node west/a" in refused())
    assert "overlaps" in refused()["Node west/a"]
    assert east.ask() == "east"
    west.plane.kubectl("delete", "node", "a")
    wait_for(lambda: "Node west/a" not in refused())


def test_what_the_other_said_holds_while_it_is_away(sides: dict[str, Side]) -> None:
    """Over a restart of the agent too."""
    east, west = sides["east"], sides["west"]
    east.unlist_web()
    wait_for(lambda: east.ask() == "west")
    memory = NodePaths(east.node.name).durable / "clusters" / "west" / "others.json"
    wait_for(lambda: west.ips["web"] in memory.read_text(), 2 * REMEMBER_S)
    west.plane.kill_api()
    try:
        assert east.ask() == "west"
        east.node.kill_agent()
        assert east.ask() == "west"
        east.start()
        wait_for(lambda: bool(east.node.status()["apply"]), 40)
        assert east.ask() == "west"
        assert not east.joined()["west"]["synced"]
        wait_for(lambda: east.joined()["west"]["age_s"] > 0)
    finally:
        west.plane.start_api()
    wait_for(lambda: east.joined()["west"]["synced"], 60)
    assert east.ask() == "west"


def test_a_cluster_that_is_left_is_gone(sides: dict[str, Side]) -> None:
    east, west = sides["east"], sides["west"]
    assert {item["name"] for item in east.node.get("nodes")} >= {f"west/{west.node.name}"}
    east.plane.kubectl("delete", "secret", "-n", "default", "west")
    wait_for(lambda: len(east.node.get("nodes")) == 1)
    assert east.ask(0.5) == ""
    assert not (NodePaths(east.node.name).durable / "clusters" / "west").exists()
