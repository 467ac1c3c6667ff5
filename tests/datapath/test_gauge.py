"""How full maps are is told by the kernel; who fills them, by the entries."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from tulle import abi
from tulle.abi import CtFlag, NatFlag
from tulle.compile.parts import packed
from tulle.edges.bpf import bpffs
from tulle.edges.bpf.datapath import remove
from tulle.edges.bpf.gauge import Gauge, conntrack_use, nat_use
from tulle.edges.bpf.loader import Objects

SMALL = {name: min(spec.max_entries, 1024) for name, spec in abi.MAPS.items() if name != "events"}
ONE, TWO = (packed(ip_address(item)) for item in ("10.0.0.1", "10.0.0.2"))
TCP, UDP = 6, 17
SECOND_NS = 1_000_000_000
NOW = 1_000_000 * SECOND_NS


@pytest.fixture
def objects() -> Iterator[Objects]:
    bpffs.mount()
    pins = Path(f"/sys/fs/bpf/tulle-gauge-{os.getpid()}")
    made = Objects(pins, SMALL)
    try:
        made.load("decide", ("decide",))
        yield made
    finally:
        made.close()
        remove(pins)


def test_entries_are_counted_without_a_walk(objects: Objects) -> None:
    gauge = Gauge(objects)
    for port in range(300):
        objects.maps["conntrack"][abi.CtKey((ONE, TWO), (port, 80), TCP).pack()] = bytes(48)
    for port in range(100):
        del objects.maps["conntrack"][abi.CtKey((ONE, TWO), (port, 80), TCP).pack()]
    objects.maps["services"][abi.ServiceKey(ONE, 80, TCP).pack()] = abi.Service().pack()
    found = gauge.entries()
    gauge.close()
    assert found["conntrack"] == 200
    assert found["services"] == 1
    assert found["nat"] == found["affinity"] == found["sock_nat"] == found["fragments"] == 0


@pytest.mark.parametrize(
    ("proto", "flags", "life_s"),
    [
        (TCP, 0, 60),
        (TCP, CtFlag.REPLIED, 86400),
        (TCP, CtFlag.REPLIED | CtFlag.FIN_0, 86400),
        (TCP, CtFlag.REPLIED | CtFlag.FIN_0 | CtFlag.FIN_1, 10),
        (TCP, CtFlag.REPLIED | CtFlag.RST, 10),
        (UDP, 0, 30),
        (UDP, CtFlag.REPLIED | CtFlag.TRANSLATED, 120),
    ],
)
def test_a_connection_counts_until_it_has_expired(
    objects: Objects, proto: int, flags: int, life_s: int
) -> None:
    key = abi.CtKey((ONE, TWO), (1000, 80), proto).pack()
    entry = abi.CtEntry(last_seen_ns=NOW, judgement=7, flags=flags).pack()
    objects.maps["conntrack"][key] = entry
    used = [
        conntrack_use(objects.maps["conntrack"], NOW + s * SECOND_NS) for s in (life_s, life_s + 1)
    ]
    assert [item.entries for item in used] == [1, 0]


def test_connections_count_for_the_end_that_opened_them(objects: Objects) -> None:
    for port, end in ((1, 0), (2, 1), (3, 1)):
        key = abi.CtKey((ONE, TWO), (port, 80), TCP).pack()
        objects.maps["conntrack"][key] = abi.CtEntry(last_seen_ns=NOW, initiator=end).pack()
    assert conntrack_use(objects.maps["conntrack"], NOW).openers == Counter({ONE: 1, TWO: 2})


def test_a_translation_has_two_entries_and_one_opener(objects: Objects) -> None:
    for src, dst, flags in ((ONE, TWO, NatFlag.FORWARD), (TWO, ONE, 0)):
        key = abi.NatKey(src, dst, 1000, 80, UDP).pack()
        objects.maps["nat"][key] = abi.NatEntry(flags=flags, last_seen_ns=NOW).pack()
    used = nat_use(objects.maps["nat"], NOW + 120 * SECOND_NS)
    assert (used.entries, used.openers) == (2, Counter({ONE: 1}))
    assert nat_use(objects.maps["nat"], NOW + 121 * SECOND_NS).entries == 0
