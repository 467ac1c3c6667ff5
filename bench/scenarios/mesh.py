"""The mesh of two nodes, driven by the commands that a user has. The server is on the second one.

NetworkPolicies isolate both ends.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from pathlib import Path
from typing import Any

import yaml

from bench import flood, kubeproxy, namespaces, nginx
from bench.load import Target
from bench.namespaces import SetupError, command, wait_for_listener
from bench.suite import Cores

from .nodes import node_port_target
from .tulle import SETUP_S, TULLE, network_policy

Json = dict[str, Any]
SERVED = Target((), "")
PORTS = (
    ("http", "TCP", SERVED.http_port),
    ("bulk", "TCP", SERVED.bulk_port),
    ("packets", "UDP", SERVED.packets_port),
)
OPEN = [{"port": port, "protocol": protocol} for _, protocol, port in PORTS]


class TulleNodes:
    """From a workload of the first node straight to one of the other."""

    def __init__(self, name: str, *options: str) -> None:
        """`options` are those of `tulle lab up`."""
        self.name = name
        self.cluster = f"b{os.getpid()}-{name.removeprefix('tulle-')}"
        self._options = options
        self._directory: Path | None = None

    def setup(self, cores: Cores) -> Target:
        nodes = (self._node("a"), self._node("b"))
        command(TULLE, "lab", "up", *nodes, "--cluster", self.cluster, *self._options)
        command(*self._tulle("a", "apply", "-f", "-"), stdin=yaml.safe_dump_all(self._manifests()))
        self._directory = namespaces.directory(self.name)
        servers = (
            nginx.command_line(self._directory, cores.server),
            flood.server(SERVED, cores.client),
        )
        lines = " & ".join(map(shlex.join, servers))
        address = self._start("b", "web", "sh", "-c", f"{lines} & wait")
        self._start("a", "client", "sleep", "infinity")
        inside = self._tulle("b", "exec", "web", "--")
        for port in (SERVED.http_port, SERVED.bulk_port):
            wait_for_listener(inside, port)
        return self._target(address)

    def _manifests(self) -> list[Json]:
        return manifests()

    def _target(self, address: str) -> Target:
        return Target(self._tulle("a", "exec", "client", "--"), address)

    def teardown(self) -> None:
        try:
            command(TULLE, "lab", "down", self._node("a"), self._node("b"))
        finally:
            if self._directory is not None:
                shutil.rmtree(self._directory)

    def _node(self, letter: str) -> str:
        return f"{self.cluster}-{letter}"

    def _tulle(self, letter: str, *arguments: str) -> tuple[str, ...]:
        return (TULLE, "--node", self._node(letter), *arguments)

    def _start(self, letter: str, name: str, *argv: str) -> str:
        """A workload; its IPv4 address."""
        words = ("run", "-d", "-o", "json", "--name", name, "-l", f"app={name}", "--")
        answer = json.loads(command(*self._tulle(letter, *words), *argv))
        return next(str(address) for address in answer["addresses"] if ":" not in address)


class TulleNodePort(TulleNodes):
    """From outside to node ports of the first node, which leads on to the other."""

    def _target(self, address: str) -> Target:
        inside = (TULLE, "lab", "outside", "--cluster", self.cluster, "--")
        listed = json.loads(command(TULLE, "lab", "list", "-o", "json"))["items"]
        [node] = [item for item in listed if item["name"] == self._node("a")]
        target = node_port_target(inside, node["addresses"][0])
        self._wait_until_in_force()
        return target

    def _wait_until_in_force(self) -> None:
        """The first node knows the server, which is the other's."""
        deadline = time.monotonic() + SETUP_S
        while True:
            found = json.loads(command(*self._tulle("a", "get", "services", "-o", "json")))
            if all(item["backends"] for item in found["items"]):
                return
            if time.monotonic() > deadline:
                raise SetupError(f"the node ports have no endpoint after {SETUP_S} s")
            time.sleep(0.1)


def manifests() -> list[Json]:
    """A policy for each end, and a service that has the node ports."""
    world = {"ipBlock": {"cidr": "0.0.0.0/0"}}  # the node that speaks for a client outside
    client = {"podSelector": {"matchLabels": {"app": "client"}}}
    server = {"podSelector": {"matchLabels": {"app": "web"}}}
    ports = [
        {
            "name": name,
            "protocol": protocol,
            "port": port,
            "nodePort": kubeproxy.NODE_PORTS[name],
        }
        for name, protocol, port in PORTS
    ]
    return [
        network_policy("web", "Ingress", [{"from": [client, world], "ports": OPEN}]),
        network_policy("client", "Egress", [{"to": [server], "ports": OPEN}]),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": ports},
        },
    ]
