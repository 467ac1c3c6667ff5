"""One node's datapath: its programs, links and maps, all pinned below one directory.

What is pinned works without an agent. A new agent finds it, swaps the programs of the links in
place, and carries on with the same maps.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from struct import iter_unpack, pack, unpack
from typing import Literal

from tulle import abi
from tulle.abi import Reason
from tulle.compile.diff import Change, moves_verdicts
from tulle.compile.parts import DERIVED
from tulle.errors import KernelError
from tulle.model.world import XdpMode

from . import links, migrate, syscall
from .events import EventRing
from .gauge import Gauge
from .heard import Heard
from .loader import Objects
from .maps import Map
from .sockets import SocketSweep

_ZERO = bytes(4)

# What judges an interface's packets: object, program for what comes in by it, for what goes out.
# guest: a workload's interface that another made; bridge: one that such are ports of
Role = Literal["pod", "guest", "bridge", "host", "overlay"]
Object = Literal["pod", "host", "overlay"]
PACKET_PROGRAMS: dict[Object, tuple[str, str]] = {
    "pod": ("from_workload", "to_workload"),
    "host": ("from_uplink", "to_uplink"),
    "overlay": ("from_overlay", "to_overlay"),
}
_OF_BRIDGE = "from_bridge"
# of which object, and what judges each way; "" nothing
_HOOKS: dict[Role, tuple[Object, str, str]] = {
    "pod": ("pod", *PACKET_PROGRAMS["pod"]),
    "guest": ("pod", *PACKET_PROGRAMS["pod"]),
    "bridge": ("pod", _OF_BRIDGE, ""),
    "host": ("host", *PACKET_PROGRAMS["host"]),
    "overlay": ("overlay", *PACKET_PROGRAMS["overlay"]),
}


class Datapath:
    """Loads on creation. Raises Broken (KernelError, AbiMismatch) if it cannot."""

    def __init__(
        self,
        pins: Path,
        limits: Mapping[str, int] | None = None,
        xdp: XdpMode = "off",
        *,
        stream: bool = False,
        short: bool = False,
    ) -> None:
        self._links, self._xdp_mode = pins / "links", xdp
        self.objects = Objects(pins, limits)
        self._packet = {
            of: self.objects.load(of, (*programs, _OF_BRIDGE) if of == "pod" else programs)
            for of, programs in PACKET_PROGRAMS.items()
        }
        self._xdp = {} if xdp == "off" else self.objects.load("xdp", ("from_device",))
        self._sock = self.objects.load("sock", tuple(links.CGROUP_HOOKS))
        self._hooks = dict(links.CGROUP_HOOKS)
        self._stream(stream)
        self.left = _short_before(pins, self.objects.pins if short else None)
        if short:
            self._sock |= self.objects.load("short", tuple(links.SENT))
            self._attach_to("short_sockets", links.SENT)
        self.sweep, self.gauge = SocketSweep(self.objects), Gauge(self.objects)
        self.maps = self.objects.maps
        self.heard = Heard(self.maps)
        self.maps["http_counts"].create(abi.HttpCountKey().pack())
        self._ring = self._open_ring("events", abi.Event().pack())
        self._requests = self._open_ring("requests", abi.HttpEvent().pack())
        self._questions = self._open_ring("questions", abi.DnsEvent().pack())

    def _stream(self, wanted: bool) -> None:
        """Without it no further connection is followed; those that are go on as they are."""
        if not wanted:
            for name in links.STREAM_HOOKS:
                for pin in (self._links / name, *self._links.glob(f"{name}_*")):
                    links.remove(pin)
            return
        self._sock |= self.objects.load("stream", tuple(links.STREAM_HOOKS))
        self._hooks |= links.STREAM_HOOKS

    def _attach_to(self, sockets: str, programs: Mapping[str, int]) -> None:
        """For what is put into that map from now on."""
        for name, attach_type in programs.items():
            syscall.attach_to_map(self._sock[name], self.objects.maps[sockets].fd, attach_type)

    def attach_sockets(self, cgroup: Path, name: str = "") -> None:
        """The hooks of sockets, for every process in the cgroup and below it.

        `name` tells further cgroups from the node's own. Its pins hold no dot: bpffs refuses those.
        """
        fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for hook, attach_type in self._hooks.items():
                pin = self._links / (f"{hook}_{name}" if name else hook)
                links.attach(pin, self._sock[hook], fd, attach_type)
        finally:
            os.close(fd)

    def keep_sockets(self, names: Iterable[str]) -> None:
        """Drops the hooks of sockets of all other cgroups but the node's own."""
        kept = {f"{hook}_{name}" for hook in self._hooks for name in names}
        for pin in self._links.glob("*_*"):
            if pin.name not in kept:
                links.remove(pin)

    def programs(self, role: Role) -> dict[Literal["in", "out"], tuple[str, int]]:
        """Name and descriptor of what judges packets each way."""
        of, incoming, outgoing = _HOOKS[role]
        fds = self._packet[of]
        return {"in": (incoming, fds[incoming]), "out": (outgoing, fds[outgoing])}

    def attach(self, ifindex: int, role: Role) -> None:
        """The hooks of an interface, by tcx. Call in the namespace it is in."""
        of, incoming, outgoing = _HOOKS[role]
        for direction, program, attach_type in (
            ("in", incoming, links.TCX_INGRESS),
            ("out", outgoing, links.TCX_EGRESS),
        ):
            pin = self._links / f"{ifindex}-{direction}"
            if program:
                links.attach(pin, self._packet[of][program], ifindex, attach_type)
        if role == "host":
            self._attach_device(ifindex)

    def _attach_device(self, ifindex: int) -> None:
        for mode in links.XDP_FLAGS.keys() - {self._xdp_mode}:  # a device has one
            links.remove(self._links / f"{ifindex}-{mode}")
        if flags := links.XDP_FLAGS.get(self._xdp_mode):
            pin = self._links / f"{ifindex}-{self._xdp_mode}"
            links.attach(pin, self._xdp["from_device"], ifindex, links.XDP, flags)

    def is_attached(self, ifindex: int) -> bool:
        """Whether an interface has links, of this agent or an earlier one."""
        return (self._links / f"{ifindex}-in").exists()

    def keep(self, ifindexes: Iterable[int]) -> None:
        """Drops the links of all other interfaces."""
        directions = ("in", "out", self._xdp_mode)
        kept = {f"{index}-{direction}" for index in ifindexes for direction in directions}
        for pin in self._links.glob("*-*"):
            if pin.name not in kept:
                links.remove(pin)

    def carry_over(self) -> list[str]:
        """What agents that spoke another ABI knew of connections; what is lost of it, in words.

        Once before this agent's programs take over, and once after.
        """
        return migrate.carry_over(self.objects.pins, self.maps)

    def remove_other_versions(self) -> None:
        """Drops the maps of agents that spoke another ABI; no program uses them any more."""
        for directory in self.objects.pins.parent.glob("v*"):
            if directory != self.objects.pins:
                switch_off(directory)
                shutil.rmtree(directory)

    def read(self) -> dict[str, dict[bytes, bytes]]:
        """What the kernel has. Counters of rules are named only: their values are not derived."""
        image = {name: dict(self.maps[name].items()) for name in DERIVED}
        image["rules"] = dict.fromkeys(image["rules"], b"")
        return image

    def apply(self, changes: list[Change]) -> None:
        """In order. Established connections are judged again where a verdict may differ: once all
        is put, before the deletes, and whatever happens at the end.
        """
        moves = moves_verdicts(changes)
        try:
            for (name, is_put), group in groupby(changes, lambda c: (c.map, c.value is not None)):
                if moves and not is_put:
                    self.raise_epoch()
                    moves = False
                self._write(name, group)
        finally:
            if moves_verdicts(changes):
                self.raise_epoch()

    def _write(self, name: str, changes: Iterable[Change]) -> None:
        """Puts or deletes, not both."""
        target = self.maps[name]
        rows = list(changes)
        puts = [(change.key, change.value) for change in rows if change.value is not None]
        if not puts:
            target.delete_many(change.key for change in rows)
        elif name == "rules":
            for key, _ in puts:
                target.create(key)
        else:
            target.update_many(puts)

    def configure(self, state: abi.State) -> None:
        """What the programs know of the node; established connections are judged again if that
        changes. The epoch in `state` does not count.
        """
        now = self._state()
        if now != state._replace(epoch=now.epoch):
            self._write_state(state._replace(epoch=now.epoch))
            self.raise_epoch()

    def raise_epoch(self) -> None:
        now = self._state()
        self._write_state(now._replace(epoch=(now.epoch + 1) % (1 << 32)))

    def _state(self) -> abi.State:
        return abi.State.unpack(self.maps["state"][_ZERO])

    def _write_state(self, state: abi.State) -> None:
        self.maps["state"][_ZERO] = state.pack()

    def _open_ring(self, name: str, event: bytes) -> EventRing:
        return EventRing(self.maps[name].fd, abi.MAPS[name].max_entries, len(event))

    def requests(self) -> list[bytes]:
        """New raw `abi.HttpEvent`s since the last call."""
        return list(self._requests.read())

    def questions(self) -> list[bytes]:
        """New raw `abi.DnsEvent`s since the last call."""
        return list(self._questions.read())

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

    def request_counts(self) -> dict[abi.HttpCountKey, abi.HttpCount]:
        """Since the node's maps were made; agents come and go."""
        return {
            abi.HttpCountKey.unpack(key): _added(value)
            for key, value in self.maps["http_counts"].items()
        }

    def fold_requests(self, moves: Mapping[abi.HttpCountKey, abi.HttpCountKey]) -> None:
        """Adds rows that no program counts to any more to others of which that is so, too."""
        counts = self.maps["http_counts"]
        for old, new in moves.items():
            with suppress(KeyError):
                moved = _numbers(counts[old.pack()])
                del counts[old.pack()]  # first: it makes the room that the other may need
                counts.create(new.pack())
                pairs = zip(moved, _numbers(counts[new.pack()]), strict=True)
                total = [one + other for one, other in pairs]
                counts[new.pack()] = pack(f"={len(total)}Q", *total)

    def forget_requests(self, gone: Iterable[abi.HttpCountKey]) -> None:
        self.maps["http_counts"].delete_many(key.pack() for key in gone)

    def close(self) -> None:
        """Lets go of it; everything pinned stays in force."""
        self._ring.close()
        self._requests.close()
        self._questions.close()
        self.sweep.close()
        self.gauge.close()
        packet = (fd for programs in self._packet.values() for fd in programs.values())
        for fd in (*packet, *self._xdp.values(), *self._sock.values()):
            os.close(fd)
        self.objects.close()


