"""A node is cut off, agents die, servers vanish: what can go on does, and nobody waits in vain.

Servers are Pods `here` on node a and `there` on b, which answer HTTP and UDP with their names.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.field import by_family, listed_addresses
from tests.e2e.mesh import HERE, TULLE, Cluster, Json, tulle, wait_for

KEPT = 50
AVOIDED_WITHIN_S = 1.0
LOAD = (sys.executable, str(HERE / "load.py"))
TALK = (sys.executable, str(HERE / "talk.py"))
WEB, NAMES, NODE_PORT = 80, 53, 30020
SERVERS = {"here": "a", "there": "b"}


class Talk:
    """What talk.py tells, as it comes: (when, who answered or what went wrong)."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.told: list[tuple[float, str]] = []
        self._child = child
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            when, _, said = line.strip().partition(" ")
            self.told.append((float(when), said))

    @property
    def latest(self) -> str:
        return self.told[-1][1] if self.told else ""

    def since(self, when: float) -> list[str]:
        return [said for at, said in self.told if at >= when]


class Shop:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.a, self.b = cluster, cluster["a"], cluster["b"]
        self.at_a = listed_addresses(self.a.name)[4]
        for name in ("client", "stranger"):
            self.a.run(name, "sleep", "inf")
        cluster.apply(*(pod(name, cluster[node].name) for name, node in SERVERS.items()))
        cluster.apply(service("web", {"role": "server"}), policy())
        self.address = self.address_of("web")
        wait_for(lambda: self.answers(20) == set(SERVERS), timeout_s=20)

    @property
    def pods(self) -> dict[str, str]:
        """Addresses of the servers as they are now."""
        return {
            item["name"]: by_family(item["addresses"])[4]
            for node in (self.a, self.b)
            for item in node.get("endpoints")
            if item["name"] in SERVERS
        }

    def address_of(self, name: str) -> str:
        [found] = [item for item in self.a.get("services") if item["name"] == name]
        return by_family(found["cluster_ips"])[4]

    def answers(self, count: int, address: str = "", port: int = WEB) -> set[str]:
        """Who answers so many new connections, one after the other; "" if nobody does in time."""
        words = ("connects", address or self.address, str(port), str(count))
        return set(json.loads(self.a.exec("client", *TALK, *words)))

    def talk(self, verb: str, port: int, address: str) -> Talk:
        return Talk(self.a.spawn("client", *TALK, verb, address, str(port)))

    def restore(self) -> None:
        """Both servers and both nodes as they were."""
        tulle("lab", "link", self.b.name, "up")
        self.cluster.apply(*(pod(name, self.cluster[at].name) for name, at in SERVERS.items()))
        wait_for(lambda: self.answers(20) == set(SERVERS), timeout_s=20)


@pytest.fixture(scope="module")
def shop(clusters: Clusters) -> Iterator[Shop]:
    with clusters("life", ("a", "b"), "--routing", "vxlan") as cluster:
        yield Shop(cluster)


def test_no_connection_fails_while_each_agent_is_killed_in_turn(shop: Shop) -> None:
    addresses = shop.pods.values()
    traffic = shop.a.spawn("client", *LOAD, shop.address, str(WEB), str(KEPT))
    assert traffic.stdout is not None and traffic.stdout.readline() == "ready\n"
    for node in (shop.a, shop.b):
        node.kill_agent()
        for address in addresses:
            url = f"http://{address}:8080/"
            assert shop.a.get_http_direct("stranger", url, timeout_s=0.5) == ""
        time.sleep(1)
        node.start()
    time.sleep(1)
    result = json.loads(traffic.communicate()[0])
    assert result["kept"]["failed"] == result["fresh"]["failed"] == 0, result
    assert result["kept"]["requests"] > KEPT and result["fresh"]["requests"] > 100, result


def test_a_node_that_was_cut_off_takes_its_connections_up_again(shop: Shop) -> None:
    talks = {name: shop.talk("tcp", 8080, address) for name, address in shop.pods.items()}
    wait_for(lambda: all(talk.latest == name for name, talk in talks.items()))
    tulle("lab", "link", shop.b.name, "down")
    cut = time.monotonic()
    time.sleep(1.5)
    assert talks["there"].since(cut + 0.2) == []
    assert talks["here"].since(cut + 0.2) != []
    tulle("lab", "link", shop.b.name, "up")
    back = time.monotonic()
    wait_for(lambda: talks["there"].since(back) != [])
    for name, talk in talks.items():
        assert {said for _, said in talk.told} == {name}
    shop.restore()


