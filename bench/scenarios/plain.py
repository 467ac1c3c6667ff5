"""Plain veth routing, and the same with kube-proxy's rules on the node.

The client of a kube-proxy scenario asks for a service's address, that of `direct` for the
server's own.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from bench import kubeproxy, namespaces, nginx
from bench.load import Target
from bench.namespaces import SERVER_ADDRESS, PlainNetwork, command, enter, wait_for_listener
from bench.suite import Cores


class Plain:
    """A node that only routes. `Rules` builds on it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.network = PlainNetwork(name)
        self._directory: Path | None = None
        self._server: subprocess.Popen[str] | None = None

    def setup(self, cores: Cores) -> Target:
        self.network.create()
        self._directory = namespaces.directory(self.name)
        inside = self.inside_server
        self._server = subprocess.Popen(
            [*inside, *self._server_command(self._directory, cores.server)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C is the harness's, which then tears down
        )
        wait_for_listener(inside, nginx.PORT, self._server)
        return Target(enter(self.network.client), SERVER_ADDRESS, nginx.PORT)

    @property
    def inside_server(self) -> tuple[str, ...]:
        """The argv that runs what follows it as the server."""
        return enter(self.network.server)

    def _server_command(self, directory: Path, cpu: int) -> tuple[str, ...]:
        return nginx.command_line(directory, cpu)

    def teardown(self) -> None:
        self.network.remove()
        if self._server is not None:
            self._server.communicate()
        if self._directory is not None:
            shutil.rmtree(self._directory)


class Rules(Plain):
    """kube-proxy's rules for `count` services, loaded by `loader` inside the node."""

    def __init__(
        self,
        name: str,
        count: int,
        render: Callable[[list[kubeproxy.Service]], str],
        loader: tuple[str, ...],
    ) -> None:
        super().__init__(name)
        self._count, self._render, self._loader = count, render, loader

    def setup(self, cores: Cores) -> Target:
        target = super().setup(cores)
        services = kubeproxy.services(self._count, SERVER_ADDRESS)
        command(*enter(self.network.node), *self._loader, stdin=self._render(services))
        return Target(target.inside, kubeproxy.measured(services).address, kubeproxy.PORT)


def iptables(count: int) -> Rules:
    """Legacy tables: iptables' nft variant walks the same list, but slower."""
    loader = ("iptables-legacy-restore",)
    return Rules(f"iptables-{count}", count, kubeproxy.iptables, loader)


def nftables(count: int) -> Rules:
    return Rules(f"nftables-{count}", count, kubeproxy.nftables, ("nft", "-f", "-"))