def remove(pins: Path) -> None:
    """Takes a node's programs, links and maps out of the kernel. Raises OSError."""
    if pins.exists():
        for directory in pins.glob("v*"):
            switch_off(directory)
        shutil.rmtree(pins)


def switch_off(directory: Path) -> None:
    """What a version's programs at sockets do on their own: sockets hold on to them, and would go
    on by policy that nobody changes any more. Call it before its maps are removed.
    """
    with suppress(KernelError):  # a version may have none, or not have come as far
        fd = syscall.get_pinned(str(directory / "state"))
        try:
            spec = abi.MapSpec(*syscall.map_info(fd)[1:5])
            Map("state", fd, spec=spec)[_ZERO] = bytes(spec.value_size)
        finally:
            os.close(fd)


def _short_before(pins: Path, now: Path | None) -> bool:
    """Whether another version's maps, or those that are not used `now`, hold sockets."""
    for pin in pins.glob("v*/short_sockets"):
        if pin.parent != now:
            fd = syscall.get_pinned(str(pin))
            try:
                if not syscall.is_empty(fd):
                    return True
            finally:
                os.close(fd)
    return False


def _numbers(raw: bytes) -> tuple[int, ...]:
    return unpack(f"={len(raw) // 8}Q", raw)


def _total(per_cpu: bytes) -> abi.Counter:
    rows = list(iter_unpack("=QQ", per_cpu))
    return abi.Counter(sum(row[0] for row in rows), sum(row[1] for row in rows))


def _added(per_cpu: bytes) -> abi.HttpCount:
    size = len(abi.HttpCount().pack())
    rows = [abi.HttpCount.unpack(per_cpu[at : at + size]) for at in range(0, len(per_cpu), size)]
    bucket = tuple(map(sum, zip(*(row.bucket for row in rows), strict=True)))
    requests, time_ns = sum(row.requests for row in rows), sum(row.time_ns for row in rows)
    return abi.HttpCount._make((requests, time_ns, bucket))
