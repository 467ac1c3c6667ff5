"""The workloads of this node, as things of the kernel: namespace, veth pair, cgroup, record.

A record is written before the first thing is made and removed after the last one is gone, so
kill -9 at any point leaves nothing that `recover` does not find. Methods block for some
milliseconds and may be called from any thread.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from ipaddress import ip_address
from pathlib import Path
from threading import Lock, RLock
from typing import Literal

import msgspec

from tulle.edges import netlink, netns
from tulle.edges.cgroup import NodeCgroup
from tulle.errors import KernelError, Refused, TulleError
from tulle.model.kubernetes import ContainerPort, Labels
from tulle.model.paths import require_label, require_subdomain
from tulle.model.world import IPNetwork, Key, Workload

from .addresses import POD_CIDRS
from .hosts import HostsEntry, render_hosts, render_services
from .ipam import Leases
from .records import Records, file_stem

Owner = Literal["run", "pod"]  # who ends it: its command, or its manifest
Phase = Literal["making", "up", "ending"]

NEVER_STARTED_S = 60.0  # a `tulle run` whose command never came is given up after this
LESSEE = "workload"
_NETNS_NAME = re.compile(r".+_.+-tl[0-9a-f]{8}")


class Record(msgspec.Struct, frozen=True):
    """What is known of a workload across restarts of the agent."""

    namespace: str
    name: str
    owner: Owner
    number: int  # of its addresses within the pod CIDRs
    addresses: tuple[str, ...]
    interface: str  # the node's side; random, so that no other ever had it
    created_s: float  # CLOCK_MONOTONIC
    labels: Labels = {}
    ports: tuple[ContainerPort, ...] = ()
    weight: int = 1
    ready: bool = True
    phase: Phase = "making"
    ifindex: int = 0
    mtu: int = netlink.MTU
    service_account: str = "default"
    terminating: bool = False

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    def workload(self) -> Workload:
        return Workload(
            namespace=self.namespace,
            name=self.name,
            labels=self.labels,
            addresses=tuple(ip_address(text) for text in self.addresses),
            ifindex=self.ifindex,
            ports=self.ports,
            weight=self.weight,
            ready=self.ready,
            terminating=self.terminating,
            service_account=self.service_account,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command must go to be inside a workload: the arguments of `edges.enter.argv`."""

    netns: Path
    cgroup: Path
    hosts: Path


