"""One measurement, pinned to a core, inside the client's namespace.

`Requests` is wrk. It counts whole seconds, so `timeout` interrupts it; it then stops at its next
100 ms mark, reports, and says itself how long it ran.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SCRIPT = Path(__file__).with_name("load.lua")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_END = "bench-end"


class LoadError(Exception):
    """A measurement failed: the generator did not run, or requests did."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load comes from and goes to: what a scenario hands to the harness.

    `inside` is the argv that runs what follows it as the client.
    """

    inside: tuple[str, ...]
    host: str
    http_port: int = 80
    bulk_port: int = 5001
    packets_port: int = 5002


class Phase(Protocol):
    """A kind of load."""

    @property
    def name(self) -> str: ...

    def command(self, target: Target) -> str:
        """The line of shell that puts it on the target, from inside."""

    def parse(self, output: str) -> object:
        """A sample, with the fields that metrics name. LoadError if that line failed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one measurement gave. CPU is that of the whole machine."""

    p50_us: float
    p99_us: float
    requests_per_s: float
    cpu_us_per_request: float


@dataclass(frozen=True, slots=True)
class Requests:
    """Load by HTTP requests. `keep_alive` false opens a connection for every one."""

    name: str
    connections: int
    keep_alive: bool
    seconds: float

    def command(self, target: Target) -> str:
        # the real end is timeout's; wrk's own only has to be later
        argv = ["timeout", "-s", "INT", "-k", "5", f"{self.seconds}"]
        argv += ["wrk", "-t", "1", "-c", str(self.connections), "-d", "60", "-s", str(SCRIPT)]
        if not self.keep_alive:
            argv += ["-H", "Connection: close"]
        return shlex.join([*argv, f"http://{target.host}:{target.http_port}/"])

    def parse(self, output: str) -> Sample:
        """Read load.lua's line out of wrk's output."""
        line = next((line for line in output.splitlines() if line.startswith('{"wrk"')), None)
        if line is None:
            raise LoadError(f"wrk gave no figures: {output.strip()[-500:]}")
        raw = json.loads(line)
        if raw["errors"] or not raw["requests"]:
            raise LoadError(f"{raw['errors']} requests failed, {raw['requests']} succeeded")
        return Sample(
            p50_us=percentile(raw["histogram"], 0.50),
            p99_us=percentile(raw["histogram"], 0.99),
            requests_per_s=raw["requests"] / raw["duration_us"] * 1e6,
            cpu_us_per_request=raw["busy_ticks"] / TICKS_PER_S * 1e6 / raw["requests"],
        )


class Client:
    """A shell inside the client's namespace, kept open: entering it again would cost each time."""

    def __init__(self, target: Target, cpu: int) -> None:
        """`cpu` is the core that it is pinned to."""
        self._target = target
        self._shell = subprocess.Popen(
            ["taskset", "-c", str(cpu), *target.inside, "sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C is the harness's, which then closes in order
        )
        # enough ports that a round of new connections seldom meets its predecessor's
        self.run("sysctl -qw net.ipv4.ip_local_port_range='1024 65535'")

    def run(self, command: str) -> str:
        """Run one line of shell and return its output. LoadError if the shell is gone."""
        stdin, stdout = self._shell.stdin, self._shell.stdout
        assert stdin is not None and stdout is not None
        lines: list[str] = []
        try:
            stdin.write(f"{command} 2>&1 </dev/null; echo {_END}\n")
            stdin.flush()
            for line in stdout:
                if line.rstrip("\n") == _END:
                    return "".join(lines)
                lines.append(line)
        except BrokenPipeError:
            pass
        raise LoadError(f"the client's shell ended: {''.join(lines).strip()[-500:]}")

    def measure(self, phase: Phase) -> object:
        """LoadError if the load could not be put on, or if any request failed."""
        return phase.parse(self.run(phase.command(self._target)))

    def close(self) -> None:
        self._shell.kill()
        self._shell.communicate()


def percentile(histogram: Sequence[tuple[int, int]], fraction: float) -> float:
    """The value below which `fraction` of the samples lie; (whole µs, count), ascending.

    Interpolated within the microsecond: wrk cuts latencies to whole ones, and at 30 µs one step
    would be 3 %.

    >>> percentile([(30, 10), (31, 10)], 0.25)
    30.5
    """
    wanted = fraction * sum(count for _, count in histogram)
    for value, count in histogram:
        if count >= wanted:
            return value + wanted / count
        wanted -= count
    raise LoadError("wrk gave an empty histogram")
