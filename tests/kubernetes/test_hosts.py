"""A plain host joins a cluster's mesh: what it runs is known, listed and judged as pods are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import Clusters
from tests.e2e.mesh import Mesh, admit, service, tulle, wait_for
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.test_first_slice import ip_of, pod
from tulle.install.crds import crds as definitions
from tulle.install.crds import without_cel
from tulle.install.plain import settled, usual
from tulle.install.rbac import READER, roles
from tulle.lab import node
from tulle.lab.cluster import Cluster as Lab

Json = dict[str, Any]
SHORT = "hosts"
USER = "a-host"
ROUTING = ("--routing", "vxlan")
RANGES = ("10.250.1.0/24", "fd00:7a11:0:250::/64")  # none that the lab's node was made with


@dataclass
class Joined:
    """Node `a` of a cluster, and a host beside it that may be `web`, `caller` and nobody else."""

    plane: ControlPlane
    a: Mesh
    host: Mesh
    ranges: tuple[str, ...]

    def join(self) -> None:
        access = str(self.plane.kubeconfig("host", USER))
        words = [word for cidr in self.ranges for word in ("--pod-cidr", cidr)]
        self.host.tulle("up", "-d", "--kubernetes", access, "--join", *ROUTING, *words)

    def condition(self, name: str, kind: str) -> tuple[str, str]:
        """Its status and message."""
        found = self.plane.kubectl.get("meshnode", name) or {}
        conditions = found.get("status", {}).get("conditions", [])
        return next(
            ((c["status"], c["message"]) for c in conditions if c["type"] == kind), ("", "")
        )

    def slices(self) -> list[Json]:
        label = "endpointslice.kubernetes.io/managed-by"
        found = self.plane.kubectl.list("endpointslice", "-n", "shop")
        return [item for item in found if item["metadata"]["labels"].get(label) == "tulle.io"]

    def may(self, verb: str, resource: str, name: str = "", namespace: str = "") -> bool:
        plural, _, group = resource.partition(".")
        asked = {"verb": verb, "group": group, "resource": plural, "name": name}
        spec = {"user": USER, "resourceAttributes": {**asked, "namespace": namespace}}
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        words = ("create", "-f", "-", "-o", "json")
        review = self.plane.kubectl(*words, stdin=json.dumps({**kind, "spec": spec}))
        return bool(json.loads(review)["status"]["allowed"])


@pytest.fixture(scope="module")
def joined(crds: ControlPlane, clusters: Clusters) -> Iterator[Joined]:
    own = [without_cel(item) for item in settled(definitions(), usual())]
    own = [item for item in own if item["spec"]["names"]["kind"].startswith("Mesh")]
    crds.kubectl.apply(*own, manager="tests")  # with all that they judge
    lab = Lab(f"e2e-{os.getpid()}-{SHORT}")
    crds.connect(lab)
    admin = crds.kubeconfig("agent", "tulle", "system:masters")
    try:
        options = ("--kubernetes", str(admin), "--duties", *ROUTING)
        with clusters(SHORT, ["a"], *options) as made:
            a, host = made["a"], Mesh(f"{lab.name}-h")
            crds.make_node(lab, a.name)
            crds.make_namespace("shop")
            node.create_in(lab, host.name)
            try:
                allow(crds, host.name)
                story = Joined(crds, a, host, RANGES)
                story.join()
                yield story
            finally:
                host.stop()
    finally:
        crds.disconnect()


def allow(plane: ControlPlane, host: str) -> None:
    reads = [item for item in settled(roles(), usual()) if item["metadata"]["name"] == READER]
    workloads = [word for name in ("web", "caller") for word in ("--workload", f"shop/{name}")]
    text = tulle("host", host, *workloads, "--user", USER, "-n", "default")
    plane.kubectl.apply(*reads, *yaml.safe_load_all(text))


def make_known(plane: ControlPlane, a: Mesh, name: str) -> None:
    """As a Pod: so it would be on a node with a kubelet."""
    plane.kubectl.apply(pod(name, name, a.name))
    ip = ip_of(a, name)
    status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}
    patch = json.dumps({"status": status})
    plane.kubectl(
        "patch", "pod", "-n", "shop", name, "--subresource=status", "--type=merge", "-p", patch
    )


def test_what_a_host_runs_is_reached_by_service_and_judged_by_labels(joined: Joined) -> None:
    plane, a, host = joined.plane, joined.a, joined.host
    for name in ("client", "stranger"):
        a.run(name, "sleep", "inf")
        make_known(plane, a, name)
    host.serve("web")
    plane.kubectl.apply(service("web", "web", port=80))
    found = plane.kubectl.get("service", "web", "shop")
    assert found is not None
    url = f"http://{found['spec']['clusterIP']}/"
    wait_for(lambda: a.get_http("client", url) == "web", 30.0)
    assert a.get_http("stranger", url) == "web"
    assert host.status()["problems"] == []  # it has routes, from an address of these ranges
    assert {item["addressType"] for item in joined.slices()} == {"IPv4", "IPv6"}
    plane.kubectl.apply(admit("web", "web", "client", "caller"))
    wait_for(lambda: a.get_http("stranger", url, timeout_s=0.5) == "", 20.0)
    assert a.get_http("client", url) == "web"
    for client, verdict in (("client", "FORWARDED"), ("stranger", "DROPPED")):
        words = ("explain", f"shop/{client}", "shop/web", "--port", "80")
        assert verdict in a.tulle(*words, check=False)
    assert host.name in {row["name"] for row in a.get("nodes")}
    assert ("web", host.name) in {(row["name"], row["node"]) for row in a.get("pods")}
    wait_for(lambda: joined.condition(host.name, "Ready")[0] == "True", 20.0)
    assert joined.condition(host.name, "Accepted")[0] == "True"


def test_in_the_cluster_it_is_who_its_labels_say(joined: Joined) -> None:
    a, host = joined.a, joined.host
    a.serve("door")
    host.run("caller", "sleep", "inf")
    joined.plane.kubectl.apply(admit("door", "door", "caller"))
    found = joined.plane.kubectl.get("service", "web", "shop")
    assert found is not None
    url = f"http://{found['spec']['clusterIP']}/"
    wait_for(lambda: host.get_http("caller", url, timeout_s=0.5) == "web", 20.0)
    url = f"http://{ip_of(a, 'door')}:8080/"
    wait_for(lambda: host.get_http("caller", url, timeout_s=0.5) == "door", 20.0)
    wait_for(lambda: host.get_http("web", url, timeout_s=0.5) == "", 20.0)


def test_it_may_do_nothing_but_tell_of_itself(joined: Joined) -> None:
    host = joined.host
    assert joined.may("patch", "meshnodes.tulle.io", host.name)
    assert not joined.may("patch", "meshnodes.tulle.io", "another")
    assert not joined.may("list", "secrets", namespace="shop")
    host.run("other", "sleep", "inf")
    wait_for(lambda: any("shop/other" in item for item in host.status()["problems"]), 20.0)
    assert joined.plane.kubectl.get("meshworkload", "other", "shop") is None
    assert joined.plane.kubectl.get("meshworkload", "caller", "shop")


def test_a_range_that_a_node_has_is_no_hosts(joined: Joined) -> None:
    (taken,) = (row["pod_cidrs"][0] for row in joined.a.get("nodes") if row["this"])
    thief = {
        "apiVersion": "tulle.io/v1alpha1",
        "kind": "MeshNode",
        "metadata": {"name": "0-thief"},
        "spec": {"addresses": ["192.0.2.9"], "podCIDRs": [taken]},
    }
    joined.plane.kubectl.apply(thief)
    wait_for(lambda: "overlaps that of node" in joined.condition("0-thief", "Accepted")[1], 20.0)
    assert joined.condition("0-thief", "Ready")[0] == "False", "it has no Lease"
    assert "0-thief" not in {row["name"] for row in joined.a.get("nodes")}
    joined.plane.kubectl.delete(thief)


def test_one_that_is_gone_backs_nothing_until_it_is_back(joined: Joined) -> None:
    plane, a, host = joined.plane, joined.a, joined.host
    found = plane.kubectl.get("service", "web", "shop")
    assert found is not None
    url = f"http://{found['spec']['clusterIP']}/"
    host.kill_agent()
    assert a.get_http("client", url) == "web", "what is in force outlives the agent"
    wait_for(lambda: not joined.slices(), 40.0)
    wait_for(lambda: a.get_http("client", url, timeout_s=0.5) == "")
    wait_for(lambda: plane.kubectl.get("meshworkload", "web", "shop") is None)
    wait_for(lambda: joined.condition(host.name, "Ready")[0] == "False")
    joined.join()
    wait_for(lambda: a.get_http("client", url, timeout_s=0.5) == "web", 20.0)
    assert a.get_http("stranger", url, timeout_s=0.5) == ""
    wait_for(lambda: joined.condition(host.name, "Ready")[0] == "True", 20.0)


def test_one_that_is_taken_down_leaves_nothing(joined: Joined) -> None:
    plane, host = joined.plane, joined.host
    host.stop()
    assert plane.kubectl.get("meshnode", host.name) is None
    assert plane.kubectl.list("meshworkload", "-n", "shop") == []
    assert plane.kubectl.get("lease", f"tulle-host-{host.name}", "default") is None
    wait_for(lambda: not joined.slices())
