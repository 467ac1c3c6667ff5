"""Commands as a user types them: those that end, and clients that run on.

Each is a session of its own: Ctrl-C is the demo's, which lets a command finish and then cleans up.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

NODE, SECOND = NODES = ("demo", "demo-2")
ROOT = Path(__file__).parents[1]
TIMEOUT_S = 150.0
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

TULLE = str(Path(sys.executable).with_name("tulle"))
PROGRAMS = {"tulle": [TULLE]}  # what a word that is typed first stands for
_ENVIRONMENT = {**os.environ, "TULLE_NODE": NODE}


class DemoError(Exception):
    """The demo cannot go on; the message tells the user why."""


def run(*line: str, codes: Sequence[int] = (0,), stdin: str = "") -> str:
    """Run a command to its end; what it said. DemoError if it ends with another code."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with _undisturbed() as go_on:
        process = _start(line, **streams)
        try:
            go_on()
            output, _ = process.communicate(stdin, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise DemoError(f"{' '.join(line)}: no end after {TIMEOUT_S:.0f} s") from None
        except BaseException:
            # half a change is harder to clean up than a whole one
            process.communicate(timeout=TIMEOUT_S)
            raise
    if process.returncode not in codes:
        raise DemoError(f"{' '.join(line)}: exit {process.returncode}\n{output.strip()}")
    return output


@contextmanager
def _undisturbed() -> Iterator[Callable[[], None]]:
    """Until the function that it gives is called, stops wait: while a child is made, nobody knows
    of it who would see to its end."""
    handlers = {number: signal.getsignal(number) for number in STOPS}
    came: list[int] = []

    def go_on() -> None:
        while handlers:
            signal.signal(*handlers.popitem())
        while came:
            signal.raise_signal(came.pop())

    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, lambda number, _: came.append(number))
    try:
        yield go_on
    finally:
        go_on()


def ask(*line: str, codes: Sequence[int] = (0,)) -> Any:
    """What a command says with `-o json`."""
    return json.loads(run(*line, "-o", "json", codes=codes))


class Client:
    """A client of `load.py`, run by a command line; `seen` is its last report."""

    def __init__(self, line: Sequence[str]) -> None:
        self.seen: dict[str, Any] = {}
        self._process = _start(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None)
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def count(self, name: str) -> int:
        return int(self.seen.get(name, 0))

    @property
    def running(self) -> bool:
        return self._reader.is_alive()

    def stop(self) -> None:
        """Let it end what it does, and take its last report."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        self._reader.join(TIMEOUT_S)
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self.seen = json.loads(line)


@contextmanager
def running(line: Sequence[str]) -> Iterator[Client]:
    """Run a client until the block is left."""
    started = Client(line)
    try:
        yield started
    finally:
        started.stop()


def client(*words: str) -> AbstractContextManager[Client]:
    """Run `load.py WORDS` in the workload `client`."""
    return running(client_line(words))


def client_line(words: Sequence[str]) -> tuple[str, ...]:
    return ("tulle", "exec", "-n", "shop", "client", "--", "demo/load.py", *words)


def guest_line(words: Sequence[str]) -> tuple[str, ...]:
    """For a workload on the second node."""
    inside = ("--node", SECOND, "exec", "-n", "shop", "guest", "--")
    return ("tulle", *inside, "demo/load.py", *words)


def outside_line(words: Sequence[str]) -> tuple[str, ...]:
    """For a host that is not in the mesh."""
    return ("tulle", "lab", "outside", "--cluster", NODE, "--", "demo/load.py", *words)


def _start(line: Sequence[str], **streams: Any) -> subprocess.Popen[str]:
    argv = [*PROGRAMS.get(line[0], line[:1]), *line[1:]]
    return subprocess.Popen(
        argv, text=True, cwd=ROOT, env=_ENVIRONMENT, start_new_session=True, **streams
    )
