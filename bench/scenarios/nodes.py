"""Two plain nodes: what a mesh of several is compared with. The server is on the second one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Literal

from bench import flood, kubeproxy, namespaces, nginx
from bench.fabric import NODES, WORKLOADS, Fabric
from bench.load import Target
from bench.namespaces import command, enter, wait_for_listener
from bench.suite import Cores


class PlainNodes:
    """From a workload of one node to one of the other, through their routes or a VXLAN device."""

    def __init__(self, name: str, routing: Literal["native", "vxlan"]) -> None:
        self.name = name
        self.fabric = Fabric(name)
        self._routing = routing
        self._directory: Path | None = None
        self._servers: list[subprocess.Popen[str]] = []

    def setup(self, cores: Cores) -> Target:
        self.fabric.create(self._routing)
        self._directory = namespaces.directory(self.name)
        target = Target(enter(self.fabric.workloads["a"]), WORKLOADS["b"])
        self._start(nginx.command_line(self._directory, cores.server), target.http_port)
        self._start(flood.server(target, cores.client), target.bulk_port)
        return target

    def _start(self, line: tuple[str, ...], port: int) -> None:
        inside = enter(self.fabric.workloads["b"])
        server = subprocess.Popen(
            [*inside, *line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C is the harness's, which then tears down
        )
        self._servers.append(server)
        wait_for_listener(inside, port, server)

    def teardown(self) -> None:
        self.fabric.remove()
        for server in self._servers:
            server.communicate()
        if self._directory is not None:
            shutil.rmtree(self._directory)


class NodePort(PlainNodes):
    """From outside to node ports of the first node, which kube-proxy's iptables rules lead on."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "native")

    def setup(self, cores: Cores) -> Target:
        inner = super().setup(cores)
        ports = (
            ("tcp", kubeproxy.NODE_PORTS["http"], inner.http_port),
            ("tcp", kubeproxy.NODE_PORTS["bulk"], inner.bulk_port),
            ("udp", kubeproxy.NODE_PORTS["packets"], inner.packets_port),
        )
        rules = kubeproxy.iptables_node_ports(inner.host, ports)
        for node in self.fabric.nodes.values():
            command(*enter(node), "iptables-legacy-restore", stdin=rules)
        return node_port_target(enter(self.fabric.outside), NODES["a"])


def node_port_target(inside: tuple[str, ...], host: str) -> Target:
    http, bulk, packets = (kubeproxy.NODE_PORTS[name] for name in ("http", "bulk", "packets"))
    return Target(inside, host, http, bulk, packets)
