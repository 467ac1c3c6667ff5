"""Whether a container is ready: a `readinessProbe.tcpSocket`, tried from the node."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tulle.edges import netns
from tulle.model.kubernetes import Container, Probe, TCPSocketAction
from tulle.model.world import IPAddress


class Readiness:
    """Counts results of a probe into a state, by its thresholds. Pure."""

    def __init__(self, probe: Probe, ready: bool = False) -> None:
        self._needed = {True: probe.success_threshold, False: probe.failure_threshold}
        self.ready = ready
        self._against = 0  # results in a row that speak against the present state

    def saw(self, success: bool) -> bool:
        """The state after one more result."""
        self._against = self._against + 1 if success != self.ready else 0
        if self._against >= self._needed[success]:
            self.ready, self._against = success, 0
        return self.ready


def probe_port(container: Container, action: TCPSocketAction) -> int:
    """The port to connect to, which may be one of the container's by name."""
    if isinstance(action.port, int):
        return action.port
    return {port.name: port.container_port for port in container.ports}[action.port]


async def watch(
    probe: Probe,
    target: tuple[IPAddress, int],
    node_netns: Path | None,
    ready: bool,
    report: Callable[[bool], None],
) -> None:
    """Probe for ever, and report each result's state. `ready` is the state to begin with."""
    state = Readiness(probe, ready)
    if not ready:
        await asyncio.sleep(probe.initial_delay_seconds)
    while True:
        report(state.saw(await _connects(target, node_netns, probe.timeout_seconds)))
        await asyncio.sleep(probe.period_seconds)


async def _connects(target: tuple[IPAddress, int], node_netns: Path | None, timeout_s: int) -> bool:
    family = socket.AF_INET if target[0].version == 4 else socket.AF_INET6
    # a socket stays in the namespace where it was made
    made = netns.run_in(node_netns, partial(socket.socket, family, socket.SOCK_STREAM))
    with made as sock:
        sock.setblocking(False)
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.get_running_loop().sock_connect(sock, (str(target[0]), target[1]))
        except OSError:  # TimeoutError is one too
            return False
    return True
