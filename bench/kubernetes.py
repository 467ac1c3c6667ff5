"""A large cluster in a real API server: how long one node's agent takes to have it in force.

Everything is written by requests, and the agent reads it as it would anywhere. A change is timed
from before its request is sent until the kernel's map has it. How much of that is the server's own
tells the time of its answer, which it gives when it tells its watchers. What watches cost is
counted at the node's own interface.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tulle import abi
from tulle.cli.client import Agent
from tulle.compile.parts import packed
from tulle.edges import netns
from tulle.edges.bpf.maps import Map
from tulle.edges.kubernetes.client import Client
from tulle.edges.netlink.fabric import UPLINK
from tulle.errors import TulleError
from tulle.model.paths import NodePaths

from . import worlds
from .inspect_node import cpu_s, memory_mib, pinned_map
from .namespaces import SetupError
from .scale import CHANGE_S, POLL_S, TCP, TULLE, Figure
from .worlds import Json, Size
from .written import BigCluster

WHOLE = Size(services=5_000, pods=50_000, nodes=1_000, policies=500)
START_S = 1200.0  # until it is given up: others may want the machine
QUIET_S = 10.0
CHANGES = 300  # of each kind: three of them may be late
LIMITS = {"list": 30.0, "p99": 100.0, "memory": 400.0}


def part(percent: int) -> Size:
    """So much of everything that there are many of."""
    services, pods, nodes, policies = (
        max(1, count * percent // 100)
        for count in (WHOLE.services, WHOLE.pods, WHOLE.nodes, WHOLE.policies)
    )
    return Size(services=services, pods=pods, nodes=nodes, policies=policies)


class Watching:
    """The agent of the cluster's node."""

    def __init__(self, cluster: BigCluster) -> None:
        self._cluster = cluster
        self._paths = NodePaths(cluster.node)
        self._agent = Agent(self._paths)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Seconds until everything is in force."""
        size, began = self._cluster.size, time.monotonic()
        config = self._cluster.plane.directory / "admin.kubeconfig"
        line = [TULLE, "--node", self._cluster.node, "up", "--kubernetes", str(config)]
        with (self._paths.state / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(line, stdout=log, stderr=log, cwd="/")
        wanted = {"services": size.services + 1, "remote_workloads": size.pods}  # + `kubernetes`

        def is_in_force() -> bool:
            counts = self.counts()
            return all(counts.get(name) == count for name, count in wanted.items())

        deadline = began + START_S
        while not is_in_force():
            if time.monotonic() > deadline:
                raise SetupError(f"in force after {START_S:.0f} s: {self.counts()} of {wanted}")
            time.sleep(0.1)
        return time.monotonic() - began

    def counts(self) -> Json:
        try:
            found: Json = self._agent.get("/v1/status")["counts"]
        except TulleError:
            if self._process is not None and self._process.poll() is not None:
                raise SetupError(f"the agent ended: see {self._paths.state}/agent.log") from None
            return {}
        return found

    def memory_mib(self, field: str) -> float:
        assert self._process is not None
        return memory_mib(self._process.pid, field)

    def cpu_s(self) -> float:
        assert self._process is not None
        return cpu_s(self._process.pid)

    def received(self) -> int:
        """Bytes that the node has had from the API server, as nobody else speaks to it."""
        text = netns.run_in(self._paths.netns, Path("/proc/thread-self/net/dev").read_text)
        (line,) = (row for row in text.splitlines() if row.strip().startswith(f"{UPLINK}:"))
        return int(line.split(":")[1].split()[0])

    def connections(self) -> int:
        text = netns.run_in(self._paths.netns, Path("/proc/thread-self/net/tcp").read_text)
        return sum(row.split()[3] == "01" for row in text.splitlines()[1:])

    def map(self, name: str) -> AbstractContextManager[Map]:
        return pinned_map(self._paths, name)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


Times = tuple[float, float]  # milliseconds until a change is in force, and until it is answered


async def timed(map_: Map, key: bytes, change: Coroutine[Any, Any, object]) -> Times:
    """From before the request until the value of `key` is another."""

    async def answered() -> float:
        await change
        return time.monotonic()

    def value() -> bytes | None:
        try:
            return map_[key]
        except KeyError:
            return None

    before, began = value(), time.monotonic()
    asked = asyncio.ensure_future(answered())
    while value() == before:
        if time.monotonic() > began + CHANGE_S:
            raise SetupError(f"a change is in force: not within {CHANGE_S:.0f} s")
        await asyncio.sleep(POLL_S)
    took = time.monotonic() - began
    return took * 1000, (await asked - began) * 1000


async def pod_changes(cluster: BigCluster, client: Client, agent: Watching) -> list[Times]:
    """One pod of another node gets the labels of another app, and those that it had, in turns."""
    rng, size = random.Random(1), cluster.size
    found: list[Times] = []
    with agent.map("endpoints") as endpoints:
        for _ in range(CHANGES // 2):
            number = rng.randrange(size.pods)
            key = packed(ip_address(worlds.pod_address(size, number)))
            own = cluster.pod(number)["metadata"]["labels"]["app"]
            other = f"app-{(int(own.removeprefix('app-')) + 1) % size.apps}"
            for app in (other, own):
                change = cluster.label_pod(client, number, app)
                found.append(await timed(endpoints, key, change))
                await asyncio.sleep(rng.uniform(0.05, 0.15))
    return found


async def slice_changes(cluster: BigCluster, client: Client, agent: Watching) -> list[Times]:
    """A service's endpoint is no longer ready, or ready again."""
    rng = random.Random(2)
    found: list[Times] = []
    unready: set[int] = set()
    with agent.map("services") as services:
        for _ in range(CHANGES):
            index = rng.randrange(cluster.size.services)
            unready ^= {index}
            address = ip_address(worlds.service_address(index))
            key = abi.ServiceKey(packed(address), 80, TCP).pack()
            change = cluster.put_slice(client, index, index not in unready)
            found.append(await timed(services, key, change))
            await asyncio.sleep(rng.uniform(0.05, 0.15))
    return found


