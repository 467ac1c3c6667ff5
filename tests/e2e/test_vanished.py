"""What a client holds towards a backend that has gone ends at once, and nothing else does."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.mesh import HERE, Cluster, Json, Mesh, service

HELD = 12  # so many draws that both backends are among them
AT_ONCE_S = 1.0


class Holder:
    def __init__(self, node: Mesh, kind: str, address: str, port: int) -> None:
        command = (sys.executable, str(HERE / "holder.py"), kind, address, str(port), str(HELD))
        self._child: subprocess.Popen[str] = node.spawn("client", *command)
        self.answers: list[str] = self._line()["answers"]

    def of(self, backend: str) -> set[int]:
        return {index for index, name in enumerate(self.answers) if name == backend}

    def ended(self, count: int) -> dict[int, Json]:
        """The next so many connections that end, by their index."""
        lines = [self._line() for _ in range(count)]
        return {line["index"]: line for line in lines}

    def finish(self) -> tuple[list[Json], list[str]]:
        """What ended since, and who answers at last."""
        *ended, last = self._child.communicate("", timeout=20)[0].splitlines()
        return [json.loads(line) for line in ended], json.loads(last)["answers"]

    def _line(self) -> Json:
        assert self._child.stdout is not None
        return json.loads(self._child.stdout.readline())


def listed(name: str, addresses: list[str], protocol: str) -> list[Json]:
    """A service without a selector, and the addresses that it has."""
    port = {"TCP": 8080, "UDP": 5353}[protocol]
    made = service(name, "", protocol=protocol, ipFamilyPolicy="SingleStack")
    del made["spec"]["selector"]
    endpoints = [{"addresses": [address]} for address in addresses]
    return [
        made,
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": "shop",
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": "p", "port": port, "protocol": protocol}],
        },
    ]


def address_of(node: Mesh, workload: str) -> str:
    return next(item["addresses"][0] for item in node.get("endpoints") if item["name"] == workload)


def cluster_ip(node: Mesh, name: str) -> str:
    return next(item["cluster_ips"][0] for item in node.get("services") if item["name"] == name)


@pytest.fixture(scope="module")
def shop(mesh: Mesh) -> Iterator[Mesh]:
    for name in ("one", "two"):
        mesh.serve(name, app="web")
    mesh.run("client", "sleep", "inf")
    addresses = [address_of(mesh, name) for name in ("one", "two")]
    mesh.apply(*listed("names", addresses, "UDP"), *listed("pages", addresses, "TCP"))
    yield mesh


def test_a_connected_datagram_socket_goes_over_to_another_backend(shop: Mesh) -> None:
    holder = Holder(shop, "udp", cluster_ip(shop, "names"), 80)
    gone, kept = holder.of("one"), holder.of("two")
    assert gone and kept
    began_s = time.monotonic()
    shop.apply(*listed("names", [address_of(shop, "two")], "UDP"))
    in_force_s = time.monotonic()
    ended = holder.ended(len(gone))
    assert ended.keys() == gone
    assert {item["error"] for item in ended.values()} == {"ECONNABORTED"}
    assert all(began_s < item["at_s"] < in_force_s + AT_ONCE_S for item in ended.values())
    assert holder.finish() == ([], ["two"] * HELD)


def test_a_stream_lives_on_while_its_backend_only_takes_no_new_ones(shop: Mesh) -> None:
    holder = Holder(shop, "tcp", cluster_ip(shop, "pages"), 80)
    assert holder.of("one") and holder.of("two")
    shop.apply(*listed("pages", [address_of(shop, "two")], "TCP"))
    time.sleep(AT_ONCE_S)
    assert holder.finish() == ([], holder.answers)


def test_a_service_that_is_deleted_lets_go_of_its_datagram_sockets(shop: Mesh) -> None:
    objects = listed("short", [address_of(shop, "two")], "UDP")
    shop.apply(*objects)
    holder = Holder(shop, "udp", cluster_ip(shop, "short"), 80)
    shop.delete(*objects)
    assert holder.ended(HELD).keys() == set(range(HELD))


@pytest.fixture(scope="module")
def cluster(clusters: Clusters) -> Iterator[Cluster]:
    with clusters("vanish", ("a", "b")) as made:
        yield made


def test_streams_to_a_node_that_is_taken_out_of_the_mesh_end(cluster: Cluster) -> None:
    for node in ("a", "b"):
        cluster[node].serve(node, app="web")
    cluster["a"].run("client", "sleep", "inf")
    cluster.apply(service("web", "web"))
    holder = Holder(cluster["a"], "tcp", cluster_ip(cluster["a"], "web"), 80)
    gone, kept = holder.of("b"), holder.of("a")
    assert gone and kept
    lost = cluster["b"].name
    cluster["a"].tulle("lab", "link", lost, "down")  # nothing of b's says goodbye
    cluster["b"].kill_agent()
    began_s = time.monotonic()
    Path(f"/run/tulle-lab/{cluster.name}/nodes/{lost}.json").unlink()
    ended = holder.ended(len(gone))
    assert ended.keys() == gone
    assert {item["error"] for item in ended.values()} == {"ECONNABORTED"}
    assert all(item["at_s"] < began_s + 2 * AT_ONCE_S for item in ended.values())
    assert holder.finish() == ([], ["a"] * HELD)
