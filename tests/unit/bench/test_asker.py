from __future__ import annotations

import pytest

from bench.asker import Asked
from bench.load import LoadError, Target

PHASE = Asked("redis, 16", "redis", 16, 0.5)


def test_it_asks_the_server_that_it_names() -> None:
    assert PHASE.command(Target(("nsenter",), "10.0.0.1")).endswith("/asker 10.0.0.1 6379 16 0.5")


def test_a_sample_is_what_the_client_counted() -> None:
    sample = PHASE.parse('{"asked": 50, "seconds": 0.5, "p50_us": 12.5}\n')
    assert (sample.requests_per_s, sample.p50_us) == (100, 12.5)


def test_a_client_that_fails_says_why() -> None:
    with pytest.raises(LoadError, match="asker: connect: Connection refused"):
        PHASE.parse("asker: connect: Connection refused\n")
