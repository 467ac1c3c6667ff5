"""Which hooks are attached and which are dropped, over a kernel that only takes note."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable
from typing import Any

import pytest

from tulle.agent import hooks as module
from tulle.agent.hooks import Hooks
from tulle.errors import KernelError


class FakeKernel:
    """Stands in for a Datapath and for `edges.netlink`."""

    def __init__(self) -> None:
        self.attached: list[int] = []
        self.filters: list[int] = []
        self.kept: set[int] = set()
        self.fails: dict[int, int] = {}  # ifindex → errno

    def programs(self, role: str) -> dict[str, tuple[str, int]]:
        return {"in": (role, 1), "out": (role, 2)}

    def attach(self, ifindex: int, role: str) -> None:
        if ifindex in self.fails:
            raise KernelError(self.fails[ifindex], "attach")
        self.attached.append(ifindex)

    def is_attached(self, ifindex: int) -> bool:
        return ifindex in self.kept

    def put_filters(self, indexes: Collection[int], programs: Any, *, keep: bool) -> set[int]:
        put = {index for index in indexes if not (keep and index in self.filters)}
        self.filters += sorted(put)
        return put

    def keep(self, ifindexes: Iterable[int]) -> None:
        self.kept = set(ifindexes)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    fake = FakeKernel()
    monkeypatch.setattr(module, "netlink", fake)
    return fake


@pytest.fixture
def hooks(kernel: FakeKernel) -> Hooks:
    made: Any = kernel
    return Hooks(made, None)


def test_what_is_attached_is_left_alone(hooks: Hooks, kernel: FakeKernel) -> None:
    hooks.attach({1: "host", 2: "pod"})
    hooks.attach({1: "host", 2: "pod", 3: "pod"})
    assert (kernel.attached, kernel.filters) == ([1], [2, 3])
    hooks.attach({1: "host"})
    hooks.keep({3})  # of one that ends, an earlier version may have had links
    assert kernel.kept == {1, 3}


def test_what_an_earlier_agent_attached_waits(hooks: Hooks, kernel: FakeKernel) -> None:
    kernel.filters = [1]
    hooks.attach({1: "pod", 2: "pod"}, only_new=True)
    assert kernel.filters == [1, 2]
    hooks.keep({1, 2})
    assert kernel.kept == {1}
    hooks.attach({1: "pod", 2: "pod"})
    assert kernel.filters == [1, 2, 1, 2]
    assert kernel.attached == [1]  # its link of an earlier version still comes before the filter
    hooks.keep({1, 2})
    assert kernel.kept == set()  # its links of an earlier version are needed no more


def test_links_of_an_earlier_agent_wait_as_well(hooks: Hooks, kernel: FakeKernel) -> None:
    kernel.kept = {1}
    hooks.attach({1: "guest", 2: "guest"}, only_new=True)
    assert (kernel.attached, kernel.filters) == ([2], [])
    hooks.attach({1: "guest", 2: "guest"})
    hooks.keep(set())
    assert kernel.kept == {1, 2} and sorted(set(kernel.attached)) == [1, 2]


def test_all_are_attached_anew_when_they_are_forgotten(hooks: Hooks, kernel: FakeKernel) -> None:
    hooks.attach({1: "host", 2: "pod"})
    hooks.forget()
    hooks.attach({1: "host", 2: "pod"})
    assert (kernel.attached, kernel.filters) == ([1, 1], [2, 2])


def test_to_forget_in_the_middle_of_a_pass_drops_none(hooks: Hooks, kernel: FakeKernel) -> None:
    hooks.attach({1: "host"})
    hooks.forget()
    hooks.keep(set())
    assert kernel.kept == {1}


def test_only_an_interface_that_has_gone_may_fail(hooks: Hooks, kernel: FakeKernel) -> None:
    kernel.fails = {1: errno.ENODEV}
    hooks.attach({1: "overlay", 2: "host"})
    hooks.keep(set())
    assert kernel.kept == {2}
    kernel.fails = {3: errno.EPERM}
    with pytest.raises(KernelError):
        hooks.attach({2: "host", 3: "host"})
