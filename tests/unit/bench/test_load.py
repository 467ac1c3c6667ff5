from __future__ import annotations

import pytest

from bench.load import LoadError, Requests, Target, percentile

TARGET = Target(("nsenter",), "h")
REQUESTS = Requests("requests", 1, keep_alive=True, seconds=0.19)


def test_percentile_interpolates_within_a_microsecond() -> None:
    histogram = [(30, 10), (31, 10)]
    assert percentile(histogram, 0.25) == 30.5
    assert percentile(histogram, 0.5) == 31.0
    assert percentile(histogram, 1.0) == 32.0


def test_parse_reads_the_line_among_wrks_own_words() -> None:
    sample = REQUESTS.parse(
        "Running 1m test @ http://10.0.0.1/\n"
        '{"wrk":1,"duration_us":500000,"requests":1000,"busy_ticks":50,"errors":0,'
        '"histogram":[[40,990],[90,10]]}\n'
    )
    assert sample.requests_per_s == 2000
    assert sample.cpu_us_per_request == 500
    assert 40 < sample.p50_us < 41


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("unable to connect to 10.0.0.1:80 Connection refused", "Connection refused"),
        (
            '{"wrk":1,"duration_us":5,"requests":10,"busy_ticks":1,"errors":2,"histogram":[]}',
            "2 requests failed",
        ),
        (
            '{"wrk":1,"duration_us":5,"requests":0,"busy_ticks":1,"errors":0,"histogram":[]}',
            "0 succeeded",
        ),
    ],
)
def test_parse_refuses_a_run_with_failures(output: str, said: str) -> None:
    with pytest.raises(LoadError, match=said):
        REQUESTS.parse(output)


def test_a_phase_without_keep_alive_asks_the_server_to_close() -> None:
    phase = Requests("connects", 16, keep_alive=False, seconds=0.19)
    assert "Connection: close" in phase.command(TARGET)
    assert "close" not in REQUESTS.command(TARGET)