def test_nobody_waits_for_a_server_that_is_gone(shop: Shop) -> None:
    """No packet tells so: its node is cut off before it goes."""
    shop.cluster.apply(service("moving", {"app": "there"}, node_port=NODE_PORT))
    address = shop.address_of("moving")
    wait_for(lambda: shop.answers(1, address) == {"there"})
    udp, tcp = shop.talk("udp", NAMES, address), shop.talk("tcp", WEB, address)
    outside = Talk(shop.cluster.spawn_outside(*TALK, "udp", shop.at_a, str(NODE_PORT + 1)))
    talks = (udp, tcp, outside)
    wait_for(lambda: all(talk.latest == "there" for talk in talks))
    shop.cluster.apply(service("moving", {"role": "server"}, node_port=NODE_PORT))
    time.sleep(0.3)
    assert {talk.latest for talk in talks} == {"there"}, "no reason to move yet"
    tulle("lab", "link", shop.b.name, "down")
    with begun(shop.b.name, "delete", pod("there", shop.b.name)) as gone:
        time.sleep(AVOIDED_WITHIN_S)
        assert shop.answers(20, address) == {"here"}
        assert shop.answers(20) == {"here"}
        time.sleep(0.5)
    for talk in (udp, outside):
        assert set(talk.since(gone.at + AVOIDED_WITHIN_S)) == {"here"}
    [(at, error)] = [(at, said) for at, said in tcp.told if said not in SERVERS]
    assert error.endswith("Error") and at < gone.at + AVOIDED_WITHIN_S
    shop.restore()


def test_new_connections_avoid_a_server_as_soon_as_it_is_unlisted(shop: Shop) -> None:
    """As an API server would say that a node is lost, while the node itself says nothing."""
    pods = shop.pods
    shop.cluster.apply(listed_service(), listing(pods))
    address = shop.address_of("listed")
    wait_for(lambda: shop.answers(20, address) == set(SERVERS))
    tulle("lab", "link", shop.b.name, "down")
    left = listing({"here": pods["here"]})
    with begun(shop.a.name, "apply", left):
        time.sleep(AVOIDED_WITHIN_S)
        assert shop.answers(20, address) == {"here"}
    shop.restore()


def test_a_node_that_is_taken_down_is_avoided(shop: Shop) -> None:
    shop.b.stop()
    time.sleep(AVOIDED_WITHIN_S)
    assert shop.answers(20) == {"here"}
    shop.cluster.start("b")
    shop.restore()


@dataclass
class Begun:
    at: float


@contextmanager
def begun(node: str, verb: str, obj: Json) -> Iterator[Begun]:
    """`apply` or `delete` under way; it has ended well in the end."""
    at = time.monotonic()
    line = [TULLE, "--node", node, verb, "-f", "-"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(json.dumps(obj).encode())
        child.stdin.close()
        yield Begun(at)
    assert child.returncode == 0


def pod(name: str, node: str) -> Json:
    container = {
        "name": "c",
        "command": [sys.executable, str(HERE / "server.py"), name],
        "readinessProbe": {"tcpSocket": {"port": 8080}},
    }
    meta = {"name": name, "namespace": "shop", "labels": {"app": name, "role": "server"}}
    spec = {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 1}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def policy() -> Json:
    """The client and the outside only."""
    peers = [
        {"podSelector": {"matchLabels": {"app": "client"}}},
        {"ipBlock": {"cidr": "192.168.96.0/20"}},
    ]
    spec = {"podSelector": {"matchLabels": {"role": "server"}}, "ingress": [{"from": peers}]}
    kind, meta = "NetworkPolicy", {"name": "servers", "namespace": "shop"}
    return {"apiVersion": "networking.k8s.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def service(name: str, selector: dict[str, str], node_port: int = 0) -> Json:
    ports: list[dict[str, Any]] = [
        {"name": "web", "port": WEB, "targetPort": 8080},
        {"name": "names", "port": NAMES, "targetPort": 5353, "protocol": "UDP"},
    ]
    spec: Json = {"selector": selector, "ports": ports}
    if node_port:
        spec["type"] = "NodePort"
        for number, port in enumerate(ports):
            port["nodePort"] = node_port + number
    meta = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def listed_service() -> Json:
    spec = {"ports": [{"name": "web", "port": WEB, "targetPort": 8080}]}
    meta = {"name": "listed", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def listing(addresses: dict[str, str]) -> Json:
    labels = {"kubernetes.io/service-name": "listed"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "listed", "namespace": "shop", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [addresses[name]]} for name in SERVERS if name in addresses],
        "ports": [{"name": "web", "port": 8080}],
    }
