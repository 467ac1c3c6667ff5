"""Routes change, agents and Envoys die, under load: what fails is counted."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.conformance.certificates import Authority
from tests.e2e.conformance.ground import HERE
from tests.e2e.conformance.table import GATEWAY_API, Json, objects_of, route
from tests.e2e.conftest import Clusters
from tests.e2e.field import listed_addresses, pool
from tests.e2e.mesh import Cluster, Mesh, alive, wait_for
from tulle.cli.client import Agent
from tulle.model.paths import NodePaths

CHANGES = 1000
DOOR = "192.0.2.10"
BACKENDS = ("one", "two")
KEPT, FRESH = 8, 2
MOVES = 20
STUCK_S = 120.0  # for all of them: what takes so long will never come
CA = "authority.pem"
_GATEWAY = f"""
apiVersion: {GATEWAY_API}
kind: Gateway
metadata: {{name: door, namespace: shop}}
spec:
  gatewayClassName: tulle
  addresses: [{{value: {DOOR}}}]
  listeners:
    - {{name: http, port: 80, protocol: HTTP}}
    - {{name: https, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{name: door}}]}}}}
"""


class Shop:
    """One node; `client` asks the service `web` by its route, `outside` the Gateway with TLS."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster, self.node, self.directory = cluster, cluster["a"], directory
        self.agent = Agent(NodePaths(self.node.name))
        self.authority = Authority("load")
        (directory / CA).write_text(self.authority.pem)
        for name in BACKENDS:
            line = (sys.executable, str(HERE / "echo.py"), name)
            self.node.run(name, *line)
        self.node.run("client", "sleep", "inf")
        via = listed_addresses(self.node.name)[4]
        cluster.outside("ip", "route", "replace", "192.0.2.0/24", "via", via)
        self.apply(
            pool(),
            *(service(name, name) for name in BACKENDS),
            service("web", "one"),
            self.secret(),
            *objects_of(_GATEWAY),
            mesh_route(50),
            gate_route(50),
        )
        [found] = [item for item in self.node.get("services") if item["name"] == "web"]
        self.address = found["cluster_ips"][0]

    def apply(self, *objects: Json) -> None:
        self.agent.post("/v1/apply", yaml.safe_dump_all(objects).encode())

    def delete(self, *objects: Json) -> None:
        self.agent.post("/v1/delete", yaml.safe_dump_all(objects).encode())

    def secret(self) -> Json:
        """A new certificate each time."""
        pair = self.authority.issue("shop.test")
        data = {"tls.crt": pair.certificate, "tls.key": pair.key}
        meta = {"name": "door", "namespace": "shop"}
        of = {"type": "kubernetes.io/tls", "stringData": data}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, **of}

    def load(self) -> list[subprocess.Popen[str]]:
        words = (sys.executable, str(HERE / "stress.py"))
        often = (str(KEPT), str(FRESH))
        inside = self.node.spawn("client", *words, self.address, "80", *often)
        tls = (str(self.directory / CA), "shop.test")
        outside = self.cluster.spawn_outside(*words, DOOR, "443", *often, *tls)
        for child in (inside, outside):
            assert child.stdout is not None and child.stdout.readline() == "ready\n"
        return [inside, outside]

    def envoys(self) -> list[int]:
        return [item["pid"] for item in self.node.status()["proxy"]["envoys"]]


