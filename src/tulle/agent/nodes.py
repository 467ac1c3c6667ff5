"""The directory in which nodes tell of themselves: `nodes/<node>.json`, each written by its node.

There is no gossip: whoever shares the directory knows. A node's file stays while its agent is down,
since its workloads live on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from tulle.edges.manifests.watch import DirectoryWatch
from tulle.errors import Refused, Unavailable
from tulle.model.kubernetes import NodeObject, ObjectRef
from tulle.model.world import Key, Refusal, Workload

from .published import Encoded, NodeState, decode, encode
from .records import write_atomically

MAX_BYTES = 64 << 20
_SUFFIX = ".json"

_Stamp = tuple[int, int, int]
_NEVER: _Stamp = (0, 0, 0)


@dataclass(slots=True)
class _Held:
    """What is known of a node; `reason` is why its present file is not in force."""

    stamp: _Stamp
    state: NodeState | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Others:
    """The other nodes by name, and whose file is not in force.

    `guests`, of which this node may be one, have what no other node claims.
    """

    nodes: Mapping[str, NodeState] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    guests: frozenset[str] = frozenset()


def joined(first: Others, *more: Others) -> Others:
    """All that they tell of. A name is that node's who was told of first."""
    nodes, refusals, guests = dict(first.nodes), list(first.refusals), set(first.guests)
    for others in more:
        for name, state in others.nodes.items():
            if nodes.setdefault(name, state) is not state:
                reason = "another node of the mesh has the name: this one is not in it"
                refusals.append(Refusal(ObjectRef("Node", "", name), reason))
        refusals += others.refusals
        guests |= {name for name in others.guests if nodes.get(name) is others.nodes.get(name)}
    return Others(nodes, tuple(refusals), frozenset(guests))


def own_file(cluster: Path, node: str) -> Path:
    """Where a node tells of itself."""
    return cluster / "nodes" / f"{node}{_SUFFIX}"


class NodeDirectory:
    """`own` is this node's name, `file` what it writes itself.

    Methods may be called from any thread, except `watch`.
    """

    def __init__(self, cluster: Path, own: str, *, joins: bool = True) -> None:
        """The directory of a node that `joins` is made; for others one that is away is not empty.

        Raises OSError.
        """
        self.file = own_file(cluster, own)
        self._path = self.file.parent
        self._staging = cluster / f".{own}.node"  # beside it: others watch the directory
        self._held: dict[str, _Held] = {}
        self._is_known = False  # what others say has been read
        self._said: tuple[NodeObject, Mapping[Key, Workload]] | None = None
        self._stamp: _Stamp | None = None
        self._encoded, self._told = Encoded(), Lock()
        self._problem = ""
        self._watch: DirectoryWatch | None = None
        if joins:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def scan(self) -> Others:
        """Everything that is true now; files that have not changed are not read again.

        Raises Unavailable as long as nothing is known: the mesh is not empty for that.
        """
        try:
            with os.scandir(self._path) as entries:
                found = {entry.name: entry for entry in entries if _is_node(entry)}
        except OSError as error:
            if not self._is_known:
                raise Unavailable(f"{self._path} cannot be read: {error.strerror}") from error
            reason = f"cannot be read: {error.strerror}; what was known of other nodes holds"
            return self._others(Refusal(ObjectRef("Directory", "", str(self._path)), reason))
        found.pop(self.file.name, None)
        names = {file.removesuffix(_SUFFIX): entry for file, entry in found.items()}
        self._held = {name: held for name, held in self._held.items() if name in names}
        for name, entry in names.items():
            self._read(name, entry)
        self._is_known = True
        return self._others()

    def publish(self, node: NodeObject, workloads: Mapping[Key, Workload]) -> None:
        """Tell the others, if there is something new or somebody has touched what was told.

        A failure is told by `scan`.
        """
        said = (node, workloads)
        if self._stamp and self._stamp == self._stamp_now() and _same(said, self._said):
            return
        try:
            write_atomically(self._staging, encode(node, workloads.values(), self._encoded))
            with self._told:
                self._staging.replace(self.file)
                self._stamp = self._stamp_now()
        except OSError as error:
            self._stamp, self._problem = None, f"other nodes do not learn of this one: {error}"
        else:
            self._said, self._problem = said, ""

    def _stamp_now(self) -> _Stamp | None:
        try:
            return _stamp(self.file.stat())
        except OSError:
            return None

    def own(self) -> NodeObject | None:
        """What this node told last, by an earlier agent too; None if that cannot be read."""
        with suppress(OSError, Refused):
            return decode(self.file.read_bytes(), self.file.stem).node
        return None

    def created(self) -> dict[str, str]:
        """When each node joined, as an RFC 3339 time, of this one too."""
        states = {name: held.state for name, held in self._held.items() if held.state is not None}
        objects = [state.node for state in states.values()]
        own = self.own()
        return {
            node.metadata.name: str(node.metadata.creation_timestamp or "")
            for node in (*objects, *([own] if own else []))
        }

    def watch(self, changed: Callable[[], object]) -> None:
        """Have `changed` called in the running event loop whenever a scan may see something new."""
        self._watch = DirectoryWatch(self._path, changed, self._concerns)

    def _concerns(self, name: str) -> bool:
        """What this node has told itself is no news."""
        with self._told:
            return name != self.file.name or self._stamp != self._stamp_now()

    def unwatch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _read(self, name: str, entry: os.DirEntry[str]) -> None:
        held, read = self._held.setdefault(name, _Held(_NEVER)), _NEVER
        try:
            info = entry.stat()
            if held.stamp == _stamp(info):
                return
            read = _stamp(info)
            if not stat.S_ISREG(info.st_mode):
                raise Refused("is not a regular file")
            if info.st_size > MAX_BYTES:
                raise Refused(f"is larger than {MAX_BYTES >> 20} MiB")
            held.state = decode(Path(entry.path).read_bytes(), name, held.state)
            held.reason = ""
        except (Refused, OSError) as error:
            if isinstance(error, OSError):
                read = _NEVER  # it may be had the next time, though it has not changed
            held.reason = f"{entry.path}: {error}"
            if held.state is not None:
                held.reason += "; what it said before holds"
        held.stamp = read

    def _others(self, *refusals: Refusal) -> Others:
        ordered = sorted(self._held.items())
        bad = [
            Refusal(ObjectRef("Node", "", name), held.reason)
            for name, held in ordered
            if held.reason
        ]
        bad += [item for held in self._held.values() if held.state for item in held.state.refusals]
        if self._problem:
            bad.append(Refusal(ObjectRef("Node", "", self.file.stem), self._problem))
        states = {name: held.state for name, held in ordered if held.state is not None}
        return Others(states, (*refusals, *bad))


def _same(
    now: tuple[NodeObject, Mapping[Key, Workload]],
    before: tuple[NodeObject, Mapping[Key, Workload]] | None,
) -> bool:
    """Whether it says the same: of workloads, whether they are the very same mapping."""
    return before is not None and now[1] is before[1] and now[0] == before[0]


def _stamp(info: os.stat_result) -> _Stamp:
    return info.st_mtime_ns, info.st_size, info.st_ino


def _is_node(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(_SUFFIX) and not entry.name.startswith(".")
