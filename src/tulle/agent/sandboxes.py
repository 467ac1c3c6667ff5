"""Network namespaces that a container runtime made, with an interface of the mesh in them.

The law is that of `workloads`: a record is written before the first thing is made and removed after
the last one is gone. Records go by attachment, not by pod: a kubelet makes a new sandbox of a pod
before the old one is gone. Of two, the younger is in the mesh, and the older is cut off.
Methods block for some milliseconds and may be called from any thread.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from ipaddress import ip_address
from pathlib import Path
from threading import Lock, RLock

import msgspec

from tulle.edges import netlink, netns
from tulle.edges.bpf.datapath import Role
from tulle.errors import KernelError, Refused, TulleError
from tulle.model.world import IPAddress, Key, Wire, Workload

from .attachments import Id, PodFacts, SandboxRecord, Wanted, record_of, told
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
        self._uids: dict[Key, str] = {}  # of those in it
        self._mtu = netlink.MTU
        self.problems: list[str] = []  # those without the MTU that they should have, and why
        self._lock = RLock()
        self._changing = Lock()  # one batch at a time

    def all(self) -> Mapping[Key, Workload]:
        """Those that are in the mesh. What has not changed since the last call is the same object.

        Of several sandboxes of one pod it is the youngest.
        """
        with self._lock:
            if self._made is None:
                up = (record for record in self._records.values() if record.phase == "up")
                by_age = sorted(up, key=lambda record: record.created_s)
                self._made = {record.key: self._workloads[record.id] for record in by_age}
                self._uids = {record.key: record.uid for record in by_age}
            return self._made

    def roles(self) -> dict[int, Role]:
        """The node's side of all that are completely made, in the mesh or not, and bridges."""
        with self._lock:
            found: dict[int, Role] = {}
            for record in self._records.values():
                if record.phase == "up":
                    found[record.ifindex] = "guest" if record.wire else "pod"
                    if record.wire and record.wire.bridge:
                        found[record.wire.bridge] = "bridge"
            return found

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
            return self._uids[key] if key in self.all() else ""

    def add(self, wanted: Sequence[Wanted]) -> list[SandboxRecord | Exception]:
        """Make interfaces in namespaces; those that are there already stay as they are.

        Why there is none: Refused, KernelError or OSError; then nothing of it is left.
        """
        with self._changing:
            done: dict[Id, SandboxRecord | Exception] = {}
            fresh = []
            for one in wanted:
                try:
                    inode = self._inode(one.asked)
                    old = self._records.get(one.asked.id)
                    if old and old.phase == "up" and old.inode == inode and self._stands(old):
                        done[old.id] = old
                        continue
                    self._end([old] if old else [])
                except (TulleError, OSError) as error:
                    done[one.asked.id] = error
                else:
                    fresh.append((one, inode))
            own = [(one, inode) for one, inode in fresh if not one.wishes.addresses]
            done |= self._make(own) if own else {}
            for one, inode in fresh:
                if one.wishes.addresses:
                    done[one.asked.id] = self._follow(one, inode)
            return [done[one.asked.id] for one in wanted]

    def delete(self, wanted: Sequence[Id]) -> list[bool | Exception]:
        """Take interfaces out again: whether there was one, or what hinders it."""
        with self._changing:
            records = {one: self._records.get(one) for one in wanted}
            failed = self._end_each([record for record in records.values() if record])
            failed |= self._free_unknown(wanted)
            return [failed.get(one, records[one] is not None) for one in wanted]

    def check(self, asked: Attachment) -> SandboxRecord:
        """Raises CniError if it is not as `add` made it, KernelError."""
        with self._changing:
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
        # another plugin may give a name again
        gone = [record.id for record in up if there.get(record.interface) != record.ifindex]
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
                    self._save([now])

    def recover(self, others: Collection[str]) -> list[str]:
        """Take over what an earlier agent left: what lives is kept, the rest is removed.

        `others` are the interfaces of workloads. Returns what was removed and why, in words. Call
        it once, before anything else.
        """
        removed: list[str] = []
        there = netns.run_in(self._node_netns, netlink.interfaces)
        for _, record in self._store.load():
            index = there.get(record.interface, 0)
            if record.wishes.addresses and index != record.ifindex:
                index = 0  # another one by that name
            if record.phase == "up" and index and _inode_of(record.netns) == record.inode:
                self._save([msgspec.structs.replace(record, ifindex=index)])
                continue
            why = "its network is gone" if record.phase == "up" else f"left {record.phase}"
            self._records[record.id] = record
            removed += self._end_all([record.id], why)
        living = {r.number: _lessee(r.id) for r in self._records.values() if r.number}
        self._leases.recover(LESSEE, living)
        kept = {record.interface for record in self._records.values() if record.number}
        netns.run_in(self._node_netns, partial(netlink.adopt, sorted(kept & there.keys())))
        return removed + self._sweep(there.keys() - kept - set(others))

    def set_mtu(self, mtu: int) -> None:
        """Of every interface, now and of those yet to come. What fails is in `problems`."""
        with self._lock:
            self._mtu = mtu
            own = (record for record in self._records.values() if record.number)
            records = [record for record in own if record.phase == "up" and record.mtu != mtu]
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
                self._save([msgspec.structs.replace(now, mtu=mtu)])

    def _make(self, fresh: Sequence[tuple[Wanted, int]]) -> dict[Id, SandboxRecord | Exception]:
        """All of it with one write of leases, one thread, and few messages to the kernel."""
        done: dict[Id, SandboxRecord | Exception] = {}
        records = []
        try:
            numbers = self._leases.take([_lessee(one.asked.id) for one, _ in fresh])
            for (one, inode), number in zip(fresh, numbers, strict=True):
                if isinstance(number, Refused):
                    done[one.asked.id] = number
                else:
                    records.append(self._new_record(one, inode, number))
            self._save(records)
            built = self._build(records)
            up = [
                msgspec.structs.replace(record, ifindex=index, phase="up")
                for record, index in zip(records, built, strict=True)
                if isinstance(index, int)
            ]
            self._save(up)
        except BaseException:
            self._end_each([record for record in records if record.id in self._records])
            self._free_unknown([one.asked.id for one, _ in fresh])
            raise
        done |= {record.id: record for record in up}
        failed = {
            record.id: index
            for record, index in zip(records, built, strict=True)
            if not isinstance(index, int)
        }
        self._end_each([record for record in records if record.id in failed])
        return done | failed

    def _follow(self, one: Wanted, inode: int) -> SandboxRecord | Exception:
        """With the pair that a plugin before us made."""
        record = self._new_record(one, inode, 0)
        try:
            self._save([record])
            inside = partial(netns.run_in, Path(record.netns))
            find = partial(netlink.find_pair, record.ifname, inside)
            pair = netns.run_in(self._node_netns, find)
            netns.run_in(self._node_netns, partial(netlink.adopt_pair, pair.name))
            wire = Wire(pair.workload_mac, pair.node_mac, pair.bridge)
            record = msgspec.structs.replace(
                record, phase="up", ifindex=pair.ifindex, interface=pair.name, wire=wire
            )
            self._save([record])
        except (TulleError, OSError) as error:
            self._end_each([record])
            return error
        return record

    def _new_record(self, one: Wanted, inode: int, number: int) -> SandboxRecord:
        addresses = tuple(map(str, self._leases.addresses(number))) if number else ()
        return record_of(one, inode, number, addresses, time.monotonic(), self._mtu)

    def _build(self, records: Sequence[SandboxRecord]) -> list[int | KernelError]:
        """The ifindex of each node's side, or what hindered it."""
        pairs = [netlink.Pair(r.interface, Path(r.netns), r.ips, r.mtu, r.ifname) for r in records]

        def work() -> list[int | KernelError]:
            if self._node_netns:
                netns.enter(self._node_netns)
            made = netlink.connect_node_sides(pairs)
            for number, pair in enumerate(pairs):
                try:
                    if isinstance(made[number], int):
                        netns.enter(pair.netns)
                        netlink.connect_workload_side(pair)
                except KernelError as error:
                    made[number] = error
            return made

        return netns.on_thread(work) if pairs else []

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
        with self._lock:
            records = [self._records[one] for one in ids if one in self._records]
        ending = []
        for record, outcome in zip(records, self.delete([r.id for r in records]), strict=True):
            trouble = f"; cannot be removed: {outcome}" if isinstance(outcome, Exception) else ""
            ending.append(f"sandbox of pod {record.namespace}/{record.name}: {why}{trouble}")
        return ending

    def _end_each(self, records: Sequence[SandboxRecord]) -> dict[Id, Exception]:
        """What hinders some of them; they keep no others."""
        with suppress(TulleError, OSError):
            self._end(records)
            return {}
        failed: dict[Id, Exception] = {}
        for record in records:
            try:
                self._end([record])
            except (TulleError, OSError) as error:
                failed[record.id] = error
        return failed

    def _free_unknown(self, wanted: Iterable[Id]) -> dict[Id, Exception]:
        """What a full disk has left of those without a record: a number. What hinders it."""
        unknown = [one for one in wanted if one not in self._records]
        try:
            self._leases.free(set(map(_lessee, unknown)))
        except OSError as error:
            return dict.fromkeys(unknown, error)
        return {}

    def _end(self, records: Sequence[SandboxRecord]) -> None:
        """All at once: the kernel makes others wait while it takes an interface away."""
        if not records:
            return
        self._save([msgspec.structs.replace(record, phase="ending") for record in records])
        # what another plugin made, it takes away itself
        if interfaces := [record.interface for record in records if record.number]:
            netns.run_in(self._node_netns, partial(netlink.disconnect, interfaces))
        self._leases.free({_lessee(record.id) for record in records})
        with self._lock:
            for record in records:
                self._store.remove(_stem(record.id))
                self._records.pop(record.id, None)
                self._workloads.pop(record.id, None)
            self._made = None

    def _sweep(self, interfaces: Collection[str]) -> list[str]:
        """Remove interfaces without a record, as an unreadable one leaves them: open ones."""
        strays = sorted(filter(netlink.is_ours, interfaces))
        if strays:
            netns.run_in(self._node_netns, partial(netlink.disconnect, strays))
        return [f"interface {name}: it belongs to no workload" for name in strays]

    def _save(self, records: Iterable[SandboxRecord]) -> None:
        with self._lock:
            for record in records:
                self._store.save(_stem(record.id), record)
                self._records[record.id] = record
                self._made = None
                if record.phase == "up":
                    self._workloads[record.id] = record.workload()


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
