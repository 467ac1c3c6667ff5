"""Interfaces in namespaces of somebody else's: made, taken out, found again by the next agent."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

from tulle.agent.attachments import PodFacts, SandboxRecord, Wanted
from tulle.agent.cni import Attachment
from tulle.agent.ipam import Leases
from tulle.agent.sandboxes import Sandboxes
from tulle.edges import netlink, netns
from tulle.errors import KernelError
from tulle.lab import node
from tulle.model.paths import NodePaths

ADDRESSES = (ip_address("10.244.0.9"), ip_address("fd00:7a11:0:244::9"))


@pytest.fixture
def lab() -> Iterator[NodePaths]:
    name = f"boxes-{os.getpid()}"
    node.destroy(name)
    try:
        yield node.create(name)
    finally:
        node.destroy(name)
    assert name not in node.nodes()


@pytest.fixture
def box(lab: NodePaths) -> Iterator[Path]:
    """A namespace as a runtime makes them."""
    directory = Path(f"/run/tulle-boxes-{os.getpid()}")
    netns.create(directory / "box")
    try:
        yield directory / "box"
    finally:
        netns.delete_all(directory)


def sandboxes(lab: NodePaths) -> Sandboxes:
    return Sandboxes(lab.state, lab.netns, Leases(lab.durable / "leases.json"))


def add(some: Sandboxes, asked: Attachment) -> SandboxRecord:
    (made,) = some.add([Wanted(asked, PodFacts())])
    assert isinstance(made, SandboxRecord), made
    return made


def ours(lab: NodePaths) -> list[str]:
    return sorted(filter(netlink.is_ours, netns.run_in(lab.netns, netlink.interfaces)))


def attachment(box: Path, ifname: str = "eth0") -> Attachment:
    return Attachment("mesh", "c1", ifname, str(box), ("shop", "web"))


def test_the_interface_has_the_name_and_the_addresses_that_were_told(
    lab: NodePaths, box: Path
) -> None:
    some = sandboxes(lab)
    record = add(some, attachment(box, "net1"))
    there = netns.run_in(box, netlink.own_addresses)
    index = netns.run_in(box, netlink.interfaces)["net1"]
    assert there == {index: record.ips} and ours(lab) == [record.interface]
    assert some.check(attachment(box, "net1")) == record
    some.set_mtu(1400)
    assert netns.run_in(box, partial(netlink.uplink, "net1", {})).mtu == 1400
    assert some.delete([record.id]) == [True]
    assert ours(lab) == [] and "net1" not in netns.run_in(box, netlink.interfaces)
    assert netns.exists(box)


def test_a_namespace_that_vanishes_is_noticed(lab: NodePaths, box: Path) -> None:
    some = sandboxes(lab)
    add(some, attachment(box))
    netns.delete(box)
    deadline = time.monotonic() + 10
    while ours(lab) and time.monotonic() < deadline:  # the kernel takes its time over it
        time.sleep(0.02)
    assert some.end_the_gone() == ["sandbox of pod shop/web: its network is gone"]
    assert some.all() == {}


def test_an_agent_killed_at_any_moment_leaves_all_or_nothing(lab: NodePaths, box: Path) -> None:
    for step in range(12):
        child = os.fork()
        if child == 0:
            some = sandboxes(lab)
            threading.Timer(step * 0.001, os.kill, (os.getpid(), signal.SIGKILL)).start()
            add(some, attachment(box))
            some.delete([("c1", "eth0")])
            time.sleep(5)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        some = sandboxes(lab)
        some.recover([])
        held = Leases(lab.durable / "leases.json").held()
        assert len(ours(lab)) == len(some.all()) == len(held)
        record = add(some, attachment(box))
        assert ours(lab) == [record.interface]
        some.delete([record.id])
        assert ours(lab) == [] and Leases(lab.durable / "leases.json").held() == {}


def test_what_the_kernel_refuses_is_told_by_its_number(lab: NodePaths, box: Path) -> None:
    def connect(name: str, inside: str, mtu: int = 1500) -> None:
        pairs = [
            netlink.Pair(name, box, ADDRESSES, mtu, inside),
            netlink.Pair(f"{name[:-1]}f", box.with_name("nowhere"), ADDRESSES),
        ]
        made = netns.run_in(lab.netns, partial(netlink.connect_node_sides, pairs))
        assert isinstance(made[1], KernelError)  # and does not hinder the other
        if isinstance(made[0], KernelError):
            raise made[0]

    connect("tl00000001", "eth0")
    connect("tl00000001", "eth0")  # once more is no error
    with pytest.raises(KernelError, match="interface tl00000002: File exists"):
        connect("tl00000002", "eth0")
    with pytest.raises(KernelError, match="interface tl00000003") as caught:
        connect("tl00000003", "eth1", mtu=1 << 20)
    assert caught.value.errno
    assert ours(lab) == ["tl00000001"]
    with pytest.raises(KernelError, match="interface eth7"):
        pair = netlink.Pair("", box, ADDRESSES, inside="eth7")
        netns.run_in(box, partial(netlink.connect_workload_side, pair))
