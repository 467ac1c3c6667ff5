"""Attachments over a kernel that exists in memory only: the record law, and who is in the mesh."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tulle.agent import sandboxes as module
from tulle.agent.attachments import PodFacts, SandboxRecord, Wanted
from tulle.agent.capabilities import NOTHING as NO_WISHES
from tulle.agent.capabilities import Wishes
from tulle.agent.cni import Attachment, CniError
from tulle.agent.ipam import Leases
from tulle.agent.sandboxes import Sandboxes
from tulle.edges.netlink import Pair
from tulle.edges.netlink.others import Found
from tulle.errors import KernelError, Refused
from tulle.model.world import IPAddress, Wire

STEPS = ["connect_node_sides", "connect_workload_side"]


class Kernel:
    """Stands in for `edges.netns` and `edges.netlink`. `fails` names one call that fails."""

    MTU, Pair = 1500, Pair

    def __init__(self, tmp_path: Path) -> None:
        self.links: dict[str, int] = {"eth7": 1}
        self.inside: dict[str, tuple[IPAddress, ...]] = {}  # namespace/interface → addresses
        self.where: Path | None = None
        self.mtus: list[str] = []
        self.batches: list[int] = []
        self.fails, self.made = "", 1
        self.directory = tmp_path

    def namespace(self, name: str) -> Path:
        path = self.directory / f"ns-{name}"
        path.touch()
        return path

    def exists(self, path: Path) -> bool:
        return path.exists() and path.name.startswith("ns-")

    def run_in(self, path: Path | None, work: Callable[[], Any]) -> Any:
        self.where = path
        return work()

    def on_thread(self, work: Callable[[], Any]) -> Any:
        return work()

    def enter(self, path: Path) -> None:
        self.where = path

    def connect_node_sides(self, pairs: Sequence[Pair]) -> list[int | KernelError]:
        self.call("connect_node_sides")
        self.batches.append(len(pairs))
        self.made += len(pairs)
        first = self.made - len(pairs) + 1
        self.links.update((pair.interface, first + n) for n, pair in enumerate(pairs))
        return [self.links[pair.interface] for pair in pairs]

    def connect_workload_side(self, pair: Pair) -> None:
        if self.fails == f"connect_workload_side {pair.netns.name}":
            raise KernelError(12, self.fails)
        self.call("connect_workload_side")
        self.inside[f"{self.where}/{pair.inside}"] = tuple(pair.addresses)

    def own_addresses(self) -> dict[int, tuple[IPAddress, ...]]:
        return {2: self.inside.get(f"{self.where}/eth0", ())}

    def interfaces(self) -> dict[str, int]:
        return {"eth0": 2} if self.where else dict(self.links)

    def disconnect(self, interfaces: Sequence[str]) -> None:
        self.call("disconnect")
        if self.fails in interfaces:
            raise KernelError(12, self.fails)
        for interface in interfaces:
            self.links.pop(interface, None)

    def adopt(self, interfaces: list[str]) -> None:
        assert set(interfaces) <= self.links.keys()

    def set_mtu(self, interface: str, mtu: int) -> None:
        self.call(f"set_mtu {interface[:2]}")
        self.mtus.append(f"{interface[:2]} {mtu}")

    def find_pair(self, inside: str, in_workload: object) -> Found:
        self.call("find_pair")
        return Found(self.links["veth9"], "veth9", "02:00:00:00:00:02", "02:00:00:00:00:01", 4)

    def adopt_pair(self, interface: str) -> None:
        self.call("adopt_pair")

    def is_ours(self, interface: str) -> bool:
        return interface.startswith("tl")

    def call(self, name: str) -> None:
        if name == self.fails:
            raise KernelError(12, name)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kernel:
    fake = Kernel(tmp_path)
    monkeypatch.setattr(module, "netns", fake)
    monkeypatch.setattr(module, "netlink", fake)
    clock = iter(range(1000))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    return fake


def make(kernel: Kernel) -> Sandboxes:
    return Sandboxes(kernel.directory / "state", None, Leases(kernel.directory / "leases.json"))


def add(
    some: Sandboxes, asked: Attachment, facts: PodFacts, wishes: Wishes = NO_WISHES
) -> SandboxRecord:
    (made,) = some.add([Wanted(asked, facts, wishes)])
    if isinstance(made, Exception):
        raise made
    return made


def delete(some: Sandboxes, wanted: tuple[str, str]) -> bool:
    (gone,) = some.delete([wanted])
    if isinstance(gone, Exception):
        raise gone
    return gone


def again(kernel: Kernel) -> tuple[Sandboxes, list[str]]:
    """As the next agent has them, and what it removed."""
    made = make(kernel)
    return made, made.recover([])


def web(kernel: Kernel, container: str = "c1", name: str = "web") -> Attachment:
    netns = str(kernel.namespace(container))
    return Attachment("mesh", container, "eth0", netns, ("shop", name), "uid-1")


def left(kernel: Kernel) -> tuple[object, ...]:
    """Records, interfaces and addresses."""
    records = list((kernel.directory / "state" / "sandboxes").glob("*"))
    links = [name for name in kernel.links if name.startswith("tl")]
    return records, links, dict(Leases(kernel.directory / "leases.json").held())


NOTHING: tuple[object, ...] = ([], [], {})
CHAINED = Wishes(addresses=("10.66.0.2", "fd66::2"))


def test_what_another_plugin_made_is_found_and_stays_its_own(kernel: Kernel) -> None:
    kernel.links["veth9"] = 9
    some = make(kernel)
    record = add(some, web(kernel), PodFacts(), CHAINED)
    (workload,) = some.all().values()
    assert workload.wire == Wire("02:00:00:00:00:02", "02:00:00:00:00:01", 4)
    assert (workload.ifindex, some.roles()) == (9, {9: "guest", 4: "bridge"})
    assert workload.addresses == (ip_address("10.66.0.2"), ip_address("fd66::2"))
    some.set_mtu(1400)
    assert (kernel.mtus, left(kernel)[1:]) == ([], ([], {}))
    some, removed = again(kernel)
    assert removed == [] and some.all() == {("shop", "web"): workload}
    some.delete([record.id])
    assert (left(kernel), "veth9" in kernel.links) == (NOTHING, True)


def test_an_interface_of_the_same_name_is_not_the_one_that_was_found(kernel: Kernel) -> None:
    kernel.links["veth9"] = 9
    add(make(kernel), web(kernel), PodFacts(), CHAINED)
    kernel.links["veth9"] = 10
    some, removed = again(kernel)
    assert removed == ["sandbox of pod shop/web: its network is gone"]
    assert (some.all(), left(kernel)) == ({}, NOTHING)


@pytest.mark.parametrize("step", ["find_pair", "adopt_pair"])
def test_what_cannot_be_followed_leaves_nothing(kernel: Kernel, step: str) -> None:
    kernel.links["veth9"], kernel.fails = 9, step
    with pytest.raises(KernelError, match=step):
        add(make(kernel), web(kernel), PodFacts(), CHAINED)
    assert (left(kernel), "veth9" in kernel.links) == (NOTHING, True)


def test_what_is_added_is_in_the_mesh_with_what_is_known_of_the_pod(kernel: Kernel) -> None:
    some = make(kernel)
    facts = PodFacts({"app": "web"}, "robot", weight=3)
    record = add(some, web(kernel), facts)
    (workload,) = some.all().values()
    assert (workload.labels, workload.service_account, workload.weight) == (
        {"app": "web"},
        "robot",
        3,
    )
    assert workload.addresses == record.ips and record.ips[0] == IPv4Address("10.244.0.2")
    assert some.roles() == {workload.ifindex: "pod"} == {kernel.links[record.interface]: "pod"}
    assert some.interfaces() == {workload.ifindex}
    assert some.namespaces() == {workload.ifindex: kernel.namespace("c1")}


def test_added_twice_it_is_made_once(kernel: Kernel) -> None:
    some = make(kernel)
    first = add(some, web(kernel), PodFacts())
    assert add(some, web(kernel), PodFacts()) == first
    recovered, removed = again(kernel)
    assert removed == [] and add(recovered, web(kernel), PodFacts()) == first


def test_one_whose_namespace_was_made_anew_is_made_anew(kernel: Kernel) -> None:
    some = make(kernel)
    first = add(some, web(kernel), PodFacts())
    keep = Path(first.netns).rename(kernel.directory / "held")  # its inode is not given again
    second = add(some, web(kernel), PodFacts())
    assert second.interface != first.interface and keep.exists()
    assert left(kernel)[1] == [second.interface]


@pytest.mark.parametrize("step", STEPS)
def test_failed_adding_leaves_nothing_and_can_be_tried_again(kernel: Kernel, step: str) -> None:
    some = make(kernel)
    kernel.fails = step
    with pytest.raises(KernelError, match=step):
        add(some, web(kernel), PodFacts())
    assert (some.all(), left(kernel)) == ({}, NOTHING)
    kernel.fails = ""
    assert add(some, web(kernel), PodFacts()).key in some.all()


def test_failed_deleting_hides_the_pod_and_can_be_tried_again(kernel: Kernel) -> None:
    some = make(kernel)
    record = add(some, web(kernel), PodFacts())
    kernel.fails = "disconnect"
    with pytest.raises(KernelError, match="disconnect"):
        delete(some, record.id)
    # its hooks have to stay as long as the interface does
    assert (some.all(), some.roles(), some.interfaces()) == ({}, {}, {record.ifindex})
    kernel.fails = ""
    assert delete(some, record.id) and not delete(some, record.id)
    assert left(kernel) == NOTHING


class Killed(BaseException):
    """The agent ends here: nothing of it runs any more, and what it wrote stays."""


@pytest.mark.parametrize("writes", range(8))
def test_an_agent_killed_at_any_write_leaves_nothing_that_the_next_does_not_find(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Two pods are added, and one is deleted again; then there is no write any more."""
    budget = iter(range(writes))

    def write(path: Path, content: bytes) -> None:
        if next(budget, None) is None:
            raise Killed
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    monkeypatch.setattr("tulle.agent.records.write_below", write)
    monkeypatch.setattr("tulle.agent.ipam.write_below", write)
    some = make(kernel)
    try:
        add(some, web(kernel, "c1"), PodFacts())
        record = add(some, web(kernel, "c2", "db"), PodFacts())
        delete(some, record.id)
    except Killed:
        pass
    monkeypatch.undo()
    monkeypatch.setattr(module, "netns", kernel)
    monkeypatch.setattr(module, "netlink", kernel)
    recovered, _ = again(kernel)
    pods = recovered.all().values()
    assert {kernel.links[name] for name in kernel.links if kernel.is_ours(name)} == {
        pod.ifindex for pod in pods
    }
    held = Leases(kernel.directory / "leases.json").held()
    assert len(held) == len(pods) == len(left(kernel)[0])  # type: ignore[arg-type]
    for wanted in ("c1", "c2"):
        delete(recovered, (wanted, "eth0"))
    assert left(kernel) == NOTHING


