"""A large world on one node: how long until it is in force, until one change is, and what memory.

The agent is a lab node's real one. 100 other nodes and all objects are files, as it would find
them. A change is timed from the moment its file is renamed into place until the kernel's map has
it, as seen by polling the map.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tulle import abi
from tulle.cli.client import Agent
from tulle.compile.parts import packed
from tulle.edges.bpf.maps import Map
from tulle.errors import TulleError
from tulle.lab.cluster import Cluster
from tulle.model.paths import NodePaths

from . import worlds
from .inspect_node import memory_mib, pinned_map
from .namespaces import SetupError, command
from .worlds import Json, Size

TULLE = str(Path(sys.executable).with_name("tulle"))
LOCAL_PODS = 20
CHANGES = 120
POLL_S = 0.0003
START_S = 120.0
CHANGE_S = 10.0
TCP = 6
BLOCKS = 40_000  # of policies that no map has room for
TARGETS = {"cold start": 15.0, "p50": 25.0, "p99": 100.0, "memory": 400.0}


@dataclass(frozen=True)
class Figure:
    """`limit` is what it must stay below; 0 if it only informs."""

    name: str
    value: float
    unit: str
    limit: float = 0.0

    @property
    def missed(self) -> bool:
        return bool(self.limit) and self.value >= self.limit


class BigNode:
    """A lab node in a cluster of its own. Who makes one calls `remove` in the end."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.name = f"scale-{os.getpid()}"
        self.paths = NodePaths(self.name)
        self.cluster = Cluster(self.name)
        self.agent = Agent(self.paths)
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """With some workloads of its own, and nothing of the large world yet."""
        (self.cluster.directory / "nodes").mkdir(mode=0o700, parents=True, exist_ok=True)
        self.cluster.manifests.mkdir(mode=0o700, exist_ok=True)
        pods = {"apiVersion": "v1", "kind": "List", "items": list(self._pods())}
        self.put("manifests", "local.json", worlds.encode(pods))
        command(TULLE, "lab", "up", self.name, "--cluster", self.name, "--routing", "vxlan")
        until(lambda: self.count("workloads") == LOCAL_PODS, START_S, "the node's own Pods run")

    def stop_agent(self) -> None:
        pid = int(self.paths.lock.read_text())
        os.kill(pid, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{pid}").exists(), START_S, "the agent has ended")

    def start_agent(self) -> float:
        """Seconds until the world is in force."""
        began = time.monotonic()
        with (self.paths.state / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(self._line(), stdout=log, stderr=log, cwd="/")
        until(lambda: self.count("services") == self.size.services, START_S, "the world is read")
        return time.monotonic() - began

    def write_world(self) -> None:
        for name, data in worlds.node_files(self.size):
            self.put("nodes", name, data)
        for name, data in worlds.manifests(self.size):
            self.put("manifests", name, data)

    def put(self, directory: str, name: str, data: bytes) -> float:
        """Write a file whole; when (CLOCK_MONOTONIC) it was put in place."""
        staged = self.cluster.directory / f".{name}.staged"
        staged.write_bytes(data)
        now = time.monotonic()
        staged.rename(self.cluster.directory / directory / name)
        return now

    def status(self) -> Json:
        return self.agent.get("/v1/status")

    def count(self, what: str) -> int:
        try:
            return int(self.status()["counts"].get(what, 0))
        except TulleError:
            if self._process is not None and self._process.poll() is not None:
                raise SetupError(f"the agent ended: see {self.paths.state}/agent.log") from None
            return 0

    def memory_mib(self, field: str) -> float:
        return memory_mib(int(self.paths.lock.read_text()), field)

    def map(self, name: str) -> AbstractContextManager[Map]:
        return pinned_map(self.paths, name)

    def remove(self) -> None:
        """Everything of it, also if it was made half-way."""
        command(TULLE, "lab", "down", self.name)
        if self._process is not None:
            self._process.wait()
        with suppress(FileNotFoundError):
            shutil.rmtree(self.cluster.directory)

    def _line(self) -> list[str]:
        member = self.cluster.members()[self.name]
        ranges = [word for cidr in member.pod_cidrs for word in ("--pod-cidr", cidr)]
        shared = ["--cluster-dir", str(self.cluster.directory), *ranges, *member.shared]
        return [TULLE, "--node", self.name, "up", *shared, *member.own]

    def _pods(self) -> Iterator[Json]:
        for index in range(LOCAL_PODS):
            yield {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"local-{index}",
                    "namespace": worlds.namespace_of(self.size, index),
                    "labels": {"app": f"app-{index % self.size.apps}"},
                },
                "spec": {
                    "nodeName": self.name,
                    "containers": [{"name": "main", "command": ["sleep", "infinity"]}],
                },
            }


def until(done: Callable[[], bool], seconds: float, what: str, poll_s: float = 0.02) -> None:
    """Wait; SetupError if it takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SetupError(f"{what}: not within {seconds:.0f} s")
        time.sleep(poll_s)


def slice_changes(node: BigNode) -> list[float]:
    """Milliseconds until a service leads somewhere else, its EndpointSlice being another."""
    rng, size, found = random.Random(1), node.size, []
    unready: set[int] = set()
    with node.map("services") as services:
        for _ in range(CHANGES):
            index = rng.randrange(size.services)
            unready ^= {index}
            key = abi.ServiceKey(packed(ip_address(worlds.service_address(index))), 80, TCP).pack()
            data = worlds.encode(worlds.endpoint_slice(size, index, index not in unready))
            found.append(timed(node, services, key, "manifests", worlds.slice_file(index), data))
            settle(rng)
    return found


def pod_changes(node: BigNode, change: Callable[[list[Json]], None]) -> list[float]:
    """Milliseconds until the first pod of another node is in force as `change` made it, or as it
    was before that, in turns."""
    rng, size, found = random.Random(2), node.size, []
    with node.map("endpoints") as endpoints:
        for _ in range(CHANGES // 2):
            index = rng.randrange(size.nodes)
            before, after = worlds.node_file(size, index), worlds.node_file(size, index)
            change(after["pods"])
            key = packed(ip_address(worlds.pod_address(size, index)))
            for file in (after, before):
                data = worlds.encode(file)
                name = f"{worlds.node_name(index)}.json"
                found.append(timed(node, endpoints, key, "nodes", name, data))
                settle(rng)
    return found


def end_first(pods: list[Json]) -> None:
    del pods[0]


def relabel_first(pods: list[Json]) -> None:
    """To those of an app that has a policy of its own."""
    pods[0]["metadata"]["labels"]["app"] = pods[-1]["metadata"]["labels"]["app"]


def timed(node: BigNode, map_: Map, key: bytes, directory: str, name: str, data: bytes) -> float:
    """Milliseconds from the file's being there until the value of `key` is another."""

    def value() -> bytes | None:
        try:
            return map_[key]
        except KeyError:
            return None

    before = value()
    began = node.put(directory, name, data)
    until(lambda: value() != before, CHANGE_S, f"{name} is in force", POLL_S)
    return (time.monotonic() - began) * 1000


def settle(rng: random.Random) -> None:
    """Until the pass has ended, and a little, so that changes fall anywhere between two rereads."""
    time.sleep(rng.uniform(0.05, 0.15))


def check_full_map(node: BigNode) -> str:
    """What is said of policies with more blocks than a map holds; SetupError if nothing is.

    Everything else must stay in force.
    """
    files = dict(worlds.too_many_blocks(BLOCKS))
    for name, data in files.items():
        node.put("manifests", name, data)
    reasons: list[str] = []

    def refused() -> bool:
        told = [f"{item['object']}: {item['reason']}" for item in node.status()["refused"]]
        reasons[:] = [text for text in told if "is full" in text]
        return bool(reasons)

    until(refused, 60, "a full map is refused", poll_s=0.2)
    said = reasons[0]
    if node.count("services") != node.size.services:
        raise SetupError("services are not in force beside what has no room")
    for name in files:
        (node.cluster.manifests / name).unlink()
    until(lambda: not refused(), 60, "the refusals have gone", poll_s=0.2)
    return said


def measure(size: Size, tell: Callable[[str], None]) -> tuple[list[Figure], str]:
    """The figures, and what was said of the full map."""
    node = BigNode(size)
    try:
        tell("making a node")
        node.make()
        node.stop_agent()
        node.write_world()
        tell("starting its agent")
        figures = [Figure("cold start", node.start_agent(), "s", TARGETS["cold start"])]
        figures.append(Figure("memory after the start", node.memory_mib("VmRSS"), "MiB"))
        changes: dict[str, Callable[[], list[float]]] = {
            "EndpointSlice changes": lambda: slice_changes(node),
            "pod comes or goes": lambda: pod_changes(node, end_first),
            "pod changes its labels": lambda: pod_changes(node, relabel_first),
        }
        for what, run in changes.items():
            tell(f"changing: {what}")
            took = sorted(run())
            middle, high = took[len(took) // 2], took[int(len(took) * 0.99)]
            figures.append(Figure(f"{what}, p50", middle, "ms", TARGETS["p50"]))
            figures.append(Figure(f"{what}, p99", high, "ms", TARGETS["p99"]))
        figures.append(Figure("memory", node.memory_mib("VmRSS"), "MiB", TARGETS["memory"]))
        figures.append(
            Figure("memory, at most", node.memory_mib("VmHWM"), "MiB", TARGETS["memory"])
        )
        tell("filling a map")
        return figures, check_full_map(node)
    finally:
        tell("cleaning up")
        node.remove()


def show(console: Console, size: Size, figures: list[Figure], said: str) -> None:
    endpoints = size.services * size.endpoints
    title = (
        f"{size.services:,} services, {endpoints:,} endpoints, {size.pods:,} pods on {size.nodes} "
        f"other nodes, {size.identities:,} identities, {size.policies:,} policies"
    )
    table = Table(title=title, box=None, pad_edge=False)
    for heading in ("", "measured", "allowed"):
        table.add_column(heading, justify="left" if not heading else "right")
    for figure in figures:
        limit = f"< {figure.limit:g} {figure.unit}" if figure.limit else ""
        style = "red" if figure.missed else None
        table.add_row(figure.name, f"{figure.value:.1f} {figure.unit}", limit, style=style)
    console.print(table)
    console.print(f"\nA full map: {said}", highlight=False, soft_wrap=True)


def run(size: Size, json_file: Path | None) -> int:
    """Measure, print, and write `json_file` if there is one; the exit code.

    Raises ClickException.
    """
    signal.signal(signal.SIGTERM, _end)
    try:
        figures, said = measure(size, lambda what: click.echo(what, err=True))
    except (SetupError, TulleError) as error:
        raise click.ClickException(str(error)) from error
    show(Console(), size, figures, said)
    if json_file:
        rows = [asdict(figure) for figure in figures]
        json_file.write_text(json.dumps({"figures": rows, "full": said}, indent=2) + "\n")
    return 1 if any(figure.missed for figure in figures) else 0


def _end(number: int, _: object) -> None:
    """As an exception, so that what was made is removed."""
    sys.exit(128 + number)


@click.command()
@click.option("--small", is_flag=True, help="A small world: to see that the bench itself works.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
def main(small: bool, json_file: Path | None) -> None:
    """Measure a large world on one node."""
    if os.geteuid() != 0:
        raise click.ClickException("the bench makes network namespaces: run it as root")
    sys.exit(run(worlds.SMALL if small else Size(), json_file))


if __name__ == "__main__":
    main(prog_name="python -m bench.scale")
