"""From samples to ratios. Pure.

A sample is only ever compared with the one that the suite's base gave in the same round and phase,
a moment before or after: what the machine was doing meanwhile hits both, and drops out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .suite import Suite

# One round of one phase: scenario -> sample. A scenario that failed is absent.
Visit = Mapping[str, object]


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
    """One scenario against its suite's base: ratios by metric key."""

    scenario: str
    rounds: int
    ratios: Mapping[str, Ratio]
    spread: float  # the widest of the metrics that it is judged by


def row(suite: Suite, scenario: str, visits: Mapping[str, Sequence[Visit]]) -> Row:
    """Compare `scenario` with the base; `visits` are the rounds of each phase."""
    paired = {
        metric.key: [
            metric.of(visit[scenario]) / base
            for visit in visits[metric.phase]
            # 0 µs of CPU: the phase was shorter than the kernel's clock tick
            if (base := metric.of(visit[suite.base]))
        ]
        for metric in suite.metrics
    }
    ratios = {key: Ratio.over(values) for key, values in paired.items()}
    return Row(
        scenario,
        rounds=len(visits[suite.phases[0].name]),
        ratios=ratios,
        spread=max(ratios[key].spread for key in suite.headline),
    )


def base_medians(suite: Suite, visits: Mapping[str, Sequence[Visit]]) -> dict[str, float]:
    """What the base gave, in each metric's unit: to see the machine, not to compare runs."""
    return {
        metric.key: statistics.median(
            metric.of(visit[suite.base]) for visit in visits[metric.phase]
        )
        for metric in suite.metrics
    }
