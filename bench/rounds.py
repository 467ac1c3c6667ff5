"""Visit every scenario, again and again, in random order."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .figures import Visit
from .load import Client, LoadError, Phase, Requests
from .pace import Pace
from .suite import PHASE_S

WARM_UP = Requests("warm-up", connections=1, keep_alive=True, seconds=PHASE_S)
WARM_UP_S = 10.0


@dataclass
class Result:
    """`visits` by phase name; `failed` says which scenarios gave up, and why."""

    visits: dict[str, list[Visit]]
    failed: dict[str, str] = field(default_factory=dict)


def warm_up(client: Client) -> None:
    """Load a path until it answers; LoadError if it does not within WARM_UP_S."""
    deadline = time.monotonic() + WARM_UP_S
    while True:
        try:
            client.measure(WARM_UP)
            return
        except LoadError:
            if time.monotonic() > deadline:
                raise


def run(
    clients: Mapping[str, Client],
    phases: Sequence[Phase],
    base: str,
    pace: Pace,
    show: Callable[[float, str], None],
) -> Result:
    """Measure rounds at `pace`; `show` is told how many rounds are done and what comes next.

    A scenario that fails leaves the run with its reason. LoadError if that is `base`: then there
    is nothing to compare with.
    """
    result = Result({phase.name: [] for phase in phases})
    done = 0
    while pace.more(done):
        for index, phase in enumerate(phases):
            show(done + index / len(phases), f"round {done + 1}: {phase.name}")
            result.visits[phase.name].append(_visit(clients, phase, base, result.failed))
        done += 1
    return result


def _visit(clients: Mapping[str, Client], phase: Phase, base: str, failed: dict[str, str]) -> Visit:
    names = [name for name in clients if name not in failed]
    random.shuffle(names)
    visit: dict[str, object] = {}
    for name in names:
        try:
            visit[name] = clients[name].measure(phase)
        except LoadError as error:
            if name == base:
                raise
            failed[name] = f"{phase.name}: {error}"
    return visit
