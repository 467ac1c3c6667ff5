"""The demo, run as a user runs it: what it promises holds, and nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.mesh import tulle
from tulle.edges.cgroup import find_mount
from tulle.model.paths import NodePaths

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 240.0
ENDING_S = 5.0
NODES = ("demo", "demo-2")
PLACES = (
    "/run/tulle-demo",
    "/run/tulle-lab/demo",
    "/run/netns/tulle-bench-*-demo-*",
    "/tmp/tulle-bench-*-demo-*",  # noqa: S108
)


class Demo:
    """A running demo; `output` is what it has said so far."""

    def __init__(self, output: Path) -> None:
        self._path = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "demo"],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._path.read_text()

    def wait(self) -> int:
        return self.process.wait(TIMEOUT_S)

    def stop(self, number: signal.Signals) -> None:
        """Signal it, and hold it to its word."""
        self.process.send_signal(number)
        assert self.wait() == 128 + number, self.output
        assert "✓ nothing is left" in self.output
        assert "Traceback" not in self.output
        assert left() == []

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Demo]]:
    """Starts demos; whatever still runs in the end is told to clean up."""
    started: list[Demo] = []

    def start() -> Demo:
        started.append(Demo(tmp_path / f"{len(started)}.txt"))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.wait()


def left() -> list[str]:
    """What a demo has left on this machine; a process may be about to end."""
    deadline = time.monotonic() + ENDING_S
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def look() -> list[str]:
    places = []
    for paths in map(NodePaths, NODES):
        places += [paths.state, paths.bpffs, find_mount() / paths.cgroup]
    places += [found for place in PLACES for found in Path("/").glob(place[1:])]
    return [str(place) for place in places if place.exists()] + processes()


def processes() -> list[str]:
    """Command lines of the nodes' agents and of everything in their workloads."""
    lines = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            cgroup = (path / "cgroup").read_text()
        except OSError:  # it has ended
            continue
        if not line:  # a zombie, which its new parent has not noticed yet
            continue
        ours = [f"/tulle-{node}/" in cgroup or f"--node {node} " in line for node in NODES]
        if any(ours):
            lines.append(line)
    return lines


def test_what_the_tour_promises_holds_and_nothing_stays(start: Callable[[], Demo]) -> None:
    demo = start()
    assert demo.wait() == 0, demo.output
    assert "All 31 promises held" in demo.output
    assert "✗" not in demo.output
    assert "\x1b" not in demo.output  # no terminal, no colours
    assert "DROPPED (TCP Flags: SYN) default deny by NetworkPolicy shop/db-from-api" in demo.output
    assert "FORWARDED (TCP Flags: SYN) NetworkPolicy shop/db-from-api ingress[0]" in demo.output
    assert "route    through the overlay to node demo\n" in demo.output
    assert (
        "route    comes in at node demo-2; goes on as 192.168.96.11 of node demo-2" in demo.output
    )
    assert "CiliumNetworkPolicy shop/api-not-for-guests ingressDeny[0]" in demo.output
    assert "AUDIT (TCP Flags: SYN) default deny by NetworkPolicy shop/api-from-web" in demo.output
    assert "rule     HTTPRoute shop/canary rules[1]\n" in demo.output
    assert "20 answered, 20 failed" in demo.output and "40 answered, 0 failed" in demo.output
    assert "denied by CiliumNetworkPolicy shop/web-is-read-only ingress[0]" in demo.output
    assert "http-response FORWARDED (HTTP/1.1 200 " in demo.output
    assert "200 over HTTP/2" in demo.output
    for figure in ("api-1", "api-2", "api-3", "api-4", "api-next", "p50", "p99"):
        assert figure in demo.output
    assert left() == []


def test_it_cleans_up_after_agents_that_have_died(start: Callable[[], Demo]) -> None:
    demo = start()
    demo.wait_for("$ tulle lab outside")
    agents = [json.loads(tulle("--node", node, "status", "-o", "json"))["pid"] for node in NODES]
    demo.process.send_signal(signal.SIGSTOP)  # it learns of both at once
    for pid in agents:
        os.kill(pid, signal.SIGKILL)
    threading.Timer(0.5, demo.process.send_signal, [signal.SIGCONT]).start()
    demo.stop(signal.SIGTERM)


def test_the_next_one_cleans_up_after_one_that_was_killed(start: Callable[[], Demo]) -> None:
    """And after itself when it is stopped."""
    killed = start()
    killed.wait_for("$ tulle lab outside")
    killed.process.kill()
    killed.wait()
    assert left() != []
    demo = start()
    demo.wait_for("$ tulle lab up demo-2")
    demo.stop(signal.SIGINT)


def test_there_is_one_at_a_time(start: Callable[[], Demo]) -> None:
    first = start()
    first.wait_for("$ tulle lab up demo")
    second = start()
    assert second.wait() == 1
    assert "a demo is running already" in second.output
    first.stop(signal.SIGINT)