async def changes(cluster: BigCluster, agent: Watching) -> list[Figure]:
    figures = []
    kinds = {"a pod's labels": pod_changes, "an EndpointSlice": slice_changes}
    async with cluster.client() as client:
        for what, run in kinds.items():
            before, cpu_before_s = agent.received(), agent.cpu_s()
            times = await run(cluster, client, agent)
            took, answers = (sorted(some) for some in zip(*times, strict=True))
            each = (agent.received() - before) / len(took) / 1024
            cpu_ms = (agent.cpu_s() - cpu_before_s) / len(took) * 1000
            figures.append(Figure(f"{what} changes, p50", share(took, 50), "ms"))
            figures.append(Figure(f"{what} changes, p99", share(took, 99), "ms", LIMITS["p99"]))
            figures.append(Figure(f"{what} changes, the latest", took[-1], "ms"))
            figures.append(Figure(f"{what} changes: answered, p99", share(answers, 99), "ms"))
            figures.append(Figure(f"{what} changes: read", each, "KiB"))
            figures.append(Figure(f"{what} changes: processor", cpu_ms, "ms"))
    return figures


def share(ordered: list[float], percent: int) -> float:
    """The least of them that so many percent do not exceed."""
    return ordered[-(-len(ordered) * percent // 100) - 1]


def measure(size: Size, tell: Callable[[str], None]) -> list[Figure]:
    cluster = BigCluster(size)
    agent = Watching(cluster)
    try:
        tell("starting a control plane")
        cluster.make()
        began = time.monotonic()
        requests = asyncio.run(cluster.write(tell))
        wrote_s = time.monotonic() - began
        tell("starting the node's agent")
        before = agent.received()
        figures = [
            Figure("written", requests / wrote_s, "objects/s"),
            Figure("agent's start until in force", agent.start(), "s", LIMITS["list"]),
            Figure("processor for that", agent.cpu_s(), "s"),
            Figure("read for that", (agent.received() - before) / 2**20, "MiB"),
            Figure("connections to the API server", agent.connections(), ""),
            Figure("memory after the start", agent.memory_mib("VmRSS"), "MiB", LIMITS["memory"]),
        ]
        tell("counting what watches cost while nothing changes")
        before = agent.received()
        time.sleep(QUIET_S)
        quiet = (agent.received() - before) / QUIET_S
        figures.append(Figure("read while nothing changes", quiet, "B/s"))
        tell("changing single objects")
        figures += asyncio.run(changes(cluster, agent))
        figures.append(Figure("memory", agent.memory_mib("VmRSS"), "MiB", LIMITS["memory"]))
        most = agent.memory_mib("VmHWM")
        figures.append(Figure("memory, at most", most, "MiB", LIMITS["memory"]))
        return figures
    finally:
        tell("cleaning up")
        agent.stop()
        cluster.remove()


def show(console: Console, size: Size, figures: list[Figure]) -> None:
    title = f"{size.services:,} services, {size.pods:,} pods on {size.nodes:,} pretended nodes"
    table = Table(title=title, box=None, pad_edge=False)
    for heading in ("", "measured", "allowed"):
        table.add_column(heading, justify="left" if not heading else "right")
    for figure in figures:
        limit = f"< {figure.limit:g} {figure.unit}" if figure.limit else ""
        style = "red" if figure.missed else None
        table.add_row(figure.name, f"{figure.value:.1f} {figure.unit}", limit, style=style)
    console.print(table)


def run(size: Size, json_file: Path | None) -> int:
    """Measure, print, and write `json_file` if there is one; the exit code.

    Raises ClickException.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        figures = measure(size, lambda what: click.echo(what, err=True))
    except (SetupError, TulleError, AssertionError) as error:
        raise click.ClickException(str(error)) from error
    show(Console(), size, figures)
    if json_file:
        rows = [asdict(figure) for figure in figures]
        json_file.write_text(json.dumps({"figures": rows}, indent=2) + "\n")
    return 1 if any(figure.missed for figure in figures) else 0
