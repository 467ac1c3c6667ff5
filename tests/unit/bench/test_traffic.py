from __future__ import annotations

import ctypes

from bench import traffic


def test_a_burst_is_laid_out_as_the_kernel_reads_it() -> None:
    """struct mmsghdr has 64 bytes where a pointer has 8."""
    assert ctypes.sizeof(traffic.burst()) == traffic.BURST * 64


def test_a_packet_fills_the_smallest_frame() -> None:
    ethernet, ipv4, udp = 14, 20, 8
    assert ethernet + ipv4 + udp + len(traffic.PAYLOAD) == 60


def test_what_arrived_is_counted_by_the_kernel() -> None:
    assert traffic.packets_so_far() >= 0
