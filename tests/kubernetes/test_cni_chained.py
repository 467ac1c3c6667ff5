"""Tulle after another plugin: the real `bridge` and `ptp` make interfaces, addresses and routes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.mesh import Cluster, Mesh, admit, service, wait_for
from tests.kubernetes import cache
from tests.kubernetes.cni_caller import Container, Runtime, addresses
from tulle.lab.cluster import Cluster as Members

Json = dict[str, Any]
RANGES = [[{"subnet": "10.66.0.0/24"}], [{"subnet": "fd66::/64"}]]
DEFAULT = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
MAIN = {
    "bridge": {"bridge": "cni0", "isGateway": True, "hairpinMode": True},
    "ptp": {},
}

DENIED_S = 0.5  # in which nobody answers


class Chain(Runtime):
    """Calls another plugin in the node's namespace, and then ours, as a runtime does."""

    def __init__(self, directory: Path, node: str, main: str) -> None:
        super().__init__(directory, node)
        self.main = main

    def add(self, container: Container, **config: Any) -> Json:
        self._other("ADD", container)
        return super().add(container, prevResult=self._made(container), **config)

    def delete(self, container: Container, **config: Any) -> None:
        super().delete(container, **config)
        self._other("DEL", container)

    def check(self, container: Container) -> None:
        self.call("CHECK", container, prevResult=self._made(container))

    def _made(self, container: Container) -> Json:
        return json.loads((self.directory / f"{container.id}.json").read_text())

    def _other(self, verb: str, container: Container) -> None:
        variables = {
            "CNI_COMMAND": verb,
            "CNI_PATH": str(Path(cache.program(self.main)).parent),
            "CNI_CONTAINERID": container.id,
            "CNI_NETNS": str(container.netns),
            "CNI_IFNAME": "eth0",
        }
        ipam = {
            "type": "host-local",
            "ranges": RANGES,
            "routes": DEFAULT,
            "dataDir": str(self.directory / "addresses"),
        }
        config = {"cniVersion": "1.0.0", "name": "mesh", "type": self.main, "ipam": ipam}
        done = subprocess.run(
            ["nsenter", f"--net={self.node_paths.netns}", cache.program(self.main)],
            input=json.dumps(config | MAIN[self.main]),
            env=variables | {"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
        )
        assert not done.returncode, done.stdout + done.stderr
        kept = self.directory / f"{container.id}.json"
        if verb == "ADD":
            kept.write_text(json.dumps(json.loads(done.stdout) | {"cniVersion": self.version}))
        else:
            kept.unlink()


@pytest.fixture(scope="module")
def lab(clusters: Clusters) -> Iterator[Cluster]:
    with clusters("chained", ("a",), "--cni-chained") as made:
        yield made


@pytest.fixture(params=list(MAIN))
def pods(lab: Cluster, request: pytest.FixtureRequest) -> Iterator[Chain]:
    made = Chain(Path(f"/run/tulle-chained-{os.getpid()}"), lab["a"].name, request.param)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(made.directory)
    wait_for(lambda: lab["a"].get("endpoints") == [])
    assert not list((Path("/run/tulle") / lab["a"].name / "sandboxes").glob("*"))


def curl(address: str, port: int, timeout_s: float = 2.0) -> tuple[str, ...]:
    host = f"[{address}]" if ":" in address else address
    return "curl", "-s", "--noproxy", "*", "-m", str(timeout_s), f"http://{host}:{port}/"


def judge_requests(mesh: Mesh, pods: Chain, friend: Container, where: Sequence[str]) -> None:
    """By the node's proxy, to which a bridge of the other's would carry no packet."""
    http = {"ports": [{"port": "8080", "protocol": "TCP"}], "rules": {"http": [{"path": "/ok"}]}}
    rule = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "ok", "namespace": "shop"},
        "spec": {
            "endpointSelector": {"matchLabels": {"app": "web"}},
            "ingress": [{"fromEndpoints": [{"matchLabels": {"app": "friend"}}], "toPorts": [http]}],
        },
    }
    mesh.apply(rule)
    wait_for(lambda: "serving" in mesh.tulle("status"))
    for address in where:
        *words, url = curl(address, 8080)
        told = [pods.run_in(friend, *words, url + path).strip() for path in ("ok", "no")]
        assert told[0] == "web" and "denied by policy" in told[1]
    mesh.delete(rule)


def test_a_chain(lab: Cluster, pods: Chain) -> None:
    mesh = lab["a"]
    web, friend, stranger = (pods.container(name) for name in ("web", "friend", "stranger"))
    mapped = {"portMappings": [{"hostPort": 8090, "containerPort": 8080}]}
    told = pods.add(web, labels={"app": "web"}, runtimeConfig=mapped)
    assert told == pods._made(web)
    where = addresses(told)
    pods.add(friend, labels={"app": "friend"})
    pods.add(stranger)
    server = pods.serve(web, "web")
    wait_for(lambda: "LISTEN" in pods.run_in(web, "ss", "-tln", "sport = :8080"))
    ask = {item: curl(item, 8080) for item in where}
    assert [pods.run_in(friend, *ask[item]).strip() for item in where] == ["web", "web"]
    for item in where:  # the bridge's own address of IPv6 is tried for a second first
        wait_for(lambda line=ask[item]: mesh.host(*line, check=False).strip() == "web")
    mesh.apply(service("web", "web"))
    (cluster_ip, *_) = mesh.get("services")[0]["cluster_ips"]
    assert pods.run_in(stranger, *curl(cluster_ip, 80)).strip() == "web"
    node = [str(item) for item in Members(lab.name).members()[mesh.name].addresses]
    for address in node:
        assert lab.outside(*curl(address, 8090), check=False).strip() == "web", address
    rule = admit("web", "web", "friend")
    mesh.apply(rule)

    def is_judged(address: str) -> bool:
        admitted = pods.run_in(friend, *ask[address]).strip() == "web"
        return admitted and pods.run_in(stranger, *curl(address, 8080, DENIED_S)) == ""

    assert all(map(is_judged, where))
    pods.check(web)
    mesh.kill_agent()
    assert is_judged(where[0])
    lab.start()
    assert is_judged(where[0])
    mesh.delete(rule, service("web", "web"))
    judge_requests(mesh, pods, friend, where)
    pods.run_in(stranger, "ip", "address", "add", "10.66.0.200/24", "dev", "eth0")
    stolen = (*curl(where[0], 8080, DENIED_S), "--interface", "10.66.0.200")
    assert pods.run_in(stranger, *stolen) == ""
    assert "INVALID_SOURCE_IP" in {flow.get("drop_reason_desc") for flow in mesh.flows()}
    server.kill()
    server.communicate()
    for container in (web, friend, stranger):
        pods.delete(container)
