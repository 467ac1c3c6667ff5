"""The mesh, driven by the commands that a user has.

Services, conntrack, identities and policy are all at work: the server admits only the client,
the client may only reach the server.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from bench import kubeproxy, namespaces, nginx
from bench.load import Target
from bench.namespaces import SetupError, command, wait_for_listener
from bench.suite import Cores
from tulle.lab.cluster import Cluster

Json = dict[str, Any]
DOCUMENTS_PER_FILE = 1000  # a manifest file has at most 1 MiB
SETUP_S = 60
TULLE = str(Path(sys.executable).with_name("tulle"))


class Tulle:
    """A lab node with `count` services, of which the client uses one."""

    def __init__(self, name: str, count: int, *options: str) -> None:
        """`options` are those of `tulle lab up`."""
        self.name, self._options = name, options
        self._count = count
        self._node = f"b{os.getpid()}-{name.removeprefix('tulle-')}"
        self._directory: Path | None = None

    def setup(self, cores: Cores) -> Target:
        command(TULLE, "lab", "up", *self._options, self._node)
        services = kubeproxy.services(self._count, endpoint="")
        self._put_in_force(services)
        self._directory = namespaces.directory(self.name)
        self._start("web", *self._server_command(self._directory, cores.server))
        self._start("client", "sleep", "infinity")
        wait_for_listener(self._tulle("exec", "web", "--"), nginx.PORT)
        address = kubeproxy.measured(services).address
        return Target(self._tulle("exec", "client", "--"), address, kubeproxy.PORT)

    def _put_in_force(self, services: list[kubeproxy.Service]) -> None:
        """Through the manifest directory, which takes thousands of objects in one pass."""
        directory = Cluster(self._node).manifests
        for number, documents in enumerate(batched(self._manifests(services), DOCUMENTS_PER_FILE)):
            staged = directory / f".{number}"
            staged.write_text(yaml.dump_all(documents, Dumper=yaml.CSafeDumper))
            staged.rename(directory / f"{number}.yaml")
        deadline = time.monotonic() + SETUP_S
        while self._services_in_force() < self._count:
            if time.monotonic() > deadline:
                raise SetupError(f"{self._count} services are not in force after {SETUP_S} s")
            time.sleep(0.2)

    def _server_command(self, directory: Path, cpu: int) -> tuple[str, ...]:
        return nginx.command_line(directory, cpu)

    def _manifests(self, services: list[kubeproxy.Service]) -> list[Json]:
        return manifests(services)

    def _services_in_force(self) -> int:
        status = json.loads(command(*self._tulle("status", "-o", "json")))
        return int(status["counts"]["services"])

    def teardown(self) -> None:
        try:
            command(TULLE, "lab", "down", self._node)
        finally:
            if self._directory is not None:
                shutil.rmtree(self._directory)

    def _tulle(self, *arguments: str) -> tuple[str, ...]:
        return (TULLE, "--node", self._node, *arguments)

    def _start(self, name: str, *argv: str) -> None:
        command(*self._tulle("run", "-d", "--name", name, "-l", f"app={name}", "--"), *argv)


def manifests(services: list[kubeproxy.Service]) -> list[Json]:
    """The services, all with the server behind them, and a policy for each end."""
    return [
        *(_service(service) for service in services),
        network_policy("web", "Ingress", [{"from": [_peer("client")], "ports": _PORTS}]),
        network_policy("client", "Egress", [{"to": [_peer("web")], "ports": _PORTS}]),
    ]


def batched(items: list[Json], size: int) -> Iterator[list[Json]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


_PORTS = [{"port": nginx.PORT}]


def _service(service: kubeproxy.Service) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service.name},
        "spec": {
            "clusterIP": service.address,
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": kubeproxy.PORT, "targetPort": nginx.PORT}],
        },
    }


def network_policy(name: str, direction: str, rules: list[Json]) -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": {"matchLabels": {"app": name}},
            "policyTypes": [direction],
            direction.lower(): rules,
        },
    }


def _peer(name: str) -> Json:
    return {"podSelector": {"matchLabels": {"app": name}}}
