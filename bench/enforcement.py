"""How long a policy takes from `tulle apply` to live traffic: `python -m bench.enforcement`.

One kept connection asks without pause. A policy that shuts it out is applied, then one that lets
it in again. Measured is the time from the start of the command to the last answer that came
through, to 2 ms, and how much of that is the agent's own; figures, not a test.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import quantiles

import yaml

from bench.scenarios.tulle import TULLE

ROUNDS = 50
NODE = f"bench-{os.getpid()}-apply"
ECHO = """
import socket
server = socket.create_server(("", 7), backlog=1); peer, _ = server.accept()
while data := peer.recv(64): peer.sendall(data)
"""
# prints CLOCK_MONOTONIC of every answer; an answer that does not come is retransmitted by TCP
ASK = """
import socket, sys, time
sock = socket.create_connection((sys.argv[1], 7)); sock.setsockopt(socket.IPPROTO_TCP, 1, 1)
while True:
    sock.sendall(b"?"); sock.recv(64); print(time.monotonic(), flush=True); time.sleep(0.002)
"""


class Answers:
    """The time of the latest answer."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.latest = 0.0
        self._child = child
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self.latest = float(line)


def tulle(*arguments: str, stdin: str = "") -> str:
    command = [TULLE, *arguments]
    return subprocess.run(command, input=stdin, check=True, capture_output=True, text=True).stdout


def policy(admitted: str) -> str:
    peer = {"podSelector": {"matchLabels": {"app": admitted}}}
    return yaml.safe_dump(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "echo"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "echo"}},
                "ingress": [{"from": [peer]}],
            },
        }
    )


@contextmanager
def traffic() -> Iterator[Answers]:
    tulle("lab", "up", NODE)
    child = None
    try:
        run = ("--node", NODE, "run", "-d", "-o", "json", "--name")
        python = ("--", sys.executable, "-c")
        echo = json.loads(tulle(*run, "echo", "-l", "app=echo", *python, ECHO))
        tulle(*run, "client", "-l", "app=client", "--", "sleep", "inf")
        ask = ("exec", "client", *python, ASK, echo["addresses"][0])
        child = subprocess.Popen([TULLE, "--node", NODE, *ask], stdout=subprocess.PIPE, text=True)
        yield Answers(child)
    finally:
        if child is not None:
            child.kill()
            child.communicate()
        tulle("lab", "down", NODE)


def measure(answers: Answers) -> tuple[float, float]:
    """Milliseconds until live traffic stopped, and until the agent said that it would."""
    before = time.monotonic()
    while answers.latest < before:
        time.sleep(0.001)
    began = time.monotonic()
    apply = ("--node", NODE, "apply", "-f", "-", "-o", "json")
    own_ms = json.loads(tulle(*apply, stdin=policy("nobody")))["enforced_ms"]
    time.sleep(0.1)
    stopped = answers.latest
    time.sleep(0.1)
    if answers.latest != stopped:
        raise SystemExit("traffic went on 100 ms after apply had returned")
    tulle(*apply, stdin=policy("client"))
    return (stopped - began) * 1000, own_ms


def main() -> None:
    with traffic() as answers:
        rounds = [measure(answers) for _ in range(ROUNDS)]
    names = ("from the command's start, on an established connection", "of it in the agent")
    for name, column in zip(names, zip(*rounds, strict=True), strict=True):
        cuts = quantiles(column, n=100, method="inclusive")
        print(f"p50 {cuts[49]:6.1f} ms  p99 {cuts[98]:6.1f} ms  max {max(column):6.1f} ms  {name}")


if __name__ == "__main__":
    main()
