"""The kernel's decision against the reference model, on random worlds and random flows.

One set of maps goes from world to world by diff and apply, as a node's does in its life, so what
an apply leaves behind is judged as well. A difference is shrunk to the smallest world that has it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import pytest

from tests.unit.compile.evaluate import PROTOCOLS, Ruling, verdict_of
from tests.unit.compile.shrinking import render, shrink
from tests.unit.compile.worlds import mutated, random_flow, random_world
from tulle import abi
from tulle.abi import DecideOp, Hook
from tulle.compile import Compiled, Ids, compile_world
from tulle.compile.diff import diff
from tulle.compile.explain import explain
from tulle.compile.parts import flat, packed
from tulle.edges.bpf import syscall
from tulle.edges.bpf.datapath import Datapath
from tulle.lab import node
from tulle.model.verdict import Flow, Verdict
from tulle.model.world import IPAddress, World

WORLDS, FLOWS = 2500, 40
LIMITS = {"conntrack": 1024, "fragments": 1024, "affinity": 1024, "sock_nat": 1024}


@dataclass
class Kernel:
    """Maps that hold some world, and the C decisions that read them."""

    datapath: Datapath
    decide: int
    world: World = field(default_factory=World)
    compiled: Compiled = field(default_factory=lambda: compile_world(World(), Ids()))

    def move_to(self, world: World) -> None:
        after = compile_world(world, self.compiled.ids, before=self.compiled)
        self.datapath.apply(diff(self.compiled.image, after.image))
        self.world, self.compiled = world, after

    def judge(self, flow: Flow) -> Verdict:
        where, hook = self._seen_at(flow)
        asked = abi.Flow(
            src=packed(flow.src),
            dst=packed(flow.dst),
            sport=40000,
            dport=flow.dport,
            proto=PROTOCOLS[flow.protocol],
            ifindex=where,
            hook=hook,
        )
        args = abi.DecideArgs(flow=asked, op=DecideOp.JUDGE).pack()
        _, answer, _ = syscall.test_run(self.decide, data=args, data_out=len(args))
        verdict = abi.DecideArgs.unpack(answer).verdict
        ruling = Ruling(
            verdict.reason,
            verdict.egress_rule,
            verdict.ingress_rule,
            verdict.audit_rule,
            verdict.action,
        )
        return verdict_of(self.compiled, ruling)

    def _seen_at(self, flow: Flow) -> tuple[int, Hook]:
        """The interface and hook that such a packet passes; foreign ends meet no hook."""
        source, destination = self._ifindex(flow.src), self._ifindex(flow.dst)
        if source:
            return source, Hook.FROM_WORKLOAD
        if destination:
            return destination, Hook.TO_WORKLOAD
        return 0, Hook.SOCKET

    def _ifindex(self, address: IPAddress) -> int:
        owners = (w for w in self.world.workloads.values() if address in w.addresses)
        return next((owner.ifindex for owner in owners), 0)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    name = f"diff-{os.getpid()}"
    try:
        datapath = Datapath(node.create(name).bpffs, LIMITS)
        decide = datapath.objects.load("decide", ("decide",))["decide"]
        kernel = Kernel(datapath, decide)
        kernel.datapath.apply(diff({"kernel": datapath.read()}, kernel.compiled.image))
        yield kernel
        os.close(decide)
        datapath.close()
    finally:
        node.destroy(name)


def test_the_kernel_decides_as_explain_does(kernel: Kernel) -> None:
    rng = Random(20250)
    seen: Counter[tuple[str, bool, bool]] = Counter()
    for number in range(WORLDS):
        before = kernel.world
        kernel.move_to(mutated(rng, before) if rng.random() < 0.7 else random_world(rng))
        for _ in range(FLOWS):
            flow = random_flow(rng, kernel.world)
            expected, found = explain(kernel.world, flow), kernel.judge(flow)
            if found != expected:
                pytest.fail(_report(kernel, before, flow, number), pytrace=False)
            seen[expected.reason.name, bool(expected.egress), bool(expected.ingress)] += 1
        if number % 100 == 0:
            assert kernel.datapath.read() == flat(kernel.compiled.image), f"after world {number}"
    assert seen.total() >= 100_000
    # Random worlds that meet only one kind of verdict would prove nothing.
    kinds = ("ALLOWED", "POLICY_DENIED")
    both_ways = [seen[kind, *sides] for kind in kinds for sides in ((True, False), (False, True))]
    assert min(*both_ways, seen["NO_SERVICE_PORT", False, False]) > 1000


def _report(kernel: Kernel, before: World, flow: Flow, number: int) -> str:
    """The smallest world with a difference; the two worlds if it takes the way between them."""

    def differs(world: World) -> bool:
        kernel.move_to(world)
        return kernel.judge(flow) != explain(world, flow)

    world, heading = kernel.world, f"world {number}"
    kernel.move_to(World())
    if differs(world):
        world, heading = shrink(world, differs), f"{heading}, shrunk"
    else:
        heading += ", only when it comes after this one:\n" + render(before, flow)
        kernel.move_to(before)
    kernel.move_to(world)
    return (
        f"{heading}\n{render(world, flow)}\n"
        f"explain: {_told(explain(world, flow))}\nkernel:  {_told(kernel.judge(flow))}"
    )


def _told(verdict: Verdict) -> str:
    return f"{verdict.reason.name}, egress: {verdict.egress}, ingress: {verdict.ingress}"
