"""Two namespaces, one with Envoys of its own: what happens to these is not the other's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.conformance.ground import HERE
from tests.e2e.conformance.table import Json, route
from tests.e2e.conftest import Clusters
from tests.e2e.mesh import Cluster, wait_for
from tests.e2e.test_route_changes import assert_faultless, ended
from tulle.cli.client import Agent
from tulle.model.paths import NodePaths, place_of

SCOPE, MEMORY = "tulle.io/proxy-scope", "tulle.io/proxy-memory"
AWAY, FAR, NODE = "namespace/away", "service/away/far", "node"
LIMIT_BYTES = 256 << 20
KEPT, FRESH = 4, 2
MOVES = 4
POLICY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: reads, namespace: away}
spec:
  endpointSelector: {matchLabels: {app: far}}
  ingress:
    - fromEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": shop}}]
      toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{method: GET}]}}]
"""


class Town:
    """Services `shop/web` and `away/far` with a route each, and a client that asks both."""

    def __init__(self, cluster: Cluster) -> None:
        self.node = cluster["a"]
        self.agent = Agent(NodePaths(self.node.name))
        for namespace, name in (("shop", "web"), ("away", "far")):
            of = ("-n", namespace, "--name", name, "-l", f"app={name}")
            self.node.tulle("run", "-d", *of, "--", sys.executable, str(HERE / "echo.py"), name)
            parents = f'[{{group: "", kind: Service, name: {name}, port: 80}}]'
            rules = f"- backendRefs: [{{name: {name}, port: 80}}]"
            made = route(name, rules, parents=parents, hostnames="")
            made["metadata"]["namespace"] = namespace
            self.apply(service(namespace, name), made)
        self.node.run("client", "sleep", "inf")
        wait_for(lambda: len(self.envoys().get(NODE, ())) == 2)

    def apply(self, *objects: Json) -> None:
        answer = self.agent.post("/v1/apply", yaml.safe_dump_all(objects).encode())
        assert not answer["errors"], answer["errors"]

    def ask_for(self, kind: str, name: str, scope: str, memory: str = "") -> None:
        """By this object's annotations."""
        made = service("away", name) if kind == "Service" else {"apiVersion": "v1", "kind": kind}
        asked = {SCOPE: scope, **({MEMORY: memory} if memory else {})}
        meta = {**made.get("metadata", {"name": name}), "annotations": asked}
        self.apply({**made, "metadata": meta})

    def envoys(self) -> dict[str, list[int]]:
        """Pids of those that are ready, by scope."""
        found: dict[str, list[int]] = {}
        for item in self.node.get("proxies"):
            if item["state"] in ("serving", "standing by"):
                found.setdefault(item["scope"], []).append(item["pid"])
        return found

    def has_own(self, *scopes: str) -> bool:
        """Those scopes, and no others, have two Envoys each, and no more."""
        listed = [item["scope"] for item in self.node.get("proxies")]
        wanted = dict.fromkeys(scopes, 2)
        ready = {scope: len(pids) for scope, pids in self.envoys().items()}
        return ready == wanted and len(listed) == 2 * len(wanted)

    def status_of(self, method: str) -> str:
        """HTTP's answer of the service `far`; "000" is none."""
        words = ("-s", "-o", "/dev/null", "-m", "2", "-w", "%{http_code}", "-X", method)
        return self.node.tulle(
            *("exec", "-n", "shop", "client", "--", "curl", *words),
            f"http://{self.address_of('far')}/",
            check=False,
        )

    def address_of(self, service: str) -> str:
        [found] = [item for item in self.node.get("services") if item["name"] == service]
        return str(found["cluster_ips"][0])

    def load(self, name: str) -> subprocess.Popen[str]:
        where = (self.address_of(name), "80")
        words = (sys.executable, str(HERE / "stress.py"), *where, str(KEPT), str(FRESH))
        child = self.node.spawn("client", *words)
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        return child


@pytest.fixture(scope="module")
def town(clusters: Clusters) -> Iterator[Town]:
    with clusters("scope", ("a",)) as cluster:
        yield Town(cluster)


@pytest.fixture
def scoped(town: Town) -> Iterator[Town]:
    town.ask_for("Namespace", "away", "namespace", "256Mi")
    wait_for(lambda: town.has_own(NODE, AWAY), 45.0)
    yield town
    town.ask_for("Namespace", "away", "node")
    wait_for(lambda: town.has_own(NODE), 45.0)


