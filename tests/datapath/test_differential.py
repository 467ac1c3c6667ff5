"""The kernel's decision against the reference model, on random worlds and random flows.

One set of maps goes from world to world by diff and apply, as a node's does in its life, so what
an apply leaves behind is judged as well. A difference is shrunk to the smallest world that has it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from random import Random

import pytest

from tests.unit.compile.evaluate import PROTOCOLS, Ruling, verdict_of
from tests.unit.compile.shrinking import render, shrink
from tests.unit.compile.worlds import mutated, random_flow, random_world
from tulle import abi
from tulle.abi import DecideOp, Hook, Reason
from tulle.compile import Compiled, Ids, compile_world
from tulle.compile.diff import diff
from tulle.compile.explain import end_at, explain
from tulle.compile.explain.ends import End, Kind
from tulle.compile.parts import flat, packed
from tulle.edges.bpf import syscall
from tulle.edges.bpf.datapath import Datapath
from tulle.lab import node
from tulle.model.routing import Proxied
from tulle.model.verdict import Flow, Verdict
from tulle.model.world import Workload, World

WORLDS, FLOWS = 2500, 40
LIMITS = {"conntrack": 1024, "fragments": 1024, "affinity": 1024, "sock_nat": 1024}


@dataclass
class Kernel:
    """Maps that hold some world, and the C decisions that read them."""

    datapath: Datapath
    decide: int
    world: World = field(default_factory=World)
    compiled: Compiled = field(default_factory=lambda: compile_world(World(), Ids()))
    proxied: frozenset[Proxied] = frozenset()

    def move_to(self, world: World, proxied: frozenset[Proxied] | None = None) -> None:
        """`proxied` None leaves it as it is."""
        self.proxied = self.proxied if proxied is None else proxied
        ids, before = self.compiled.ids, self.compiled
        after = compile_world(world, ids, before=before, proxied=self.proxied)
        self.datapath.apply(diff(self.compiled.image, after.image))
        self.world, self.compiled = world, after

    def judge(self, flow: Flow, *, doubted: bool = False) -> Verdict:
        """`doubted`: the overlay says something else of the source than this node knows.

        Where rules of layer 7 judge, the proxy goes on with those passed until none is left.
        """
        seen = self._seen_at(flow)
        asked = seen._replace(
            src=packed(flow.src),
            dst=packed(flow.dst),
            sport=40000,
            dport=flow.dport,
            proto=PROTOCOLS[flow.protocol],
            vni=seen.vni + doubted,
        )
        verdict = self._decide(asked)
        ruling = Ruling(
            verdict.reason,
            verdict.egress_rule,
            verdict.ingress_rule,
            verdict.audit_rule,
            verdict.action,
        )
        listeners: list[int] = []
        while verdict.proxy:
            assert verdict.to_proxy
            assert verdict.proxy not in listeners
            listeners.append(verdict.proxy)
            verdict = self._decide(asked._replace(passed=verdict.proxy))
            assert verdict.reason == ruling.reason
        return verdict_of(self.compiled, ruling._replace(listeners=tuple(listeners)))

    def _decide(self, asked: abi.Flow) -> abi.Verdict:
        args = abi.DecideArgs(flow=asked, op=DecideOp.JUDGE).pack()
        _, answer, _ = syscall.test_run(self.decide, data=args, data_out=len(args))
        return abi.DecideArgs.unpack(answer).verdict

    def _seen_at(self, flow: Flow) -> abi.Flow:
        """Where such a packet is judged first; half of other nodes' workloads use the overlay."""
        source, destination = end_at(self.world, flow.src), end_at(self.world, flow.dst)
        if flow.src in self.world.node.ingress:
            return self._sent_by_proxy(destination)
        if source.is_local and source.workload:
            return abi.Flow(ifindex=source.workload.ifindex, hook=Hook.FROM_WORKLOAD)
        if source.is_local and destination.is_local and destination.workload:
            return abi.Flow(ifindex=destination.workload.ifindex, hook=Hook.TO_WORKLOAD)
        if source.is_local:
            return abi.Flow(hook=Hook.TO_UPLINK)
        if (source.workload or source.kind is Kind.INGRESS) and flow.dport % 2:
            known = abi.Endpoint.unpack(self.datapath.maps["endpoints"][packed(flow.src)])
            return abi.Flow(hook=Hook.FROM_OVERLAY, vni=known.vni)
        return abi.Flow(hook=Hook.FROM_UPLINK)

    def _sent_by_proxy(self, destination: End) -> abi.Flow:
        if destination.is_local and destination.workload:
            ifindex = destination.workload.ifindex
            return abi.Flow(ifindex=ifindex, hook=Hook.TO_WORKLOAD, from_proxy=1)
        return abi.Flow(hook=Hook.TO_UPLINK, from_proxy=1)

    def expected(self, flow: Flow) -> Verdict:
        """What `explain` says, which is asked what lies behind a proxy's address."""
        asked = flow.dst, flow.dport, flow.protocol
        services = self.compiled.memo.services
        assert services
        if any((i.address, i.port, i.protocol) == asked and i.proxied for i in services.in_force()):
            return Verdict(Reason.PROXIED)
        return explain(self.world, flow)


