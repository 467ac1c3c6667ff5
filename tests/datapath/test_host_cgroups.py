"""Cgroups of a node that are not below its own, as those of a kubelet's pods are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.datapath.kernel import kernel_of
from tulle.edges.bpf import links
from tulle.edges.cgroup import NodeCgroup, find_mount


@pytest.fixture
def group() -> Iterator[Path]:
    made = NodeCgroup(find_mount(), f"tulle-test-{os.getpid()}")
    yield made.make()
    made.remove(made.root)


def test_hooks_are_in_force_until_a_cgroup_is_not_named_any_more(group: Path) -> None:
    with kernel_of("host-cgroups") as kernel:
        pins = kernel.datapath.objects.pins.parent / "links"
        wanted = {f"{hook}_pods" for hook in links.CGROUP_HOOKS}
        kernel.datapath.attach_sockets(group, "pods")
        assert {path.name for path in pins.iterdir()} == wanted
        kernel.datapath.keep_sockets(["pods"])
        assert {path.name for path in pins.iterdir()} == wanted
        kernel.datapath.keep_sockets([])
        assert list(pins.iterdir()) == []