def service(namespace: str, name: str) -> Json:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    meta = {"name": name, "namespace": namespace}
    spec = {"selector": {"app": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_one_namespaces_envoys_are_not_anothers(scoped: Town, number: signal.Signals) -> None:
    found = scoped.envoys()
    traffic = scoped.load("web")
    for pid in found[AWAY]:
        os.kill(pid, number)
    scoped.apply(service("shop", "other"))  # a pass, meanwhile
    for pid in found[AWAY]:
        if number == signal.SIGSTOP:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: scoped.has_own(NODE, AWAY), 45.0)
    assert_faultless(ended([traffic]))
    assert scoped.envoys()[NODE] == found[NODE]
    assert (scoped.envoys()[AWAY] == found[AWAY]) == (number == signal.SIGSTOP)
    again = scoped.load("far")
    assert_faultless(ended([again]), 0)


def test_its_memory_has_a_limit_of_its_own(scoped: Town) -> None:
    """Where the hierarchy can; where it cannot, that is told."""
    place = scoped.node.cgroup / "proxy" / place_of(AWAY)
    inside = {int(line) for file in place.glob("*/cgroup.procs") for line in file.open()}
    assert inside == set(scoped.envoys()[AWAY])
    limits = {item["scope"]: item["memory_limit_bytes"] for item in scoped.node.get("proxies")}
    problems = [text for text in scoped.node.status()["problems"] if MEMORY in text]
    if (place / "memory.max").exists():
        assert (place / "memory.max").read_text() == f"{LIMIT_BYTES}\n"
        assert (limits[AWAY], problems) == (LIMIT_BYTES, [])
    else:
        assert limits == {NODE: None, AWAY: None}
        assert len(problems) == 1 and problems[0].startswith(f"proxy of {AWAY}: ")


def test_rules_of_its_policies_are_enforced_there(scoped: Town) -> None:
    """And by nobody else: with its Envoys stopped, nothing passes that they should judge."""
    policy = yaml.safe_load(POLICY)
    scoped.apply(policy)
    try:
        wait_for(lambda: scoped.status_of("POST") == "403")
        assert scoped.status_of("GET") == "200"
        resources = {item["scope"]: item["resources"] for item in scoped.node.get("proxies")}
        assert (resources[AWAY]["listener"], resources[NODE]["listener"]) == (2, 1)
        for number, status in ((signal.SIGSTOP, "000"), (signal.SIGCONT, "200")):
            for pid in scoped.envoys()[AWAY]:
                os.kill(pid, number)
            assert scoped.status_of("GET") == status
    finally:
        scoped.node.delete(policy)


def test_a_change_of_scope_loses_no_request(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    traffic = [town.load("web"), town.load("far")]
    for number in range(MOVES):
        town.ask_for("Namespace", "away", ("namespace", "node")[number % 2])
        scopes = (NODE, AWAY) if number % 2 == 0 else (NODE,)
        wait_for(lambda: town.has_own(*scopes), 45.0)  # noqa: B023
    results = ended(traffic)
    with capsys.disabled():
        counts = [result[kind]["requests"] for result in results for kind in ("kept", "fresh")]
        lost = sum(result[kind]["failed"] for result in results for kind in ("kept", "fresh"))
        print(f"\n  {MOVES} changes of scope: {lost} of {sum(counts)} requests lost")
    assert_faultless(results)


def test_one_service_alone(town: Town) -> None:
    town.ask_for("Service", "far", "workload")
    try:
        wait_for(lambda: town.has_own(NODE, FAR), 45.0)
        fronts = {item["scope"]: item["fronts"] for item in town.node.get("proxies")}
        assert fronts == {NODE: 1, FAR: 1}
        assert FAR in town.node.tulle("get", "proxies")
        assert FAR in town.node.tulle("status")
        asking = ("explain", "shop/client", "away/far", "--port", "80", "--http", "GET /")
        assert f"proxy    {FAR}" in town.node.tulle(*asking)
    finally:
        town.apply(service("away", "far"))
        wait_for(lambda: town.has_own(NODE), 45.0)


def test_a_wrong_word_is_refused(town: Town) -> None:
    bad = service("away", "far")
    bad["metadata"]["annotations"] = {SCOPE: "pod"}
    answer = town.agent.post("/v1/apply", yaml.safe_dump(bad).encode())
    reason = r':\d+:\d+: metadata.annotations\["tulle.io/proxy-scope"\]: "pod" must be "node" or'
    assert re.search(reason, "\n".join(answer["errors"]))
