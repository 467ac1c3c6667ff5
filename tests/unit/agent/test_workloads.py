"""Workloads over a kernel that exists in memory only: what is left when a step fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tulle.agent import workloads as module
from tulle.agent.hosts import HostsEntry
from tulle.agent.ipam import Leases
from tulle.agent.workloads import Workloads
from tulle.edges.cgroup import NodeCgroup
from tulle.edges.netlink import Pair
from tulle.errors import KernelError, Refused, Unavailable

WEB = ("shop", "web")


class Kernel:
    """Stands in for `edges.netns` and `edges.netlink`. `fails` names one call that fails."""

    MTU, INTERFACE, Pair = 1500, "eth0", Pair

    def __init__(self) -> None:
        self.mtus: list[tuple[str, int]] = []
        self.namespaces: set[Path] = set()
        self.links: dict[str, int] = {}
        self.fails = ""

    def call(self, name: str) -> None:
        if name == self.fails:
            raise KernelError(12, name)

    def create(self, path: Path) -> None:
        self.call("create")
        self.namespaces.add(path)

    def delete(self, path: Path) -> None:
        self.call("delete")
        self.namespaces.discard(path)

    def exists(self, path: Path) -> bool:
        return path in self.namespaces

    def run_in(self, path: Path | None, work: Callable[[], Any]) -> Any:
        return work()

    def connect_node_sides(self, pairs: Sequence[Pair]) -> list[int]:
        self.call("connect_node_sides")
        self.links.update((pair.interface, len(self.links) + 2) for pair in pairs)
        return [self.links[pair.interface] for pair in pairs]

    def connect_workload_side(self, *_: object) -> None:
        self.call("connect_workload_side")

    def disconnect(self, interfaces: Sequence[str]) -> None:
        self.call("disconnect")
        for interface in interfaces:
            self.links.pop(interface, None)

    def adopt(self, interfaces: list[str]) -> None:
        assert set(interfaces) <= set(self.links)

    def set_mtu(self, interface: str, mtu: int) -> None:
        self.call(f"set_mtu {interface}")
        self.mtus.append((interface[:2], mtu))

    def interfaces(self) -> dict[str, int]:
        return dict(self.links)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    fake = Kernel()
    monkeypatch.setattr(module, "netns", fake)
    monkeypatch.setattr(module, "netlink", fake)
    return fake


def make(tmp_path: Path) -> Workloads:
    return Workloads(tmp_path / "state", NodeCgroup(tmp_path, "tulle-n1"), None)


@pytest.mark.parametrize("step", ["create", "connect_node_sides", "connect_workload_side"])
def test_failed_making_leaves_nothing_and_can_be_tried_again(
    kernel: Kernel, tmp_path: Path, step: str
) -> None:
    workloads = make(tmp_path)
    kernel.fails = step
    with pytest.raises(KernelError, match=step):
        workloads.create(*WEB)
    assert (workloads.all(), kernel.namespaces, kernel.links) == ({}, set(), {})
    assert not list((tmp_path / "tulle-n1").iterdir())
    kernel.fails = ""
    assert workloads.create(*WEB).key == WEB


@pytest.mark.parametrize("writes", range(5))
def test_a_full_disk_costs_no_address(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """From some write on, until room is made; then what could not be deleted is tried again."""
    budget = iter(range(writes))

    def write(path: Path, content: bytes) -> None:
        if next(budget, None) is None and "workloads" in path.parent.name:
            raise OSError(28, "No space left on device")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    workloads = make(tmp_path)
    with monkeypatch.context() as full:
        full.setattr("tulle.agent.records.write_below", write)
        full.setattr("tulle.agent.ipam.write_below", write)
        with suppress(OSError, Refused):
            workloads.create(*WEB)
            workloads.delete(WEB)
    with suppress(Refused):
        workloads.delete(WEB)
    assert (workloads.all(), kernel.namespaces, kernel.links) == ({}, set(), {})
    assert not Leases(tmp_path / "state" / "addresses-leases.json").held()


@pytest.mark.parametrize("step", ["disconnect", "delete"])
def test_failed_deleting_hides_the_workload_and_can_be_tried_again(
    kernel: Kernel, tmp_path: Path, step: str
) -> None:
    workloads = make(tmp_path)
    workloads.create(*WEB)
    kernel.fails = step
    with pytest.raises(KernelError, match=step):
        workloads.delete(WEB)
    assert workloads.all() == {}
    with pytest.raises(Refused, match="exists already"):
        workloads.create(*WEB)
    kernel.fails = ""
    workloads.delete(WEB)
    assert (kernel.namespaces, kernel.links) == (set(), {})
    with pytest.raises(Refused, match="no workload shop/web"):
        workloads.delete(WEB)


def test_a_workload_of_another_namespace_is_hinted_at(kernel: Kernel, tmp_path: Path) -> None:
    workloads = make(tmp_path)
    workloads.create(*WEB)
    with pytest.raises(Refused, match="no workload default/web: did you mean -n shop\\?"):
        workloads.delete(("default", "web"))


def test_new_agent_ends_what_an_earlier_one_began_to_delete(kernel: Kernel, tmp_path: Path) -> None:
    first = make(tmp_path)
    first.create(*WEB)
    kernel.fails = "delete"
    with pytest.raises(KernelError):
        first.delete(WEB)
    kernel.fails = ""
    assert make(tmp_path).recover() == ["workload shop/web: left ending"]
    assert kernel.namespaces == set()


def test_one_that_cannot_be_removed_does_not_stop_recovery(kernel: Kernel, tmp_path: Path) -> None:
    first = make(tmp_path)
    first.create(*WEB)
    kept = first.create("shop", "kept")
    kernel.links.pop(next(iter(kernel.links)))
    kernel.fails = "delete"
    second = make(tmp_path)
    notes = second.recover()
    assert notes[0].startswith("workload shop/web: its network is gone; cannot be removed: delete")
    assert second.all() == {kept.key: kept}


def test_a_changed_mtu_reaches_both_ends_of_every_workload_once(
    kernel: Kernel, tmp_path: Path
) -> None:
    workloads = make(tmp_path)
    workloads.create(*WEB)
    workloads.set_mtu(1500)
    assert kernel.mtus == []
    workloads.set_mtu(1450)
    assert kernel.mtus == [("tl", 1450), ("et", 1450)]
    again = make_again(tmp_path)
    again.set_mtu(1450)
    assert len(kernel.mtus) == 2


def test_a_workload_without_its_interface_does_not_keep_the_others(
    kernel: Kernel, tmp_path: Path
) -> None:
    workloads = make(tmp_path)
    workloads.create("shop", "broken")
    kernel.fails = f"set_mtu {next(iter(kernel.links))}"
    workloads.create(*WEB)
    workloads.set_mtu(1450)
    assert kernel.mtus == [("tl", 1450), ("et", 1450)]
    assert workloads.problems == [f"workload shop/broken: {kernel.fails}: Cannot allocate memory"]
    kernel.fails = ""
    workloads.set_mtu(1450)
    assert len(kernel.mtus) == 4 and not workloads.problems


def test_what_has_not_changed_is_the_same_object(kernel: Kernel, tmp_path: Path) -> None:
    workloads = make(tmp_path)
    web, db = workloads.create(*WEB), workloads.create("shop", "db")
    before = workloads.all()
    assert workloads.all() is before
    workloads.update(db.key, terminating=True)
    after = workloads.all()
    assert after is not before and after[web.key] is before[web.key]
    assert after[db.key].terminating and after[db.key].ready


def test_update_says_whether_anything_changed(kernel: Kernel, tmp_path: Path) -> None:
    workloads = make(tmp_path)
    workloads.create(*WEB, {"app": "web"})
    assert not workloads.update(WEB, labels={"app": "web"}, ready=True)
    assert workloads.update(WEB, ready=False)
    assert not workloads.all()[WEB].ready
    assert make_again(tmp_path).all() == workloads.all()


def make_again(tmp_path: Path) -> Workloads:
    workloads = make(tmp_path)
    workloads.recover()
    return workloads


def test_hosts_file_keeps_its_inode_and_serves_later_workloads(
    kernel: Kernel, tmp_path: Path
) -> None:
    workloads = make(tmp_path)
    web = workloads.create(*WEB)
    hosts = workloads.place(WEB).hosts
    inode = hosts.stat().st_ino
    workloads.write_hosts([HostsEntry("a-long-name", "shop", web.addresses)])
    workloads.write_hosts([HostsEntry("db", "shop", web.addresses)])
    assert hosts.stat().st_ino == inode
    assert " db\n" in hosts.read_text() and "a-long-name" not in hosts.read_text()
    workloads.create("shop", "later")
    assert " db\n" in workloads.place(("shop", "later")).hosts.read_text()


def test_command_that_never_came_is_given_up(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workloads = make(tmp_path)
    workloads.create(*WEB)
    workloads.create("shop", "pod", owner="pod")
    assert workloads.gone() == []
    monkeypatch.setattr(module, "NEVER_STARTED_S", 0.0)
    assert workloads.gone() == [WEB]


def test_processes_that_do_not_die_are_told(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tulle.edges.cgroup.KILL_TIMEOUT_S", 0.02)
    workloads = make(tmp_path)
    workloads.create(*WEB)
    cgroup = workloads.place(WEB).cgroup
    (cgroup / "cgroup.events").write_text("populated 1\n")
    with pytest.raises(Unavailable, match="do not die"):
        workloads.delete(WEB)
