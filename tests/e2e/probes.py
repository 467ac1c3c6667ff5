"""Processes that try connections, each from a place of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tests.e2e.mesh import HERE

PROBE = (sys.executable, str(HERE / "probe.py"))
SERVED = 8080  # one of the ports that a probe serves
ATTEMPTS = 5  # the machine may be busy


class Question(NamedTuple):
    """Of ICMP the port is the type."""

    source: str
    protocol: str
    host: str
    port: int
    family: int = 4


class Answer(NamedTuple):
    """`outcome` is "answered", "refused" or "silent"; `said` is "NAME CLIENT-ADDRESS"."""

    outcome: str
    said: str


class Probes:
    """`children` by the names of their places: each runs `probe.py ask`."""

    def __init__(self, children: Mapping[str, subprocess.Popen[str]]) -> None:
        self._children = children

    def ask(self, questions: Iterable[Question]) -> dict[Question, Answer]:
        """All of them at once."""
        by_source: dict[str, list[Question]] = {}
        for question in questions:
            by_source.setdefault(question.source, []).append(question)
        for source, own in by_source.items():
            pipe = self._children[source].stdin
            assert pipe is not None
            print(json.dumps([item[1:] for item in own]), file=pipe, flush=True)
        found: dict[Question, Answer] = {}
        for source, own in by_source.items():
            pipe = self._children[source].stdout
            assert pipe is not None
            said = [Answer(*item) for item in json.loads(pipe.readline())]
            found |= dict(zip(own, said, strict=True))
        return found

    def insist(self, questions: Mapping[Question, str]) -> dict[Question, Answer]:
        """Ask again what is silent though it should not be; values are the wanted outcomes."""
        found = self.ask(questions)
        for _ in range(ATTEMPTS - 1):
            late = [
                item
                for item, answer in found.items()
                if answer.outcome == "silent" != questions[item]
            ]
            if not late:
                break
            found |= self.ask(late)
        return found


def wait_until_served(server: subprocess.Popen[str]) -> None:
    """`server` runs `probe.py serve`, with a pipe."""
    assert server.stdout is not None and server.stdout.readline() == "ready\n"
