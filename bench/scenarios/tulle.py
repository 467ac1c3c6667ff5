"""The mesh, driven by the commands that a user has.

Services, conntrack, identities and policy are all at work: the server admits only the client,
the client may only reach the server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from bench import kubeproxy, namespaces, nginx
from bench.namespaces import command, wait_for_listener

from . import Cores, Target

TULLE = str(Path(sys.executable).with_name("tulle"))


class Tulle:
    """A lab node with `count` services, of which the client uses one."""

    def __init__(self, name: str, count: int) -> None:
        self.name = name
        self._count = count
        self._node = f"bench-{os.getpid()}-{count}"
        self._directory: Path | None = None
        self._processes: list[subprocess.Popen[str]] = []

    def setup(self, cores: Cores) -> Target:
        command(TULLE, "lab", "up", self._node)
        services = kubeproxy.services(self._count, endpoint="")
        command(*self._tulle("apply", "-f", "-"), stdin=manifests(services))
        self._directory = namespaces.directory(self.name)
        server = nginx.command_line(self._directory, cores.server)
        web = self._start("web", *server)
        self._start("client", "sleep", "infinity")
        wait_for_listener(self._tulle("exec", "web", "--"), nginx.PORT, web)
        address = kubeproxy.measured(services).address
        return Target(self._tulle("exec", "client", "--"), f"http://{address}:{kubeproxy.PORT}/")

    def teardown(self) -> None:
        try:
            command(TULLE, "lab", "down", self._node)
        finally:
            for process in self._processes:
                process.kill()
                process.communicate()
            if self._directory is not None:
                shutil.rmtree(self._directory)

    def _tulle(self, *arguments: str) -> tuple[str, ...]:
        return (TULLE, "--node", self._node, *arguments)

    def _start(self, name: str, *argv: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*self._tulle("run", "--name", name, "-l", f"app={name}", "--"), *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C is the harness's, which then tears down
        )
        self._processes.append(process)
        return process


def manifests(services: list[kubeproxy.Service]) -> str:
    """The services, all with the server behind them, and a policy for each end."""
    return yaml.dump_all(
        [
            *(_service(service) for service in services),
            _policy("web", "Ingress", {"ingress": [{"from": [_peer("client")], "ports": _PORTS}]}),
            _policy("client", "Egress", {"egress": [{"to": [_peer("web")], "ports": _PORTS}]}),
        ],
        Dumper=yaml.CSafeDumper,
    )


_PORTS = [{"port": nginx.PORT}]


def _service(service: kubeproxy.Service) -> dict[str, object]:
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


def _policy(name: str, direction: str, rules: dict[str, object]) -> dict[str, object]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": {"matchLabels": {"app": name}},
            "policyTypes": [direction],
            **rules,
        },
    }


def _peer(name: str) -> dict[str, object]:
    return {"podSelector": {"matchLabels": {"app": name}}}
