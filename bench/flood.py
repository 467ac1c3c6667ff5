"""Load without requests: bulk TCP, and UDP packets as small and as many as the client can send."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .load import LoadError, Target

PROGRAM = str(Path(__file__).with_name("traffic.py"))
PYTHON = (sys.executable, "-ISs")  # standard library only: it starts faster


@dataclass(frozen=True, slots=True)
class Sample:
    """`per_s` is bits or packets that arrived."""

    per_s: float


@dataclass(frozen=True, slots=True)
class Flood:
    name: str
    what: Literal["bulk", "packets"]
    seconds: float

    def command(self, target: Target) -> str:
        ports = [str(target.bulk_port), str(target.packets_port)]
        return shlex.join([*PYTHON, PROGRAM, self.what, target.host, *ports, str(self.seconds)])

    def parse(self, output: str) -> Sample:
        line = next((line for line in output.splitlines() if line.startswith('{"arrived"')), None)
        if line is None:
            raise LoadError(f"{self.what}: {output.strip()[-500:]}")
        raw = json.loads(line)
        if not raw["arrived"]:
            raise LoadError(f"{self.what}: nothing arrived")
        scale = 8 if self.what == "bulk" else 1
        return Sample(raw["arrived"] * scale / raw["seconds"])


def server(target: Target, cpu: int) -> tuple[str, ...]:
    """The argv that takes both kinds of load, on one core.

    It should be the client's: on two, a bulk transfer is off by 15 to 25 % from one moment to
    the next, as the cores take turns to wait for each other; on one it is off by 1 %.
    """
    ports = (str(target.bulk_port), str(target.packets_port))
    return ("taskset", "-c", str(cpu), *PYTHON, PROGRAM, "serve", *ports)
