"""A comparison: scenarios that are measured in turns, and set against one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .load import Phase, Target

# Short, since what disturbs is the machine's drift and not the number of samples: many short rounds
# give a closer median than few long ones. wrk stops at multiples of 100 ms, so just under one.
PHASE_S = 0.09


@dataclass(frozen=True, slots=True)
class Cores:
    """The client's core and the server's; the same one if the machine has no other."""

    client: int
    server: int


class Scenario(Protocol):
    """One row of the result. All of a suite stand at the same time and must not share anything."""

    @property
    def name(self) -> str: ...

    def setup(self, cores: Cores) -> Target:
        """Build it, server included, and return when it serves. SetupError if that fails."""

    def teardown(self) -> None:
        """Remove everything that `setup` made, also if it failed half-way."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of one phase: `field` names it in the phase's sample, in units of 1/`scale`."""

    key: str
    title: str
    phase: str
    field: str
    unit: str
    more_is_better: bool = False
    scale: float = 1.0

    def of(self, sample: object) -> float:
        value: float = getattr(sample, self.field)
        return value * self.scale


@dataclass(frozen=True, slots=True)
class Suite:
    """`scenarios` in the order of the table; ratios are to the one that is called `base`."""

    base: str
    scenarios: Mapping[str, Callable[[], Scenario]]
    phases: Sequence[Phase]
    metrics: Sequence[Metric]
    headline: Sequence[str]  # keys of the metrics that a row is judged by
    one_core: bool = False  # client and server share one: no row shows what waking another costs
