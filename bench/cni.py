"""What pods of a container runtime cost: `python -m bench.cni`. Figures, not a test.

- How long an ADD and a DEL take, from the start of the plugin's process to its end: for one when so
  many are under way at a time, and for each of them when 100 are asked for at once.
- Whether anything is left after 1,000 pods came and went while plugins and the agent were killed at
  random: interfaces, addresses, records, pins. `--cycles 0` leaves that out.

Beside what has a limit stands the limit; if one is missed, the exit code is 1.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median, quantiles

import click

from tulle.cni import plugin
from tulle.edges import netlink, netns
from tulle.model.paths import NodePaths

from .scenarios.tulle import TULLE

PODS = 100
LIMIT_MS = 100.0  # a pod, of so many at once
CYCLES = 1000
AT_ONCE = 10  # in a round of kills
AGENT_KILLS = 4  # in one of so many rounds
NODE = f"bench-{os.getpid()}-cni"
PATHS = NodePaths(NODE)
RUN = Path(f"/run/{NODE}")
CONFIG = json.dumps({"cniVersion": "1.1.0", "name": "bench", "type": "tulle"}).encode()


class Failed(click.ClickException):
    pass


class Plugin:
    """Calls of the plugin as a runtime makes them, each a process."""

    def __init__(self) -> None:
        self._program, self._config = RUN / "tulle", RUN / "config"
        source = Path(plugin.__file__).read_text()
        RUN.mkdir()
        self._program.write_text(source.replace("@SOCKET@", str(PATHS.socket)))
        self._program.chmod(0o755)
        self._config.write_bytes(CONFIG)

    def start(self, verb: str, pod: str) -> int:
        """The process."""
        variables = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": pod,
            "CNI_NETNS": str(RUN / "netns" / pod),
            "CNI_IFNAME": "eth0",
            "CNI_ARGS": f"K8S_POD_NAMESPACE=bench;K8S_POD_NAME={pod}",
        }
        files = [
            (os.POSIX_SPAWN_OPEN, 0, self._config, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        ]
        return os.posix_spawn(self._program, [self._program], variables, file_actions=files)

    def times_ms(self, verb: str, pods: Sequence[str], at_once: int) -> list[float]:
        """Of each, `at_once` of them under way at a time. Raises Failed if one failed."""
        began: dict[int, float] = {}
        times = []
        waiting = list(reversed(pods))
        while waiting or began:
            while waiting and len(began) < at_once:
                now = time.monotonic()
                began[self.start(verb, waiting.pop())] = now
            pid, status = os.wait()
            times.append((time.monotonic() - began.pop(pid)) * 1000)
            if status:
                raise Failed(f"{verb} failed with status {status}")
        return times


def measure(call: Plugin, pods: int) -> bool:
    """Whether everything kept within its limits."""
    names = [f"pod-{number}" for number in range(pods)]
    for name in names:
        netns.create(RUN / "netns" / name)
    good = True
    for at_once in (1, 8, pods):
        for verb in ("ADD", "DEL"):
            cpu, began = cpu_ms(), time.monotonic()
            times = call.times_ms(verb, names, at_once)
            each = (time.monotonic() - began) * 1000 / pods
            plugins, agent = ((now - then) / pods for now, then in zip(cpu_ms(), cpu, strict=True))
            line = f"{verb} of {pods} pods, {at_once:3} at a time: {each:6.1f} ms a pod"
            if at_once == pods:
                good = good and each < LIMIT_MS
                line += f" (limit {LIMIT_MS:.0f})"
            p99 = quantiles(times, n=100)[98]
            line += f"; of one, median {median(times):.1f} ms, p99 {p99:.1f} ms"
            print(f"{line}; CPU {plugins:.1f} ms plugin, {agent:.1f} ms agent", flush=True)
    for name in names:
        netns.delete(RUN / "netns" / name)
    return good


def cpu_ms() -> tuple[float, float]:
    """That plugins and the agent have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    stat = Path(f"/proc/{PATHS.lock.read_text()}/stat").read_text().rpartition(")")[2].split()
    agent = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    return (usage.ru_utime + usage.ru_stime) * 1000, agent * 1000


def with_kills(call: Plugin, cycles: int) -> bool:
    """Whether so many pods leave nothing behind."""
    before, killed, killed_agents, failed = left(), 0, 0, 0
    for start in range(0, cycles, AT_ONCE):
        names = [f"kill-{number}" for number in range(start, start + AT_ONCE)]
        for name in names:
            netns.create(RUN / "netns" / name)
        callers = [call.start("ADD", name) for name in names]
        time.sleep(random.uniform(0.0, 0.4))
        victims = random.sample(callers, AT_ONCE // 3)
        for victim in victims:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        if random.randrange(AGENT_KILLS) == 0:
            killed_agents += 1
            os.kill(int(PATHS.lock.read_text()), signal.SIGKILL)
            up()
        for caller in callers:
            status = os.waitpid(caller, 0)[1]
            killed += status == signal.SIGKILL
            failed += status not in (0, signal.SIGKILL)
        call.times_ms("DEL", names, AT_ONCE)
        for name in names:
            netns.delete(RUN / "netns" / name)
    deadline = time.monotonic() + 10
    while (after := left()) != before and time.monotonic() < deadline:
        time.sleep(0.1)
    print(
        f"{cycles} pods came and went; {killed} plugins and {killed_agents} agents were killed, "
        f"{failed} ADDs failed (limit 0); left behind: {sorted(after - before) or 'nothing'}"
    )
    return after == before and not failed


def left() -> set[str]:
    """What pods may leave: interfaces, pins, records, leases."""
    there = netns.run_in(PATHS.netns, netlink.interfaces)
    found = {f"interface {name}" for name in there}
    found |= {f"pin {path.name}" for path in (PATHS.bpffs / "links").iterdir()}
    found |= {f"record {path.name}" for path in (PATHS.state / "sandboxes").glob("*")}
    leases = PATHS.durable / "addresses-leases.json"
    held = json.loads(leases.read_text())["held"] if leases.exists() else {}
    return found | {f"address {number} of {owner}" for number, owner in held.items()}


def up() -> None:
    subprocess.run([TULLE, "lab", "up", NODE], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def node() -> Iterator[None]:
    up()
    try:
        yield
    finally:
        netns.delete_all(RUN / "netns")
        for path in RUN.glob("*"):
            path.unlink()
        with suppress(FileNotFoundError):
            RUN.rmdir()
        subprocess.run([TULLE, "lab", "down", NODE], check=True, stdout=subprocess.DEVNULL)


@click.command()
@click.option("--cycles", default=CYCLES, help="Pods that come and go among kills.")
@click.option("--pods", default=PODS, help="At once.")
def main(cycles: int, pods: int) -> None:
    """What pods of a container runtime cost, and whether they leave anything."""
    with node():
        call = Plugin()
        good = measure(call, pods) if pods else True
        good = (with_kills(call, cycles) if cycles else True) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