def random_fronts(rng: Random, world: World) -> frozenset[Proxied]:
    return frozenset(
        (key, ip_address(text), port.port, port.protocol)
        for key, service in world.services.items()
        for text in service.spec.cluster_ips
        for port in service.spec.ports
        if rng.random() < 0.5
    )


def to_some_front(rng: Random, kernel: Kernel, flow: Flow) -> Flow:
    """Now and then the same flow, but to an address that is the proxy's."""
    places = sorted(kernel.proxied, key=str) if rng.random() < 0.05 else []
    fitting = [item for item in places if item[1].version == flow.src.version]
    if not fitting:
        return flow
    _, address, port, protocol = rng.choice(fitting)
    return replace(flow, dst=address, dport=port, protocol=protocol)


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
    seen: Counter[str] = Counter()
    for number in range(WORLDS):
        before = kernel.world
        world = mutated(rng, before) if rng.random() < 0.7 else random_world(rng)
        kernel.move_to(world, random_fronts(rng, world))
        for _ in range(FLOWS):
            flow = to_some_front(rng, kernel, random_flow(rng, kernel.world))
            expected, found = kernel.expected(flow), kernel.judge(flow)
            if found != expected:
                pytest.fail(_report(kernel, before, flow, number), pytrace=False)
            seen.update(_kinds(kernel.world, flow, expected))
        if number % 100 == 0:
            assert kernel.datapath.read() == flat(kernel.compiled.image), f"after world {number}"
    assert seen["all"] >= 100_000
    # Random worlds that meet only one kind of verdict would prove nothing.
    few = {kind: seen[kind] for kind in KINDS if seen[kind] < RARE.get(kind, 500)}
    assert few == {}


def test_a_workload_of_whom_two_nodes_know_different_things_is_unmanaged(kernel: Kernel) -> None:
    rng = Random(11)
    seen: Counter[bool] = Counter()
    for _ in range(300):
        kernel.move_to(random_world(rng))
        for _ in range(20):
            flow = random_flow(rng, kernel.world)
            source = end_at(kernel.world, flow.src)
            if source.is_local or source.workload is None or flow.dport % 2 == 0:
                continue
            as_unmanaged = explain(_forgotten(kernel.world, source.workload), flow)
            found = kernel.judge(flow, doubted=True)
            # Its address is not believed either: a block that has it admits nobody.
            assert as_unmanaged.allowed or not found.allowed, render(kernel.world, flow)
            seen[found.allowed] += 1
    assert min(seen[True], seen[False]) > 20


RARE = {"requests": 100, "audit_requests": 20}  # of flows on whose requests somebody decides
KINDS = (
    *RARE,
    *("ALLOWED", "POLICY_DENIED", "NO_SERVICE_PORT", "PROXIED", "audit", "reject"),
    *("egress NetworkPolicy", "ingress NetworkPolicy"),
    *("egress CiliumNetworkPolicy", "ingress CiliumNetworkPolicy"),
    *("egress CiliumClusterwideNetworkPolicy", "ingress CiliumClusterwideNetworkPolicy"),
    *("egress ClusterNetworkPolicy", "ingress ClusterNetworkPolicy"),
    *("from WORKLOAD", "from HOST", "from NODE", "from INGRESS", "from UNMANAGED", "from WORLD"),
    *("to WORKLOAD", "to HOST", "to NODE", "to INGRESS", "to UNMANAGED", "to WORLD"),
)


def _kinds(world: World, flow: Flow, verdict: Verdict) -> Iterator[str]:
    """What a flow and its verdict are a case of."""
    yield "all"
    yield verdict.reason.name
    for rule in (verdict.egress, verdict.ingress):
        if rule and rule.policy:
            yield f"{rule.direction} {rule.policy.kind}"
    if verdict.audit:
        yield "audit"
    if verdict.reject:
        yield "reject"
    if verdict.requests:
        yield "requests"
    if verdict.audit_requests:
        yield "audit_requests"
    if verdict.egress or verdict.ingress:
        yield f"from {end_at(world, flow.src).kind.name}"
        yield f"to {end_at(world, flow.dst).kind.name}"


def _forgotten(world: World, workload: Workload) -> World:
    """The same world without a workload of another node."""
    remote = {
        name: {key: item for key, item in items.items() if item is not workload}
        for name, items in world.remote.items()
    }
    return replace(world, remote=remote)


def _report(kernel: Kernel, before: World, flow: Flow, number: int) -> str:
    """The smallest world with a difference; the two worlds if it takes the way between them."""

    def differs(world: World) -> bool:
        kernel.move_to(world)
        return kernel.judge(flow) != kernel.expected(flow)

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
        f"explain: {_told(kernel.expected(flow))}\nkernel:  {_told(kernel.judge(flow))}"
    )


def _told(verdict: Verdict) -> str:
    return (
        f"{verdict.reason.name}, egress: {verdict.egress}, ingress: {verdict.ingress}, "
        f"audit: {verdict.audit}, reject: {verdict.reject}"
    )