@pytest.mark.parametrize("writes", range(9))
def test_a_full_disk_costs_no_address(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """From some write on, until room is made; a runtime deletes what it could not add or delete."""
    budget = iter(range(writes))

    def write(path: Path, content: bytes) -> None:
        if next(budget, None) is None:
            raise OSError(28, "No space left on device")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    some, pods = make(kernel), [web(kernel, "c1"), web(kernel, "c2", "db")]
    with monkeypatch.context() as full:
        full.setattr("tulle.agent.records.write_below", write)
        full.setattr("tulle.agent.ipam.write_below", write)
        with suppress(OSError):
            some.add([Wanted(pod, PodFacts()) for pod in pods])
        some.delete([pod.id for pod in pods])
    some.delete([pod.id for pod in pods])
    assert left(kernel) == NOTHING


def test_an_interface_whose_record_cannot_be_read_is_not_left_open(kernel: Kernel) -> None:
    add(make(kernel), web(kernel), PodFacts())
    kernel.links["tlworkload"] = 9
    (record,) = (kernel.directory / "state" / "sandboxes").iterdir()
    record.write_text("{")
    some = make(kernel)
    (removed,) = some.recover(["tlworkload"])
    assert removed.endswith("it belongs to no workload")
    assert kernel.links.keys() == {"eth7", "tlworkload"} and left(kernel)[2] == {}


def test_of_two_sandboxes_of_a_pod_the_younger_is_in_the_mesh(kernel: Kernel) -> None:
    some = make(kernel)
    old = add(some, web(kernel, "c1"), PodFacts())
    new = add(some, web(kernel, "c2"), PodFacts())
    assert some.all()[new.key].ifindex == new.ifindex and some.uid_of(new.key) == "uid-1"
    assert some.uid_of(("shop", "none")) == ""
    assert some.roles().keys() == {old.ifindex, new.ifindex}  # and hooked: cut off, not open
    delete(some, old.id)
    assert some.all()[new.key].ifindex == new.ifindex
    assert again(kernel)[0].all() == some.all()


def test_a_late_word_of_an_old_container_does_not_end_the_new_one(kernel: Kernel) -> None:
    some = make(kernel)
    old = add(some, web(kernel, "c1"), PodFacts())
    add(some, web(kernel, "c2"), PodFacts())
    assert delete(some, old.id) and not delete(some, old.id)
    assert len(some.all()) == 1


def test_what_is_learnt_later_holds_for_the_next_agent_too(kernel: Kernel) -> None:
    some = make(kernel)
    record = add(some, web(kernel), PodFacts())
    before = some.all()
    some.learn({("shop", "other"): PodFacts({"app": "x"})})
    some.learn({record.key: PodFacts({"app": "x"}, uid="another pod's of that name")})
    assert some.all() is before
    some.learn({record.key: PodFacts({"app": "x"}, weight=3, uid="uid-1")})
    some.learn({record.key: PodFacts({"app": "web"}, uid="uid-1", problem="a bad annotation")})
    assert (some.all()[record.key].labels, some.all()[record.key].weight) == ({"app": "web"}, 3)
    some.learn({})  # the API server is away
    assert again(kernel)[0].all()[record.key].labels == {"app": "web"}


def test_what_has_not_changed_is_the_same_object(kernel: Kernel) -> None:
    some = make(kernel)
    first = add(some, web(kernel, "c1"), PodFacts())
    before = some.all()
    assert some.all() is before
    add(some, web(kernel, "c2", "db"), PodFacts())
    assert some.all() is not before and some.all()[first.key] is before[first.key]


def test_garbage_is_what_the_runtime_knows_no_more_in_that_network(kernel: Kernel) -> None:
    some = make(kernel)
    kept, gone = add(some, web(kernel, "c1"), PodFacts()), add(some, web(kernel, "c2"), PodFacts())
    other = add(some, replace(web(kernel, "c3", "db"), network="other"), PodFacts())
    assert some.collect("mesh", [kept.id]) == ["sandbox of pod shop/web: not valid any more"]
    assert (
        some.roles().keys() == {kept.ifindex, other.ifindex}
        and gone.ifindex not in some.interfaces()
    )


def test_garbage_that_cannot_be_removed_is_told_and_does_not_keep_the_rest(kernel: Kernel) -> None:
    some = make(kernel)
    add(some, web(kernel), PodFacts())
    kernel.fails = "disconnect"
    (told,) = some.collect("mesh", [])
    assert "cannot be removed: disconnect" in told
    kernel.fails = ""
    assert len(some.end_all()) == 1 and left(kernel) == NOTHING


def test_a_namespace_that_goes_without_a_word_takes_its_pod_along(kernel: Kernel) -> None:
    some = make(kernel)
    record = add(some, web(kernel), PodFacts())
    assert some.end_the_gone() == []
    del kernel.links[record.interface]
    assert some.end_the_gone() == ["sandbox of pod shop/web: its network is gone"]
    assert (some.all(), left(kernel)) == ({}, NOTHING)


def test_an_interface_of_the_same_name_is_not_the_same(kernel: Kernel) -> None:
    some = make(kernel)
    record = add(some, web(kernel), PodFacts())
    kernel.links[record.interface] += 1
    assert some.end_the_gone() == ["sandbox of pod shop/web: its network is gone"]
    assert some.all() == {}


@pytest.mark.parametrize("netns", ["/nowhere", "/etc/passwd", "/etc/passwd/x", "/" + "x" * 5000])
def test_what_is_no_network_namespace_is_refused(kernel: Kernel, netns: str) -> None:
    with pytest.raises(CniError, match="no network namespace") as caught:
        add(make(kernel), replace(web(kernel), netns=netns), PodFacts())
    assert caught.value.code == 4 and left(kernel) == NOTHING


def test_the_nodes_own_namespace_is_not_given_away(kernel: Kernel) -> None:
    own = kernel.namespace("node")
    some = Sandboxes(kernel.directory / "state", own, Leases(kernel.directory / "leases.json"))
    with pytest.raises(CniError, match="the node's own"):
        add(some, replace(web(kernel), netns=str(own)), PodFacts())


def test_a_full_range_is_refused_by_name(kernel: Kernel) -> None:
    leases = Leases(kernel.directory / "leases.json", [ip_network("10.0.0.0/30")])
    some = Sandboxes(kernel.directory / "state", None, leases)
    add(some, web(kernel, "c1"), PodFacts())
    with pytest.raises(Refused, match="no address left"):
        add(some, web(kernel, "c2"), PodFacts())


def test_check_finds_what_was_changed_behind_our_back(kernel: Kernel) -> None:
    some = make(kernel)
    asked = web(kernel)
    with pytest.raises(CniError, match="never added"):
        some.check(asked)
    record = add(some, asked, PodFacts())
    assert some.check(asked) == record
    kernel.inside[f"{asked.netns}/eth0"] = (ip_address("fd00:7a11:0:244::2"),)
    with pytest.raises(CniError, match=r"interface eth0 has not 10\.244\.0\.2"):
        some.check(asked)
    del kernel.links[record.interface]
    with pytest.raises(CniError, match="of the node is gone"):
        some.check(asked)


def test_a_changed_mtu_reaches_both_ends_once(kernel: Kernel) -> None:
    some = make(kernel)
    add(some, web(kernel), PodFacts())
    some.set_mtu(1500)
    some.set_mtu(1450)
    some.set_mtu(1450)
    assert kernel.mtus == ["tl 1450", "et 1450"] and some.problems == []
    assert add(some, web(kernel, "c2", "db"), PodFacts()).mtu == 1450
    kernel.fails = "set_mtu tl"
    some.set_mtu(1400)
    assert len(some.problems) == 2 and some.problems[0].startswith("pod shop/web: set_mtu")


def test_many_are_made_and_ended_together(kernel: Kernel) -> None:
    some = make(kernel)
    wanted = [Wanted(web(kernel, f"c{n}", f"web-{n}"), PodFacts()) for n in range(4)]
    kernel.fails = "connect_workload_side ns-c2"
    nowhere = Wanted(replace(wanted[0].asked, container_id="c9", netns="/nowhere"), PodFacts())
    made = some.add([*wanted, nowhere])
    assert kernel.batches == [4]
    assert isinstance(made[2], KernelError) and isinstance(made[4], CniError)
    up = [record for record in made if isinstance(record, SandboxRecord)]
    assert [record.name for record in up] == ["web-0", "web-1", "web-3"]
    assert {record.key for record in up} == some.all().keys() and len(left(kernel)[0]) == 3  # type: ignore[arg-type]
    kernel.fails = up[1].interface
    gone = some.delete([one.id for one in wanted])
    assert (gone[0], gone[2], gone[3]) == (True, False, True)
    assert isinstance(gone[1], KernelError) and some.interfaces() == {up[1].ifindex}
    kernel.fails = ""
    assert delete(some, up[1].id) and left(kernel) == NOTHING


def test_calls_for_one_attachment_wait_for_each_other(kernel: Kernel) -> None:
    some = make(kernel)
    asked, entered, go = web(kernel), threading.Event(), threading.Event()

    def slow(pairs: Sequence[Pair]) -> list[int | KernelError]:
        entered.set()
        assert go.wait(5)
        return connect(pairs)

    connect = kernel.connect_node_sides
    kernel.connect_node_sides = slow  # type: ignore[method-assign]
    adding = threading.Thread(target=lambda: add(some, asked, PodFacts()))
    adding.start()
    assert entered.wait(5)
    outcome: list[bool] = []
    deleting = threading.Thread(target=lambda: outcome.append(delete(some, asked.id)))
    deleting.start()
    deleting.join(0.1)
    assert outcome == []
    go.set()
    adding.join(5)
    deleting.join(5)
    assert outcome == [True] and some.interfaces() == set()
