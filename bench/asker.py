"""Requests for 64 bytes that cost client and server next to nothing: `asker.c`, and Redis.

wrk and nginx spend a quarter of a request's time on HTTP; here nearly all of it is the way's.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .load import LoadError, Target
from .namespaces import command

SOURCE = Path(__file__).with_suffix(".c")
PROGRAM = SOURCE.parent.parent / "build" / "asker"
PORTS = {"redis": 6379, "bare": 7}
REDIS = (
    *("redis-server", "--port", str(PORTS["redis"]), "--save", "", "--appendonly", "no"),
    *("--protected-mode", "no", "--logfile", "/dev/null"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    p50_us: float
    requests_per_s: float


@dataclass(frozen=True, slots=True)
class Asked:
    """Load on a Redis server, or on the bare one that answers as it would."""

    name: str
    server: Literal["redis", "bare"]
    connections: int
    seconds: float

    def command(self, target: Target) -> str:
        words = (target.host, PORTS[self.server], self.connections, self.seconds)
        return shlex.join([str(PROGRAM), *map(str, words)])

    def parse(self, output: str) -> Sample:
        line = next((line for line in output.splitlines() if line.startswith('{"asked"')), None)
        if line is None:
            raise LoadError(f"{self.server}: {output.strip()[-500:]}")
        raw = json.loads(line)
        return Sample(raw["p50_us"], raw["asked"] / raw["seconds"])


def build() -> None:
    """Raises SetupError."""
    PROGRAM.parent.mkdir(exist_ok=True)
    command("clang-19", "-O2", "-Wall", "-Werror", "-o", str(PROGRAM), str(SOURCE))


def servers(cpu: int) -> tuple[str, ...]:
    """A line of shell each that starts them, on one core."""
    on_core = ("taskset", "-c", str(cpu))
    bare = (str(PROGRAM), "serve", str(PORTS["bare"]))
    return tuple(shlex.join([*on_core, *words]) for words in (REDIS, bare))
