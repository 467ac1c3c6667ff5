"""The compiled C, run by the kernel on what a test gives it. Nothing is attached anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from tulle import abi
from tulle.abi import DecideOp, Event, Reason
from tulle.compile import Compiled, Ids, compile_world
from tulle.compile.diff import diff
from tulle.compile.parts import packed
from tulle.edges.bpf import bpffs, syscall
from tulle.edges.bpf.datapath import Datapath, remove
from tulle.model.world import World

SHOT = 2  # TC_ACT_SHOT
SECOND_NS = 1_000_000_000
LOOPBACK = 1  # the interface that test-run packets come by
LIMITS = {"conntrack": 1024, "fragments": 1024, "affinity": 1024, "sock_nat": 1024}


class Kernel:
    """Maps that hold one world, and the programs on them."""

    def __init__(self, pins: Path) -> None:
        self.datapath = Datapath(pins, LIMITS)
        self.maps = self.datapath.maps
        self._programs = self.datapath.objects.load("pod", ("from_workload", "to_workload"))
        self._programs |= self.datapath.objects.load("decide", ("decide",))
        self._compiled: Compiled = compile_world(World(), Ids())
        self.datapath.apply(diff({"kernel": self.datapath.read()}, self._compiled.image))

    def move_to(self, world: World) -> None:
        """As an agent would: by diff and apply, which raises the epoch if verdicts may differ."""
        after = compile_world(world, self._compiled.ids)
        self.datapath.apply(diff(self._compiled.image, after.image))
        self._compiled = after

    def forget(self) -> None:
        """All connections and fragments, and the events so far."""
        for name in ("conntrack", "fragments"):
            self.maps[name].delete_many([key for key, _ in self.maps[name].items()])
        self.datapath.events()

    def track(self, flow: abi.Flow, now_s: float) -> abi.Verdict:
        """One packet's verdict, through conntrack, `now_s` seconds after the clock began."""
        args = abi.DecideArgs(flow=flow, op=DecideOp.TRACK, now_ns=int(now_s * SECOND_NS)).pack()
        _, answer, _ = syscall.test_run(self._programs["decide"], data=args, data_out=len(args))
        return abi.DecideArgs.unpack(answer).verdict

    def pass_frame(self, hook: str, frame: bytes) -> int:
        """The action (TC_ACT_*) of `from_workload` or `to_workload`; the interface is `lo`."""
        action, _, _ = syscall.test_run(self._programs[hook], data=frame)
        return action

    def judge(self, hook: str, frame: bytes) -> Reason:
        """The reason that is counted for a frame; a frame must count one."""
        before = self._counted()
        action = self.pass_frame(hook, frame)
        now = self._counted()
        [reason] = [kind for kind, packets in now.items() if packets != before.get(kind, 0)]
        assert (action == SHOT) == (reason >= Reason.DROP)
        return reason

    def _counted(self) -> dict[Reason, int]:
        return {kind: item.packets for kind, item in self.datapath.reason_counters().items()}

    def events(self) -> list[Event]:
        return [Event.unpack(raw) for raw in self.datapath.events()]

    def close(self) -> None:
        for fd in self._programs.values():
            os.close(fd)
        self.datapath.close()


@contextmanager
def kernel_of(name: str) -> Iterator[Kernel]:
    pins = bpffs.ROOT / "tulle" / f"{name}-{os.getpid()}"
    bpffs.mount()
    try:
        kernel = Kernel(pins)
        yield kernel
        kernel.close()
    finally:
        remove(pins)
    assert not pins.exists()


def flow(src: str, dst: str, protocol: int, **fields: Any) -> abi.Flow:
    """`src` and `dst` are addresses; the rest are fields of abi.Flow."""
    ends = packed(ip_address(src)), packed(ip_address(dst))
    return abi.Flow(*ends, proto=protocol, **fields)
