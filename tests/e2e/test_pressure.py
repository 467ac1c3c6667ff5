"""A conntrack that fills up is told early, with who fills it."""

from __future__ import annotations

import os
import time
from ipaddress import ip_address

from tests.e2e.mesh import Mesh
from tulle import abi
from tulle.abi import CtFlag
from tulle.compile.parts import packed
from tulle.edges.bpf import syscall
from tulle.edges.bpf.maps import Map

TCP = 6


def test_a_workload_that_opens_too_many_connections_is_named(mesh: Mesh) -> None:
    mesh.run("greedy", "sleep", "inf")
    (greedy,) = (item for item in mesh.get("endpoints") if item["name"] == "greedy")
    ends = packed(ip_address(greedy["addresses"][0])), packed(ip_address("192.0.2.1"))
    fd = syscall.get_pinned(f"/sys/fs/bpf/tulle/{mesh.name}/v{abi.ABI_HASH}/conntrack")
    try:
        conntrack = Map("conntrack", fd)
        entry = abi.CtEntry(last_seen_ns=time.monotonic_ns(), flags=CtFlag.REPLIED).pack()
        wanted = conntrack.max_entries * 85 // 100
        places = [(10000 + number % 50000, 1 + number // 50000) for number in range(wanted)]
        conntrack.update_many((abi.CtKey(ends, place, TCP).pack(), entry) for place in places)
    finally:
        os.close(fd)
    status = mesh.status()
    assert status["health"] == "degraded"
    (problem,) = status["problems"]
    assert problem.startswith("map conntrack is 85% full")
    assert problem.endswith(f"shop/greedy: {wanted}")
    (fill,) = (item for item in status["maps"] if item["name"] == "conntrack")
    assert fill["in_use"] == wanted


def test_what_fills_from_the_source_is_shown_too(mesh: Mesh) -> None:
    names = {item["name"] for item in mesh.status()["maps"]}
    assert {"policy", "endpoints", "nat", "affinity", "sock_nat", "fragments"} <= names
