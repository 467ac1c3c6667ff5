"""One node's datapath: its programs, links and maps, all pinned below one directory.

What is pinned works without an agent. A new agent finds it, swaps the programs of the links in
place, and carries on with the same maps.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from struct import iter_unpack

from tulle import abi
from tulle.abi import Reason
from tulle.compile.diff import Change, moves_verdicts
from tulle.compile.image import DERIVED, Image

from . import links
from .events import EventRing
from .loader import Objects

_ZERO = bytes(4)


class Datapath:
    """Loads on creation. Raises Broken (KernelError, AbiMismatch) if it cannot."""

    def __init__(self, pins: Path, limits: Mapping[str, int] | None = None) -> None:
        self._links = pins / "links"
        self.objects = Objects(pins, limits)
        self._pod = self.objects.load("pod", ("from_workload", "to_workload"))
        self._sock = self.objects.load("sock", tuple(links.CGROUP_HOOKS))
        self.maps = self.objects.maps
        self._ring = EventRing(self.maps["events"].fd)

    def attach_sockets(self, cgroup: Path) -> None:
        """The service hooks, for every process in the cgroup and below it."""
        fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name, attach_type in links.CGROUP_HOOKS.items():
                links.attach(self._links / name, self._sock[name], fd, attach_type)
        finally:
            os.close(fd)

    def attach_workload(self, ifindex: int) -> None:
        """Both hooks of a veth pair's node side. Call in the network namespace that it is in."""
        for direction, program, attach_type in (
            ("in", "from_workload", links.TCX_INGRESS),
            ("out", "to_workload", links.TCX_EGRESS),
        ):
            pin = self._links / f"{ifindex}-{direction}"
            if pin.exists() and not links.is_live(pin, ifindex):
                links.remove(pin)
            links.attach(pin, self._pod[program], ifindex, attach_type)

    def keep_workloads(self, ifindexes: Iterable[int]) -> None:
        """Drops the links of all other interfaces."""
        kept = {f"{index}-{direction}" for index in ifindexes for direction in ("in", "out")}
        for pin in self._links.glob("*-*"):
            if pin.name not in kept:
                links.remove(pin)

    def read(self) -> Image:
        """What the kernel has. Counters of rules are named only: their values are not derived."""
        image = {name: dict(self.maps[name].items()) for name in DERIVED}
        image["rules"] = dict.fromkeys(image["rules"], b"")
        return image

    def apply(self, changes: list[Change]) -> None:
        """In order; afterwards established connections are judged again if a verdict may differ."""
        for (name, is_put), group in groupby(changes, lambda c: (c.map, c.value is not None)):
            target = self.maps[name]
            if not is_put:
                target.delete_many(change.key for change in group)
            elif name == "rules":
                for change in group:
                    target.create(change.key)
            else:
                target.update_many(
                    (change.key, change.value) for change in group if change.value is not None
                )
        if moves_verdicts(changes):
            self.raise_epoch()

    def raise_epoch(self) -> None:
        now = abi.State.unpack(self.maps["state"][_ZERO])
        self.maps["state"][_ZERO] = abi.State((now.epoch + 1) % (1 << 32)).pack()

    def events(self) -> list[bytes]:
        """New raw `abi.Event`s since the last call."""
        return list(self._ring.read())

    def events_lost(self) -> int:
        return sum(value for (value,) in iter_unpack("=Q", self.maps["events_lost"][_ZERO]))

    def reason_counters(self) -> dict[Reason, abi.Counter]:
        found = {}
        known = {int(reason): reason for reason in Reason}
        for key, value in self.maps["reasons"].items():
            reason, total = known.get(int.from_bytes(key, "little")), _total(value)
            if reason is not None and total.packets:
                found[reason] = total
        return found

    def rule_counters(self) -> dict[int, abi.Counter]:
        """Verdicts per rule, and the bytes of the packets that asked for them."""
        return {
            int.from_bytes(key, "little"): _total(value)
            for key, value in self.maps["rules"].items()
        }

    def close(self) -> None:
        """Lets go of it; everything pinned stays in force."""
        self._ring.close()
        for fd in (*self._pod.values(), *self._sock.values()):
            os.close(fd)
        self.objects.close()


def remove(pins: Path) -> None:
    """Takes a node's programs, links and maps out of the kernel."""
    shutil.rmtree(pins, ignore_errors=True)


def _total(per_cpu: bytes) -> abi.Counter:
    rows = list(iter_unpack("=QQ", per_cpu))
    return abi.Counter(sum(row[0] for row in rows), sum(row[1] for row in rows))