@pytest.fixture(scope="module")
def shop(clusters: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with clusters("change", ("a",)) as cluster:
        yield Shop(cluster, tmp_path_factory.mktemp("certificates"))


def service(name: str, app: str) -> Json:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    spec = {"selector": {"app": app}, "ports": ports}
    meta = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def backends(weight: int) -> str:
    one, two = (f"{{name: {name}, port: 80, weight: WEIGHT}}" for name in BACKENDS)
    both = one.replace("WEIGHT", str(weight)), two.replace("WEIGHT", str(100 - weight))
    return f"[{', '.join(both)}]"


def mesh_route(weight: int) -> Json:
    parents = '[{group: "", kind: Service, name: web, port: 80}]'
    return route("web", f"- backendRefs: {backends(weight)}", parents=parents, hostnames="")


def gate_route(weight: int) -> Json:
    rules = f"- backendRefs: {backends(weight)}"
    return route("gate", rules, parents="[{name: door}]", hostnames="[shop.test]")


def extra_route(number: int) -> Json:
    """That no request meets."""
    match = f"{{path: {{value: /extra-{number}}}}}"
    rules = f"- {{matches: [{match}], backendRefs: [{{name: two, port: 80}}]}}"
    return route(f"extra-{number}", rules, parents="[{name: door}]", hostnames="[shop.test]")


def ended(children: list[subprocess.Popen[str]]) -> list[Json]:
    return [json.loads(child.communicate()[0]) for child in children]


def assert_faultless(results: list[Json], requests: int = 20) -> None:
    for result in results:
        assert result["kept"]["failed"] == result["fresh"]["failed"] == 0, result
        assert result["kept"]["requests"] > requests and result["fresh"]["requests"] > requests


def test_a_thousand_changes_lose_no_request(shop: Shop) -> None:
    rng = random.Random(os.environ.get("TULLE_TEST_SEED", "1"))
    traffic, extra = shop.load(), dict[int, Json]()
    for number in range(CHANGES):
        match rng.choice(("weights", "weights", "add", "remove", "rotate")):
            case "add":
                extra[number] = extra_route(number)
                shop.apply(extra[number])
            case "remove" if extra:
                shop.delete(extra.pop(rng.choice(list(extra))))
            case "rotate":
                shop.apply(shop.secret())
            case _:
                shop.apply(rng.choice((mesh_route, gate_route))(rng.randrange(5, 96)))
    results = ended(traffic)
    assert_faultless(results, CHANGES)
    assert all(set(result["backends"]) == set(BACKENDS) for result in results)
    shop.delete(*extra.values())


def test_traffic_moves(shop: Shop) -> None:
    """On a connection that stands. How soon is the bench's to say."""
    shop.apply(mesh_route(100))
    words = (sys.executable, str(HERE / "moves.py"), shop.address, "80")
    asking = shop.node.spawn("client", *words)
    limit = threading.Timer(STUCK_S, asking.kill)
    limit.start()
    try:
        assert asking.stdout is not None
        moves = iter(asking.stdout.readline, "")
        assert next(moves, "") == "one\n"
        for number in range(MOVES):
            shop.apply(mesh_route(100 * (number % 2)))
            assert next(moves, "") == f"{('two', 'one')[number % 2]}\n"
    finally:
        limit.cancel()
        asking.kill()


def test_an_agent_that_is_killed_loses_no_request(shop: Shop) -> None:
    shop.apply(mesh_route(50))
    traffic = shop.load()
    for _ in range(2):
        shop.node.kill_agent()
        time.sleep(1.0)
        shop.cluster.start()
        time.sleep(0.5)
    assert_faultless(ended(traffic))


def test_an_envoy_that_is_killed_loses_what_it_was_serving(shop: Shop) -> None:
    """At most the requests under way; new connections go on with the next Envoy.

    Those that are refused are failed requests, and would be hundreds if nobody took over.
    """
    traffic = shop.load()
    lost = []
    for _ in range(3):
        wait_for(lambda: len(serving(shop.node)) > 1)
        [pid, *_] = serving(shop.node)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid))  # noqa: B023
        time.sleep(1.0)
        lost.append(pid)
    for result in ended(traffic):
        failed = result["kept"]["failed"] + result["fresh"]["failed"]
        assert failed <= len(lost) * (KEPT + FRESH), result
        assert result["kept"]["requests"] > 100


def serving(node: Mesh) -> list[int]:
    """Pids of the Envoys that are ready, the one that serves first."""
    listed = node.status()["proxy"]["envoys"]
    ready = [item for item in listed if item["state"] in ("serving", "standing by")]
    return [item["pid"] for item in sorted(ready, key=lambda item: item["state"])]
