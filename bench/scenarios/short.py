"""Client and server on one core, so that a request's time is work and not the waking of a core."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from bench import asker, kubeproxy, nginx
from bench.load import Target
from bench.namespaces import SetupError, command, wait_for_listener
from bench.suite import Cores

from .plain import Plain
from .tulle import Tulle, manifests

Json = dict[str, Any]
_PROBE = asker.Asked("", "bare", 1, 0.2)


def _servers(directory: Path, cpu: int) -> tuple[str, ...]:
    """Those of `asker`, and nginx."""
    asker.build()
    lines = [f"{line} &" for line in asker.servers(cpu)]
    http = shlex.join(nginx.command_line(directory, cpu))
    return ("sh", "-c", " ".join([*lines, "exec", http]))


def _wait_for_all(inside: tuple[str, ...]) -> None:
    for port in asker.PORTS.values():
        wait_for_listener(inside, port)


def _with_ports(objects: list[Json]) -> list[Json]:
    """Those of `asker` beside nginx's, in the Service and in the policies."""
    for item in objects:
        spec = item["spec"]
        if item["kind"] == "Service":
            spec["ports"] += [{"name": name, "port": port} for name, port in asker.PORTS.items()]
            continue
        for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
            rule["ports"] = [{"port": port} for port in (nginx.PORT, *asker.PORTS.values())]
    return objects


class PlainCore(Plain):
    def setup(self, cores: Cores) -> Target:
        target = super().setup(cores)
        _wait_for_all(self.inside_server)
        return target

    def _server_command(self, directory: Path, cpu: int) -> tuple[str, ...]:
        return _servers(directory, cpu)


class Short(Tulle):
    """SetupError if what the client sends does not go from socket to socket."""

    def __init__(self, name: str) -> None:
        super().__init__(name, 1, "--short-circuit")

    def setup(self, cores: Cores) -> Target:
        target = super().setup(cores)
        _wait_for_all(self._tulle("exec", "web", "--"))
        self._expect_short(target)
        return target

    def _expect_short(self, target: Target) -> None:
        before = self._messages()
        asked = json.loads(command(*target.inside, *shlex.split(_PROBE.command(target))))["asked"]
        if (went := self._messages() - before) < asked:
            raise SetupError(f"of {2 * asked} messages {went} went from socket to socket")

    def _messages(self) -> int:
        status = json.loads(command(*self._tulle("status", "-o", "json")))
        return int(status["packets"].get("SHORT", {"packets": 0})["packets"])

    def _server_command(self, directory: Path, cpu: int) -> tuple[str, ...]:
        return _servers(directory, cpu)

    def _manifests(self, services: list[kubeproxy.Service]) -> list[Json]:
        return _with_ports(manifests(services))
