"""From samples to ratios. Pure.

A sample is only ever compared with the one that `direct` gave in the same round and phase, a
moment before or after: what the machine was doing meanwhile hits both, and drops out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .load import Phase, Sample

BASE = "direct"
REQUESTS_1 = "requests, 1 connection"
REQUESTS_16 = "requests, 16 connections"
CONNECTS = "connects"


# Short, since what disturbs is the machine's drift and not the number of samples: many short rounds
# give a closer median than few long ones. wrk stops at multiples of 100 ms, so just under one.
PHASE_S = 0.09
PHASES = (
    Phase(REQUESTS_1, connections=1, keep_alive=True, seconds=PHASE_S),
    Phase(REQUESTS_16, connections=16, keep_alive=True, seconds=PHASE_S),
    Phase(CONNECTS, connections=16, keep_alive=False, seconds=PHASE_S),
)


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of one phase: `field` names it in Sample and `unit` says what that is."""

    key: str
    title: str
    phase: str
    field: str
    unit: str
    more_is_better: bool = False

    def of(self, sample: Sample) -> float:
        value: float = getattr(sample, self.field)
        return value


METRICS = (
    Metric("p50", "p50", REQUESTS_1, "p50_us", "µs"),
    Metric("p99", "p99", REQUESTS_1, "p99_us", "µs"),
    Metric("rps", "requests/s", REQUESTS_16, "requests_per_s", "/s", more_is_better=True),
    Metric("connects", "connects/s", CONNECTS, "requests_per_s", "/s", more_is_better=True),
    Metric("cpu", "CPU", REQUESTS_16, "cpu_us_per_request", "µs"),
)

# One round of one phase: scenario -> sample. A scenario that failed is absent.
Visit = Mapping[str, Sample]


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median over `rounds` rounds, and the width of the middle half of them."""

    median: float
    spread: float
    rounds: int

    @classmethod
    def over(cls, ratios: Sequence[float]) -> Ratio:
        if len(ratios) == 1:
            return cls(ratios[0], 0.0, 1)
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return cls(middle, high - low, len(ratios))

    @property
    def error(self) -> float:
        """How far the median may be off, in 19 of 20 runs: twice its standard error.

        For a normal distribution that error is 1.253 standard deviations / √n, and one deviation
        is the spread / 1.349. Unlike the deviation itself, the spread shrugs stalls off.
        """
        return 2 * 1.253 / 1.349 * self.spread / math.sqrt(self.rounds)


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario against `direct`: ratios by metric key."""

    scenario: str
    rounds: int
    ratios: Mapping[str, Ratio]

    @property
    def spread(self) -> float:
        """The widest of the three that the mesh is judged by; p99 is always wider."""
        return max(self.ratios[key].spread for key in ("p50", "rps", "connects"))


def row(scenario: str, visits: Mapping[str, Sequence[Visit]]) -> Row:
    """Compare `scenario` with BASE; `visits` are the rounds of each phase."""
    paired = {
        metric.key: [
            metric.of(visit[scenario]) / base
            for visit in visits[metric.phase]
            # 0 µs of CPU: the phase was shorter than the kernel's clock tick
            if (base := metric.of(visit[BASE]))
        ]
        for metric in METRICS
    }
    return Row(
        scenario,
        rounds=len(visits[REQUESTS_1]),
        ratios={key: Ratio.over(ratios) for key, ratios in paired.items()},
    )


def base_medians(visits: Mapping[str, Sequence[Visit]]) -> dict[str, float]:
    """What `direct` gave, in each metric's unit: to see the machine, not to compare runs."""
    return {
        metric.key: statistics.median(metric.of(visit[BASE]) for visit in visits[metric.phase])
        for metric in METRICS
    }
