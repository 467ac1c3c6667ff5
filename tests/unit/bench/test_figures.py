from __future__ import annotations

from bench.catalogue import CONNECTS, ONE_NODE, REQUESTS_1, REQUESTS_16
from bench.figures import Ratio, Visit, base_medians, row
from bench.load import Sample

BASE = ONE_NODE.base


def sample(scale: float, cpu: float = 10) -> Sample:
    return Sample(
        p50_us=50 * scale, p99_us=90 * scale, requests_per_s=1000 * scale, cpu_us_per_request=cpu
    )


def test_ratios_are_paired_so_a_slow_machine_drops_out() -> None:
    noisy: list[Visit] = [{BASE: sample(m), "x": sample(1.5 * m)} for m in (1, 5, 0.2)]
    result = row(ONE_NODE, "x", {REQUESTS_1: noisy, REQUESTS_16: noisy, CONNECTS: noisy})
    assert result.rounds == 3
    assert result.spread == 0
    for key in ("p50", "p99", "rps", "connects"):
        assert result.ratios[key] == Ratio(1.5, 0, 3)


def test_a_phase_shorter_than_the_cpu_clock_does_not_count() -> None:
    visits: list[Visit] = [{BASE: sample(1, cpu=c), "x": sample(1, cpu=20)} for c in (0, 10)]
    result = row(ONE_NODE, "x", {REQUESTS_1: visits, REQUESTS_16: visits, CONNECTS: visits})
    assert result.ratios["cpu"] == Ratio(2, 0, 1)
    assert result.rounds == 2


def test_spread_is_the_width_of_the_middle_half() -> None:
    assert Ratio.over([1, 2, 3, 4, 5]) == Ratio(3, 2, 5)
    assert Ratio.over([7]) == Ratio(7, 0, 1)


def test_base_medians_are_those_of_each_metrics_phase() -> None:
    medians = base_medians(
        ONE_NODE,
        {
            REQUESTS_1: [{BASE: sample(1)}],
            REQUESTS_16: [{BASE: sample(2)}],
            CONNECTS: [{BASE: sample(3)}],
        },
    )
    assert (medians["p50"], medians["rps"], medians["connects"]) == (50, 2000, 3000)


def test_more_rounds_bring_the_median_closer() -> None:
    assert Ratio(1, 0.1, 100).error == Ratio(1, 0.2, 400).error
    assert 0.01 < Ratio(1, 0.1, 100).error < 0.02
