"""The pair of a workload that another plugin made, by its namespace and not by its number alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tulle.edges import netlink, netns
from tulle.edges.netlink.others import Found
from tulle.errors import Refused


@pytest.fixture
def spaces(tmp_path: Path) -> Iterator[dict[str, Path]]:
    directory = tmp_path / "netns"
    directory.mkdir()
    found = {name: directory / name for name in ("node", "pod", "thief", "third")}
    for path in found.values():
        netns.create(path)
    try:
        yield found
    finally:
        netns.delete_all(directory)


def join(one: Path, other: Path) -> None:
    """A pair with the same numbers as every other of this test."""
    there = ("type", "veth", "peer", "name", "far", "index", "30", "netns", str(other))
    words = ("ip", "link", "add", "eth0", "index", "20", *there)
    subprocess.run(("nsenter", f"--net={one}", *words), check=True)


def find(spaces: dict[str, Path], name: str) -> Found:
    inside = partial(netns.run_in, spaces[name])
    return netns.run_in(spaces["node"], lambda: netlink.find_pair("eth0", inside))


def test_a_pair_to_a_third_namespace_is_not_another_workloads(spaces: dict[str, Path]) -> None:
    join(spaces["pod"], spaces["node"])
    join(spaces["thief"], spaces["third"])
    found = find(spaces, "pod")
    assert (found.ifindex, found.name, found.bridge) == (30, "far", 0)
    with pytest.raises(Refused, match="not one end of a veth pair to this node"):
        find(spaces, "thief")
