"""What routes cost: `python -m bench.routes`. Figures, not a test.

- How long a change of a route takes from `tulle apply`'s request to traffic that has moved, alone
  and among many routes: one kept connection asks without pause, its route is pointed at another
  backend, and the first answer from there ends the measurement.
- How long new connections are not served when the Envoy that serves is killed.
- What Envoy takes with so many routes, and what proxies take that are configured by hand.

Beside what has a limit stands the limit; if one is missed, the exit code is 1.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import quantiles
from typing import Any

import yaml

from bench.load import Client, LoadError, Requests
from bench.namespaces import remove_stale
from bench.rounds import warm_up
from bench.scenarios.proxies import ByHand, ByHandTwice, Sidecars, TulleProxy, memory_kib
from bench.scenarios.tulle import TULLE
from bench.suite import Cores
from tulle.cli.client import Agent
from tulle.model.paths import NodePaths

CHANGES = 100
# Limits: the median of one route alone, and among many; the longest silence; each Envoy
MOVED_MS, AMONG_MS, SILENT_MS, ENVOY_MIB = 20.0, 50.0, 50.0, 120 / 1.048576
KILLS, BETWEEN_S = 5, 1.5
ROUTES = 1000
NODE = f"bench-{os.getpid()}-routes"
LOAD_S = 2.0
SERVE = """
import socket, sys, threading
name = sys.argv[1].encode()
def answer(peer):
    while peer.recv(65536):
        peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(name), name))
server = socket.create_server(("", 8080), backlog=64)
while True: threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()
"""
# prints CLOCK_MONOTONIC and the backend of every answer
ASK = """
import http.client, sys, time
connection = http.client.HTTPConnection(sys.argv[1], 80)
while True:
    connection.request("GET", "/"); answer = connection.getresponse().read().decode()
    print(time.monotonic(), answer, flush=True)
"""
# asks over a new connection each time; prints the longest time without an answer, and the lost
ASK_ANEW = """
import http.client, sys, time
last, longest, lost = time.monotonic(), 0.0, 0
end = last + float(sys.argv[2])
while time.monotonic() < end:
    try:
        connection = http.client.HTTPConnection(sys.argv[1], 80, timeout=5)
        connection.request("GET", "/"); connection.getresponse().read(); connection.close()
    except (OSError, http.client.HTTPException):
        lost += 1
        continue
    now = time.monotonic()
    last, longest = now, max(longest, now - last)
print(max(longest, time.monotonic() - last) * 1000, lost)
"""


class Answers:
    """The latest answer, and when the first from each backend since the last `forget` came."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child, self._first = child, dict[str, float]()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            when, _, backend = line.strip().partition(" ")
            self._first.setdefault(backend, float(when))

    def forget(self) -> None:
        self._first = {}

    def first(self, backend: str, timeout_s: float = 5.0) -> float:
        deadline = time.monotonic() + timeout_s
        while backend not in self._first:
            if time.monotonic() > deadline:
                raise SystemExit(f"traffic did not move to {backend} within {timeout_s} s")
            time.sleep(0.0005)
        return self._first[backend]


def tulle(*arguments: str, stdin: str = "") -> str:
    line = [TULLE, "--node", NODE, *arguments]
    done = subprocess.run(line, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"tulle {' '.join(arguments)}: {done.stderr or done.stdout}")
    return done.stdout