class Workloads:
    """The workloads of one node. `cgroups.root` holds theirs; `node_netns` None: the caller's."""

    def __init__(
        self,
        state_dir: Path,
        cgroups: NodeCgroup,
        node_netns: Path | None,
        pod_cidrs: Sequence[IPNetwork] = POD_CIDRS,
        leases: Leases | None = None,
    ) -> None:
        self.cgroups, self.node_netns = cgroups, node_netns
        self._state = state_dir
        self._leases = leases or Leases(state_dir / "addresses-leases.json", pod_cidrs)
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._store = Records(state_dir / "workloads", Record)
        self._records: dict[Key, Record] = {}
        self._workloads: dict[Key, Workload] = {}
        self._made: Mapping[Key, Workload] | None = None  # what `all` says, until it changes
        self._mtu = netlink.MTU
        self.problems: list[str] = []  # workloads without the MTU that they should have, and why
        self._hosts_written: dict[Key, bytes] = {}  # digests: with many services they are long
        self._hosts_whole = False  # all that is to be written has been
        self._services: tuple[HostsEntry, ...] = ()
        self._lock, self._ending = RLock(), Lock()

    def all(self) -> Mapping[Key, Workload]:
        """Those that are completely made, and not being deleted.

        What has not changed since the last call is the same object.
        """
        with self._lock:
            if self._made is None:
                self._made = {
                    key: self._workloads[key]
                    for key, record in self._records.items()
                    if record.phase == "up"
                }
            return self._made

    def interfaces(self) -> set[int]:
        """The node's side of every workload, of those being made or deleted too."""
        with self._lock:
            return {record.ifindex for record in self._records.values() if record.ifindex}

    def interface_names(self) -> set[str]:
        with self._lock:
            return {record.interface for record in self._records.values()}

    def owned_by(self, owner: Owner) -> list[Key]:
        """Those of `owner`, with those whose deletion has not succeeded yet."""
        with self._lock:
            records = self._records.items()
            return [key for key, r in records if r.phase != "making" and r.owner == owner]

    def create(
        self,
        namespace: str,
        name: str,
        labels: Mapping[str, str] | None = None,
        ports: Sequence[ContainerPort] = (),
        weight: int = 1,
        *,
        owner: Owner = "run",
        ready: bool = True,
        service_account: str = "default",
    ) -> Workload:
        """Make a workload without any process in it.

        Raises Refused (bad or taken name, no address left) or KernelError; then nothing is left.
        """
        require_label(namespace, "namespace")
        require_subdomain(name, "name")
        with self._lock:
            if (namespace, name) in self._records:
                raise Refused(f"workload {namespace}/{name} exists already")
            record = self._new_record((namespace, name), owner)
            record = msgspec.structs.replace(
                record,
                labels=dict(labels or {}),
                ports=tuple(ports),
                weight=weight,
                ready=ready,
                service_account=service_account,
            )
            try:
                self._save(record)
            except OSError:
                self._leases.free({_lessee(record.key)})
                raise
        try:
            record = msgspec.structs.replace(record, ifindex=self._build(record), phase="up")
            with self._lock:
                self._save(record)
        except BaseException:
            self._end(record)
            raise
        return record.workload()

    def update(
        self,
        key: Key,
        *,
        labels: Mapping[str, str] | None = None,
        weight: int | None = None,
        ready: bool | None = None,
        terminating: bool | None = None,
    ) -> bool:
        """Change what can change while it runs; whether that changed anything.

        Raises Refused if there is no such workload.
        """
        with self._lock:
            old = self._record(key)
            new = msgspec.structs.replace(
                old,
                labels=old.labels if labels is None else dict(labels),
                weight=old.weight if weight is None else weight,
                ready=old.ready if ready is None else ready,
                terminating=old.terminating if terminating is None else terminating,
            )
            if new != old:
                self._save(new)
            return new != old

    def delete(self, key: Key) -> None:
        """Kill a workload's processes and remove all that was made for it.

        It is out of `all` at once. Raises Refused if there is no such workload; Unavailable or
        KernelError if something could not be removed: then `delete` may be tried again.
        """
        with self._lock:
            record = self._records.get(key)
            if record is None or record.phase == "making":
                raise Refused(self._unknown(key))
        self._end(record)

    def place(self, key: Key) -> Place:
        """Where to run a command of this workload. Raises Refused if there is none."""
        with self._lock:
            return self._place(self._record(key))

    def cgroup_ids(self, key: Key) -> list[int]:
        """Kernel ids of the cgroups that a workload's processes are in; none if it is gone."""
        with self._lock:
            record = self._records.get(key)
        return self.cgroups.ids(self._place(record).cgroup) if record else []

    def recover(self) -> list[str]:
        """Take over what an earlier agent left: what lives is kept, the rest is removed.

        Returns what was removed and why, in words. Call it once, before anything else.
        """
        removed: list[str] = []
        interfaces = netns.run_in(self.node_netns, netlink.interfaces)
        for key, record in self._store.load():
            ifindex = interfaces.get(record.interface, 0)
            alive = netns.exists(self._place(record).netns) and ifindex
            if record.phase == "up" and alive:
                self._save(msgspec.structs.replace(record, ifindex=ifindex))
            else:
                why = "its network is gone" if record.phase == "up" else f"left {record.phase}"
                removed.append(f"workload {key[0]}/{key[1]}: {why}{self._try_to_end(record)}")
        self._leases.recover(LESSEE, {r.number: _lessee(r.key) for r in self._records.values()})
        kept = [record.interface for record in self._records.values() if record.phase == "up"]
        netns.run_in(self.node_netns, partial(netlink.adopt, kept))
        return removed + self._sweep()

    def set_mtu(self, mtu: int) -> None:
        """Of every workload's interface, now and of those yet to come.

        What fails is in `problems`: a command may have done away with its own interface.
        """
        with self._lock:
            self._mtu = mtu
            records = [r for r in self._records.values() if r.phase == "up" and r.mtu != mtu]
        problems = []
        for record in records:
            try:
                self._set_mtu_of(record, mtu)
            except KernelError as error:
                problems.append(f"workload {record.namespace}/{record.name}: {error}")
        self.problems = problems

    def _set_mtu_of(self, record: Record, mtu: int) -> None:
        inside = self._place(record).netns
        netns.run_in(self.node_netns, partial(netlink.set_mtu, record.interface, mtu))
        netns.run_in(inside, partial(netlink.set_mtu, netlink.INTERFACE, mtu))
        with self._lock:
            now = self._records.get(record.key)
            if now and now.interface == record.interface:  # it may have ended meanwhile
                self._save(msgspec.structs.replace(now, mtu=mtu))

    def gone(self) -> list[Key]:
        """Workloads of `tulle run` whose last process has ended; they await `delete`."""
        now = time.monotonic()
        with self._lock:
            records = [self._records[key] for key in self.owned_by("run")]
        return [r.key for r in records if self._has_ended(r, now)]

    def write_hosts(self, services: Iterable[HostsEntry]) -> None:
        """Give every workload these service names, now and those yet to come. Raises OSError."""
        with self._lock:
            before, self._services = self._services, tuple(services)
            if self._hosts_whole and self._services == before:
                return
            self._hosts_whole = False
            seen_from: dict[str, str] = {}
            for record in self._records.values():
                if record.namespace not in seen_from:
                    seen_from[record.namespace] = render_services(self._services, record.namespace)
                self._write_hosts(record, seen_from[record.namespace])
            self._hosts_whole = True

    def _new_record(self, key: Key, owner: Owner) -> Record:
        (number,) = self._leases.take([_lessee(key)])
        if isinstance(number, Refused):
            raise number
        return Record(
            namespace=key[0],
            name=key[1],
            owner=owner,
            number=number,
            addresses=tuple(str(address) for address in self._leases.addresses(number)),
            interface=f"tl{secrets.token_hex(4)}",
            created_s=time.monotonic(),
            mtu=self._mtu,
        )

    def _build(self, record: Record) -> int:
        place = self._place(record)
        pair = netlink.Pair(record.interface, place.netns, record.workload().addresses, record.mtu)
        with self._lock:
            self._write_hosts(record, render_services(self._services, record.namespace))
        self.cgroups.make(place.cgroup.name)
        netns.create(place.netns)
        (made,) = netns.run_in(self.node_netns, partial(netlink.connect_node_sides, [pair]))
        if isinstance(made, KernelError):
            raise made
        netns.run_in(place.netns, partial(netlink.connect_workload_side, pair))
        return made

    def _try_to_end(self, record: Record) -> str:
        """What hindered it, for a message; `delete` may try again."""
        self._records[record.key], self._made = record, None
        try:
            self._end(record)
        except TulleError as error:
            return f"; cannot be removed: {error}"
        return ""

    def _end(self, record: Record) -> None:
        with self._ending:  # one at a time: a retry must not meet the first try half-way
            with self._lock:
                if record.key not in self._records:
                    return
                ending = msgspec.structs.replace(record, phase="ending")
                self._records[record.key], self._made = ending, None  # `delete` may try again
                self._save(ending)
            self._dismantle(record)

    def _dismantle(self, record: Record) -> None:
        place = self._place(record)
        self.cgroups.remove(place.cgroup)
        netns.run_in(self.node_netns, partial(netlink.disconnect, [record.interface]))
        netns.delete(place.netns)
        place.hosts.unlink(missing_ok=True)
        self._leases.free({_lessee(record.key)})
        with self._lock:
            self._store.remove(record.key)
            self._records.pop(record.key, None)
            self._workloads.pop(record.key, None)
            self._made = None
            self._hosts_written.pop(record.key, None)

    def _sweep(self) -> list[str]:
        """Remove things without a record, as an unreadable record leaves them."""
        places = [self._place(record) for record in self._records.values()]
        removed: list[str] = []
        known = {place.netns for place in places}
        namespaces = self._state / "netns"
        for path in sorted(namespaces.iterdir()) if namespaces.exists() else []:
            if _NETNS_NAME.fullmatch(path.name) and path not in known:
                removed.append(f"network namespace {path.name}: it belongs to no workload")
                interface = path.name.rpartition("-")[2]
                netns.run_in(self.node_netns, partial(netlink.disconnect, [interface]))
                netns.delete(path)
        used = {place.cgroup for place in places}
        for cgroup in self.cgroups.children(self.cgroups.root):
            if "_" in cgroup.name and cgroup not in used:
                removed.append(f"cgroup {cgroup.name}: it belongs to no workload")
                self.cgroups.remove(cgroup)
        return removed

    def _has_ended(self, record: Record, now: float) -> bool:
        cgroup = self._place(record).cgroup
        if self.cgroups.populated(cgroup):
            return False
        return self.cgroups.ever_used(cgroup) or now - record.created_s > NEVER_STARTED_S

    def _place(self, record: Record) -> Place:
        stem = file_stem(record.key)
        return Place(
            # the interface makes the path unique: who holds the old one must not get the new
            netns=self._state / "netns" / f"{stem}-{record.interface}",
            cgroup=self.cgroups.root / stem,
            hosts=self._state / "hosts" / stem,
        )

    def _record(self, key: Key) -> Record:
        record = self._records.get(key)
        if record is None or record.phase != "up":
            raise Refused(self._unknown(key))
        return record

    def _unknown(self, key: Key) -> str:
        near = sorted(item for item in list(self._records) if item[1] == key[1] and item != key)
        hint = f": did you mean -n {near[0][0]}?" if near else ""
        return f"no workload {key[0]}/{key[1]}{hint}"

    def _save(self, record: Record) -> None:
        self._store.save(record.key, record)
        self._records[record.key] = record
        self._workloads[record.key] = record.workload()
        self._made = None

    def _write_hosts(self, record: Record, services: str) -> None:
        text = render_hosts(services, record.name, record.workload().addresses).encode()
        digest = blake2b(text).digest()
        if self._hosts_written.get(record.key) != digest:
            _overwrite(self._place(record).hosts, text)
            self._hosts_written[record.key] = digest


def _lessee(key: Key) -> str:
    return "/".join((LESSEE, *key))


def _overwrite(path: Path, content: bytes) -> None:
    """Write in place: the file is bind-mounted by inode, so a new one would not be seen."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(fd, content, 0)
        os.ftruncate(fd, len(content))
    finally:
        os.close(fd)
