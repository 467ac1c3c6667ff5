from __future__ import annotations

import pytest

from bench.flood import Flood, server
from bench.load import LoadError, Target

TARGET = Target(("nsenter",), "10.0.0.1", bulk_port=1, packets_port=2)


def test_bulk_is_bits_and_packets_are_packets() -> None:
    line = '{"arrived": 1000, "seconds": 0.5}'
    assert Flood("x", "bulk", 1.0).parse(f"noise\n{line}\n").per_s == 16_000
    assert Flood("x", "packets", 1.0).parse(line).per_s == 2_000


@pytest.mark.parametrize("output", ["Traceback …\nConnectionRefusedError", '{"arrived": 0}'])
def test_a_run_without_arrivals_is_refused(output: str) -> None:
    with pytest.raises(LoadError):
        Flood("x", "bulk", 1.0).parse(output)


def test_both_ends_speak_of_the_same_ports() -> None:
    assert server(TARGET, cpu=1)[-2:] == ("1", "2")
    assert Flood("x", "bulk", 0.5).command(TARGET).endswith("bulk 10.0.0.1 1 2 0.5")
