"""Network namespaces that a container runtime made, with an interface of the mesh in them.

The law is that of `workloads`: a record is written before the first thing is made and removed after
the last one is gone. Records go by attachment, not by pod: a kubelet makes a new sandbox of a pod
before the old one is gone. Of two, the younger is in the mesh, and the older is cut off.
Methods block for some milliseconds and may be called from any thread.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from ipaddress import ip_address
from pathlib import Path
from threading import Condition, RLock

import msgspec

from tulle.edges import netlink, netns
from tulle.errors import KernelError, TulleError
from tulle.model.world import IPAddress, Key, Workload

from .attachments import Id, PodFacts, SandboxRecord, told
from .capabilities import NOTHING, Wishes
from .cni import BAD_ENVIRONMENT, NOT_AS_ADDED, Attachment, CniError
from .ipam import Leases
from .records import Records

LESSEE = "cni"


class Sandboxes:
    """The attachments of one node. `node_netns` None: the caller's own."""

    def __init__(self, state_dir: Path, node_netns: Path | None, leases: Leases) -> None:
        self._node_netns, self._leases = node_netns, leases
        self._store = Records(state_dir / "sandboxes", SandboxRecord)
        self._records: dict[Id, SandboxRecord] = {}
        self._workloads: dict[Id, Workload] = {}
        self._made: Mapping[Key, Workload] | None = None  # what `all` says, until it changes
        self._mtu = netlink.MTU
        self.problems: list[str] = []  # those without the MTU that they should have, and why
        self._lock = RLock()
        self._busy: set[Id] = set()
        self._idle = Condition(self._lock)

    def all(self) -> Mapping[Key, Workload]:
        """Those that are in the mesh. What has not changed since the last call is the same object.

        Of several sandboxes of one pod it is the youngest.
        """
        with self._lock:
            if self._made is None:
                up = (record for record in self._records.values() if record.phase == "up")
                by_age = sorted(up, key=lambda record: record.created_s)
                self._made = {record.key: self._workloads[record.id] for record in by_age}
            return self._made

    def up(self) -> set[int]:
        """The node's side of all that are completely made, in the mesh or not."""
        with self._lock:
            return {record.ifindex for record in self._records.values() if record.phase == "up"}

    def interfaces(self) -> set[int]:
        """The node's side of all, of those being made or deleted too."""
        with self._lock:
            return {record.ifindex for record in self._records.values() if record.ifindex}

    def namespaces(self) -> dict[int, Path]:
        """Under each node's side, the namespace of the other."""
        with self._lock:
            up = [record for record in self._records.values() if record.phase == "up"]
            return {record.ifindex: Path(record.netns) for record in up}

    def uid_of(self, key: Key) -> str:
        """Of the pod that is in the mesh; "" if nobody told."""
        with self._lock:
            ifindex = workload.ifindex if (workload := self.all().get(key)) else 0
            return next((r.uid for r in self._records.values() if r.ifindex == ifindex), "")

    def add(self, asked: Attachment, facts: PodFacts, wishes: Wishes = NOTHING) -> SandboxRecord:
        """Make an interface in a namespace; one that is there already stays as it is.

        Raises Refused or KernelError; then nothing is left.
        """
        with self._alone(asked.id):
            inode = self._inode(asked)
            old = self._records.get(asked.id)
            if old is not None:
                if old.phase == "up" and old.inode == inode and self._stands(old):
                    return old
                self._end(old)
            record = self._new_record(asked, facts, inode)
            record = msgspec.structs.replace(record, wishes=wishes)
            try:
                self._save(record)
                record = msgspec.structs.replace(record, ifindex=self._build(record), phase="up")
                self._save(record)
            except BaseException:
                self._end(record)
                raise
            return record

    def delete(self, wanted: Id) -> bool:
        """Take an interface out again; whether there was one. Raises KernelError."""
        with self._alone(wanted):
            record = self._records.get(wanted)
            if record is not None:
                self._end(record)
            return record is not None

    def check(self, asked: Attachment) -> SandboxRecord:
        """Raises CniError if it is not as `add` made it, KernelError."""
        with self._alone(asked.id):
            record = self._records.get(asked.id)
            if record is None or record.phase != "up":
                raise CniError(NOT_AS_ADDED, f"container {asked.container_id} was never added")
            if record.inode != self._inode(asked):
                raise CniError(NOT_AS_ADDED, f"{asked.netns} is another namespace than was added")
            if not self._stands(record):
                reason = f"interface {record.interface} of the node is gone"
                raise CniError(NOT_AS_ADDED, reason)
            there = netns.run_in(Path(record.netns), partial(_addresses_of, record.ifname))
            if missing := [text for text in record.addresses if ip_address(text) not in there]:
                reason = f"interface {record.ifname} has not {', '.join(missing)}"
                raise CniError(NOT_AS_ADDED, reason)
            return record

    def collect(self, network: str, valid: Collection[Id]) -> list[str]:
        """End what the runtime knows no more of in its network; in words."""
        with self._lock:
            records = [r for r in self._records.values() if r.network == network]
        return self._end_all([r.id for r in records if r.id not in valid], "not valid any more")

    def end_the_gone(self) -> list[str]:
        """End those whose namespace has gone without a word; in words."""
        there = netns.run_in(self._node_netns, netlink.interfaces)
        with self._lock:
            up = [record for record in self._records.values() if record.phase == "up"]
        gone = [record.id for record in up if record.interface not in there]
        return self._end_all(gone, "its network is gone")

    def end_all(self) -> list[str]:
        """Take every interface out; the namespaces are others'."""
        with self._lock:
            every = list(self._records)
        return self._end_all(every, "the node is taken down")

    def learn(self, facts: Mapping[Key, PodFacts]) -> None:
        """What is known of pods now; of those that are not named, what was known last holds."""
        with self._lock:
            for record in list(self._records.values()):
                known = facts.get(record.key)
                if known is None or (record.uid and known.uid and record.uid != known.uid):
                    continue
                if (now := told(record, known)) != record:
                    self._save(now)

    def recover(self, others: Collection[str]) -> list[str]:
        """Take over what an earlier agent left: what lives is kept, the rest is removed.

        `others` are the interfaces of workloads. Returns what was removed and why, in words. Call
        it once, before anything else.
        """
        removed: list[str] = []
        there = netns.run_in(self._node_netns, netlink.interfaces)
        for _, record in self._store.load():
            index = there.get(record.interface, 0)
            if record.phase == "up" and index and _inode_of(record.netns) == record.inode:
                self._save(msgspec.structs.replace(record, ifindex=index))
                continue
            why = "its network is gone" if record.phase == "up" else f"left {record.phase}"
            self._records[record.id] = record
            removed += self._end_all([record.id], why)
        living = {record.number: _lessee(record.id) for record in self._records.values()}
        self._leases.recover(LESSEE, living)
        kept = {record.interface for record in self._records.values()}
        netns.run_in(self._node_netns, partial(netlink.adopt, sorted(kept & there.keys())))
        return removed + self._sweep(there.keys() - kept - set(others))

    def set_mtu(self, mtu: int) -> None:
        """Of every interface, now and of those yet to come. What fails is in `problems`."""
        with self._lock:
            self._mtu = mtu
            records = [r for r in self._records.values() if r.phase == "up" and r.mtu != mtu]
        problems = []
        for record in records:
            try:
                self._set_mtu_of(record, mtu)
            except KernelError as error:
                problems.append(f"pod {record.namespace}/{record.name}: {error}")
        self.problems = problems

    def _set_mtu_of(self, record: SandboxRecord, mtu: int) -> None:
        netns.run_in(self._node_netns, partial(netlink.set_mtu, record.interface, mtu))
        netns.run_in(Path(record.netns), partial(netlink.set_mtu, record.ifname, mtu))
        with self._lock:
            now = self._records.get(record.id)
            if now and now.interface == record.interface:  # it may have ended meanwhile
                self._save(msgspec.structs.replace(now, mtu=mtu))

    def _new_record(self, asked: Attachment, facts: PodFacts, inode: int) -> SandboxRecord:
        number = self._leases.take(_lessee(asked.id))
        record = SandboxRecord(
            network=asked.network,
            container_id=asked.container_id,
            ifname=asked.ifname,
            netns=asked.netns,
            inode=inode,
            namespace=asked.key[0],
            name=asked.key[1],
            number=number,
            addresses=tuple(map(str, self._leases.addresses(number))),
            interface=f"tl{secrets.token_hex(4)}",
            created_s=time.monotonic(),
            mtu=self._mtu,
            uid=asked.uid or facts.uid,
        )
        return told(record, facts)

    def _build(self, record: SandboxRecord) -> int:
        inside, name, addresses = Path(record.netns), record.ifname, record.ips
        work = partial(
            netlink.connect_node_side, record.interface, inside, addresses, record.mtu, name
        )
        ifindex = netns.run_in(self._node_netns, work)
        netns.run_in(inside, partial(netlink.connect_workload_side, addresses, name))
        return ifindex

    def _inode(self, asked: Attachment) -> int:
        """Of the namespace that was named. Raises CniError if it is none, or the node's own."""
        inode = _inode_of(asked.netns)
        if not inode:
            raise CniError(BAD_ENVIRONMENT, f"CNI_NETNS {asked.netns}: no network namespace")
        own = self._node_netns or Path("/proc/thread-self/ns/net")
        if inode == own.stat().st_ino:
            raise CniError(BAD_ENVIRONMENT, f"CNI_NETNS {asked.netns}: it is the node's own")
        return inode

    def _stands(self, record: SandboxRecord) -> bool:
        there = netns.run_in(self._node_netns, netlink.interfaces)
        return there.get(record.interface) == record.ifindex

    def _end_all(self, ids: Collection[Id], why: str) -> list[str]:
        """In words. One that cannot be ended does not keep the others."""
        told = []
        for wanted in ids:
            record = self._records.get(wanted)
            if record is None:
                continue
            trouble = ""
            try:
                self.delete(wanted)
            except (TulleError, OSError) as error:
                trouble = f"; cannot be removed: {error}"
            told.append(f"sandbox of pod {record.namespace}/{record.name}: {why}{trouble}")
        return told

    def _end(self, record: SandboxRecord) -> None:
        with self._lock:
            self._save(msgspec.structs.replace(record, phase="ending"))
        netns.run_in(self._node_netns, partial(netlink.disconnect, record.interface))
        with self._lock:
            self._store.remove(_stem(record.id))
            self._records.pop(record.id, None)
            self._workloads.pop(record.id, None)
            self._made = None
        self._leases.free(record.number, _lessee(record.id))

    def _sweep(self, interfaces: Collection[str]) -> list[str]:
        """Remove interfaces without a record, as an unreadable one leaves them: open ones."""
        removed = []
        for name in sorted(filter(netlink.is_ours, interfaces)):
            removed.append(f"interface {name}: it belongs to no workload")
            netns.run_in(self._node_netns, partial(netlink.disconnect, name))
        return removed

    @contextmanager
    def _alone(self, wanted: Id) -> Iterator[None]:
        """One call at a time for an attachment: a runtime may give up on one and send the next."""
        with self._idle:
            self._idle.wait_for(lambda: wanted not in self._busy)
            self._busy.add(wanted)
        try:
            yield
        finally:
            with self._idle:
                self._busy.discard(wanted)
                self._idle.notify_all()

    def _save(self, record: SandboxRecord) -> None:
        with self._lock:
            self._store.save(_stem(record.id), record)
            self._records[record.id] = record
            self._workloads[record.id] = record.workload()
            self._made = None


def _stem(wanted: Id) -> Key:
    """Containers' ids hold whatever they like."""
    digest = blake2b("/".join(wanted).encode(), digest_size=16).hexdigest()
    return "sandbox", digest


def _lessee(wanted: Id) -> str:
    return "/".join((LESSEE, *wanted))


def _inode_of(path: str) -> int:
    """Of the network namespace at `path`, 0 if there is none."""
    try:
        return Path(path).stat().st_ino if netns.exists(Path(path)) else 0
    except (OSError, ValueError):
        return 0


def _addresses_of(interface: str) -> set[IPAddress]:
    index = netlink.interfaces().get(interface)
    return set(netlink.own_addresses().get(index, ())) if index else set()
