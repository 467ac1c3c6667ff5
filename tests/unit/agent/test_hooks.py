"""Which hooks are attached and which are dropped, over a datapath that only takes note."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import Any

import pytest

from tulle.agent.hooks import Hooks
from tulle.errors import KernelError


class FakeDatapath:
    def __init__(self) -> None:
        self.attached: list[int] = []
        self.kept: set[int] = set()
        self.fails: dict[int, int] = {}  # ifindex → errno

    def attach(self, ifindex: int, role: str) -> None:
        if ifindex in self.fails:
            raise KernelError(self.fails[ifindex], "attach")
        self.attached.append(ifindex)

    def is_attached(self, ifindex: int) -> bool:
        return ifindex in self.kept

    def keep(self, ifindexes: Iterable[int]) -> None:
        self.kept = set(ifindexes)


@pytest.fixture
def datapath() -> FakeDatapath:
    return FakeDatapath()


@pytest.fixture
def hooks(datapath: FakeDatapath) -> Hooks:
    made: Any = datapath
    return Hooks(made, None)


def test_what_is_attached_is_left_alone(hooks: Hooks, datapath: FakeDatapath) -> None:
    hooks.attach({1: "host", 2: "pod"})
    hooks.attach({1: "host", 2: "pod", 3: "pod"})
    assert sorted(datapath.attached) == [1, 2, 3]
    hooks.attach({1: "host"})
    hooks.keep({3})
    assert datapath.kept == {1, 3}


def test_what_an_earlier_agent_attached_waits(hooks: Hooks, datapath: FakeDatapath) -> None:
    datapath.kept = {1}
    hooks.attach({1: "pod", 2: "pod"}, only_new=True)
    assert datapath.attached == [2]
    hooks.attach({1: "pod", 2: "pod"})
    assert sorted(set(datapath.attached)) == [1, 2]


def test_all_are_attached_anew_when_they_are_forgotten(
    hooks: Hooks, datapath: FakeDatapath
) -> None:
    hooks.attach({1: "host"})
    hooks.forget()
    hooks.attach({1: "host"})
    assert datapath.attached == [1, 1]


def test_to_forget_in_the_middle_of_a_pass_drops_none(hooks: Hooks, datapath: FakeDatapath) -> None:
    hooks.attach({1: "host"})
    hooks.forget()
    hooks.keep(set())
    assert datapath.kept == {1}


def test_only_an_interface_that_has_gone_may_fail(hooks: Hooks, datapath: FakeDatapath) -> None:
    datapath.fails = {1: errno.ENODEV}
    hooks.attach({1: "pod", 2: "pod"})
    hooks.keep(set())
    assert datapath.kept == {2}
    datapath.fails = {3: errno.EPERM}
    with pytest.raises(KernelError):
        hooks.attach({2: "pod", 3: "pod"})