def service(name: str, app: str) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    spec = {"selector": {"app": app}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def route(name: str, parent: str, backend: str) -> dict[str, Any]:
    spec = {
        "parentRefs": [{"group": "", "kind": "Service", "name": parent, "port": 80}],
        "rules": [
            {
                "matches": [
                    {"path": {"value": "/"}},
                    {"headers": [{"name": "version", "value": "two"}]},
                ],
                "backendRefs": [{"name": backend, "port": 80}],
            }
        ],
    }
    meta = {"name": name}
    version = "gateway.networking.k8s.io/v1"
    return {"apiVersion": version, "kind": "HTTPRoute", "metadata": meta, "spec": spec}


@contextmanager
def traffic() -> Iterator[tuple[Answers, str]]:
    """With the address of the service that is asked."""
    subprocess.run([TULLE, "lab", "up", NODE], check=True, capture_output=True)
    child = None
    try:
        for name in ("one", "two"):
            words = ("run", "-d", "--name", name, "-l", f"app={name}", "--")
            tulle(*words, sys.executable, "-c", SERVE, name)
        tulle("run", "-d", "--name", "client", "--", "sleep", "inf")
        objects = [service(name, name) for name in ("one", "two")]
        objects += [service("moving", "one"), route("moving", "moving", "one")]
        tulle("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
        listed = json.loads(tulle("get", "services", "-o", "json"))["items"]
        address = next(item["cluster_ips"][0] for item in listed if item["name"] == "moving")
        child = asking(ASK, address)
        answers = Answers(child)
        answers.first("one")
        yield answers, address
    finally:
        if child is not None:
            child.kill()
            child.communicate()
        subprocess.run([TULLE, "lab", "down", NODE], check=True, capture_output=True)


def asking(program: str, *words: str) -> subprocess.Popen[str]:
    """Quietly: one whose Envoy is killed has lost its connection."""
    ask = ("exec", "client", "--", sys.executable, "-c", program, *words)
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([TULLE, "--node", NODE, *ask], text=True, **quiet)


def move(answers: Answers, agent: Agent, backend: str) -> float:
    """Milliseconds from the request to the agent until the first answer of the other backend."""
    manifest = json.dumps(route("moving", "moving", backend)).encode()
    answers.forget()
    began = time.monotonic()
    agent.post("/v1/apply", manifest)
    return (answers.first(backend) - began) * 1000


def moves(answers: Answers, title: str) -> float:
    """The median."""
    agent = Agent(NodePaths(NODE))
    figures = [move(answers, agent, ("two", "one")[number % 2]) for number in range(CHANGES)]
    cuts = quantiles(figures, n=100, method="inclusive")
    print(f"p50 {cuts[49]:6.1f} ms  p99 {cuts[98]:6.1f} ms  max {max(figures):6.1f} ms  {title}")
    return cuts[49]


def kills(address: str) -> float:
    """The longest silence, while those that serve are killed one after the other."""
    child = asking(ASK_ANEW, address, str((KILLS + 1) * BETWEEN_S))
    for _ in range(KILLS):
        time.sleep(BETWEEN_S)
        serving = (item["pid"] for item in envoys() if item["state"] == "serving")
        os.kill(next(serving), signal.SIGKILL)
    longest_ms, lost = child.communicate()[0].split()
    print(
        f"max {float(longest_ms):6.1f} ms  no answer, {KILLS} Envoys killed, {lost} requests lost"
    )
    return float(longest_ms)


def is_kept(found: float, limit: float, unit: str = "ms") -> bool:
    print(f"{'':15}must stay below {limit:.0f} {unit}{'' if found < limit else ': MISSED'}")
    return found < limit


def envoys() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(tulle("status", "-o", "json"))["proxy"]["envoys"]
    return found


def envoy_mib(title: str) -> float:
    """The mean of those of the node."""
    found = [memory_kib(item["pid"]) / 1024 for item in envoys()]
    mean = sum(found) / len(found)
    print(f"{mean:7.1f} MiB  each of {len(found)} Envoys, {title}")
    return mean


def of_proxies() -> None:
    """Under load, as its connections count too."""
    cores = Cores(min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0)))
    phase = Requests("load", connections=16, keep_alive=True, seconds=LOAD_S)
    by_hand = (ByHand("by-hand"), ByHandTwice("by-hand-twice"))
    alone = TulleProxy("tulle-proxy-alone", 1, "--no-proxy-standby")
    made = (*by_hand, Sidecars("sidecars"), TulleProxy("tulle-proxy", 1), alone)
    for scenario in made:
        try:
            client = Client(scenario.setup(cores), cores.client)
            warm_up(client)
            client.measure(phase)
            print(f"{scenario.memory_kib() / 1024:7.1f} MiB  {scenario.name}")
            client.close()
        except LoadError as error:
            print(f"failed: {scenario.name}: {error}")
        finally:
            scenario.teardown()


def main() -> None:
    remove_stale()
    with traffic() as (answers, _):
        moved_ms = moves(answers, "a route's change → traffic moved, 1 route")
        kept = [is_kept(moved_ms, MOVED_MS)]
        envoy_mib("1 route")
        many = [item for n in range(ROUTES) for item in (service(f"s{n}", "one"),)]
        many += [route(f"r{n}", f"s{n}", "one") for n in range(ROUTES)]
        began = time.monotonic()
        tulle("apply", "-f", "-", stdin=yaml.safe_dump_all(many))
        print(f"{time.monotonic() - began:7.1f} s    to apply {ROUTES} services with routes")
        among_ms = moves(answers, f"the same, among {ROUTES} routes")
        kept.append(is_kept(among_ms, AMONG_MS))
        kept.append(is_kept(envoy_mib(f"{ROUTES} routes"), ENVOY_MIB, "MiB"))
    with traffic() as (_, address):
        kept.append(is_kept(kills(address), SILENT_MS))
    of_proxies()
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
