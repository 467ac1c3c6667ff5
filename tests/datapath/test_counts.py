"""Counters of requests that are folded in the kernel's map lose nothing of any CPU."""

from __future__ import annotations

from struct import pack

from tests.datapath.kernel import kernel_of
from tulle.abi import HttpBucket, HttpCount, HttpCountKey
from tulle.edges.bpf import syscall


def count_of(place: int) -> HttpCount:
    """Of one CPU: all numbers differ."""
    return HttpCount(place + 1, 10 * place, tuple(range(place, place + HttpBucket.BUCKETS)))  # type: ignore[arg-type]


def test_rows_are_added_to_each_other() -> None:
    cpus = syscall.possible_cpus()
    with kernel_of("counts") as kernel:
        rows, datapath = kernel.maps["http_counts"], kernel.datapath
        old, other = HttpCountKey(2, 256, 0, 1024, 2), HttpCountKey(2, 256, 7, 1025, 2)
        target, gone = HttpCountKey(2, 256, 99, 0, 2, 1), HttpCountKey(2, 257, 0, 1024, 2)
        for place, key in enumerate((old, other, gone)):
            rows[key.pack()] = b"".join(count_of(place + cpu).pack() for cpu in range(cpus))
        before = datapath.request_counts()
        datapath.fold_requests({old: target, other: target, HttpCountKey(9): target})
        datapath.forget_requests([gone])
        after = datapath.request_counts()
        assert after.keys() == {target, HttpCountKey()}
        one, two, sum_ = before[old], before[other], after[target]
        assert sum_.requests == one.requests + two.requests
        assert sum_.time_ns == one.time_ns + two.time_ns
        assert sum_.bucket == tuple(a + b for a, b in zip(one.bucket, two.bucket, strict=True))
        assert rows[target.pack()][:8] == pack("=Q", 1 + 2)  # of the first CPU
