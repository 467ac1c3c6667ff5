"""Nodes of the lab that know each other: a directory that they share, and a bridge between them.

A cluster is there as long as it has nodes. The bridge stands in a network namespace of its own,
the fabric; it is itself a host outside of the mesh: the nodes' gateway, and whoever else is wanted.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from pathlib import Path

import msgspec

from tulle.agent.records import write_atomically
from tulle.edges import netns
from tulle.edges.netlink import disconnect, fabric
from tulle.edges.netlink.fabric import IPInterface
from tulle.errors import Refused
from tulle.model.paths import require_label
from tulle.model.world import IPAddress, IPNetwork

ROOT = Path("/run/tulle-lab")
NETWORKS: tuple[IPNetwork, ...] = (IPv4Network("192.168.96.0/20"), IPv6Network("fd00:7a11:1::/64"))
MAX_NODES = 256
_FIRST_HOST = 10  # of the nodes; 1 is the bridge
_POD_BLOCKS: tuple[tuple[IPNetwork, int], ...] = (
    (IPv4Network("10.244.0.0/16"), 24),
    (IPv6Network("fd00:7a11:0:244::/64"), 80),
)


class Member(msgspec.Struct, frozen=True):
    """What the cluster keeps of a node: its place, and the arguments of its agent.

    `shared` are the same for all nodes, `own` are this one's.
    """

    number: int
    pod_cidrs: tuple[str, ...]
    shared: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    @property
    def port(self) -> str:
        return f"port{self.number}"

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """Of its uplink."""
        return tuple(network[_FIRST_HOST + self.number] for network in NETWORKS)

    @property
    def cidrs(self) -> tuple[IPNetwork, ...]:
        return tuple(ip_network(text) for text in self.pod_cidrs)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Raises Refused for a name that is no RFC 1123 label."""

    name: str

    def __post_init__(self) -> None:
        require_label(self.name, "cluster", 20)

    @property
    def directory(self) -> Path:
        """What its nodes share."""
        return ROOT / self.name

    @property
    def manifests(self) -> Path:
        return self.directory / "manifests"

    @property
    def fabric(self) -> Path:
        """The namespace of the bridge."""
        return self.directory / "netns" / "fabric"

    @property
    def _record(self) -> Path:
        return self.directory / "cluster.json"

    def members(self) -> dict[str, Member]:
        """By name; none if there is no such cluster."""
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=dict[str, Member])
        except FileNotFoundError:
            return {}

    def join(self, node: str, cidrs: Sequence[IPNetwork] = ()) -> Member:
        """A place for a node; one that it has already stays. `cidrs` empty: the lab chooses.

        Raises Refused if it is in another cluster, or this one is full.
        """
        where = cluster_of(node)
        if where is not None and where != self:
            raise Refused(f"node {node!r} is in the cluster {where.name!r} already")
        with self._locked():
            members = self.members()
            if not members:  # later it would hide that somebody has moved them away
                self.manifests.mkdir(mode=0o700, exist_ok=True)
            if node not in members:
                number = _free_number(self.name, members)
                texts = tuple(str(item) for item in cidrs or _pod_cidrs(number))
                self._save({**members, node: Member(number, texts)})
            return self.members()[node]

    def remember(self, node: str, shared: Sequence[str], own: Sequence[str]) -> None:
        """How the agent of a member was started."""
        with self._locked():
            members = self.members()
            old = members[node]
            member = msgspec.structs.replace(old, shared=tuple(shared), own=tuple(own))
            self._save({**members, node: member})

    def make_fabric(self) -> None:
        """The bridge alone, for hosts that are there before the first node. Idempotent.

        It ends with the last node, or by `forget_fabric`. Raises KernelError.
        """
        with self._locked():
            netns.create(self.fabric)
            gateways: list[IPInterface] = [
                ip_interface(f"{network[1]}/{network.prefixlen}") for network in NETWORKS
            ]
            netns.run_in(self.fabric, partial(fabric.make_bridge, gateways))

    def forget_fabric(self) -> None:
        """If no node needs it. Idempotent. Raises KernelError."""
        if self.directory.exists():
            with self._locked():
                if not self.members():
                    self._end()

    def connect(self, node: str, node_netns: Path) -> None:
        """Lay a member's cable and give its uplink addresses. Idempotent. Raises KernelError."""
        member = self.members()[node]
        self.make_fabric()
        netns.run_in(self.fabric, partial(fabric.plug_in, member.port, member.number, node_netns))
        addresses: list[IPInterface] = [
            ip_interface(f"{address}/{network.prefixlen}")
            for address, network in zip(member.addresses, NETWORKS, strict=True)
        ]
        gateways = [network[1] for network in NETWORKS]
        configure = partial(fabric.configure_uplink, addresses, gateways)
        netns.run_in(node_netns, configure)
        netns.run_in(self.fabric, partial(fabric.route_to, member.cidrs, member.addresses))

    def set_link(self, node: str, up: bool) -> None:
        """Cut a member off, or connect it again. Raises KernelError."""
        netns.run_in(self.fabric, partial(fabric.set_link, self.members()[node].port, up))

    def leave(self, node: str) -> None:
        """Forget a node; with the last one the cluster ends. Idempotent. Raises KernelError."""
        with self._locked():
            members = self.members()
            member = members.pop(node, None)
            if member is not None and netns.exists(self.fabric):
                netns.run_in(self.fabric, partial(disconnect, [member.port]))
                netns.run_in(self.fabric, partial(fabric.forget_routes, member.cidrs))
            if members:
                self._save(members)
                return
            self._end()

    def _end(self) -> None:
        netns.delete_all(self.fabric.parent)
        shutil.rmtree(self.directory)
        with suppress(OSError):  # other clusters are there
            ROOT.rmdir()

    def _save(self, members: dict[str, Member]) -> None:
        write_atomically(self._record, msgspec.json.encode(members))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time; the directory is there."""
        while True:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                with suppress(FileNotFoundError):
                    if os.fstat(lock).st_ino == self.directory.stat().st_ino:
                        yield
                        return
            finally:  # else the last node has left meanwhile, and took it along
                os.close(lock)


def clusters() -> list[Cluster]:
    """All of this machine, in order of name."""
    return [Cluster(path.name) for path in sorted(ROOT.iterdir())] if ROOT.exists() else []


def cluster_of(node: str) -> Cluster | None:
    """The cluster that a node has joined."""
    return next((cluster for cluster in clusters() if node in cluster.members()), None)


def _free_number(cluster: str, members: dict[str, Member]) -> int:
    taken = {member.number for member in members.values()}
    number = next((number for number in range(MAX_NODES) if number not in taken), None)
    if number is None:
        raise Refused(f"cluster {cluster!r} is full: it has {MAX_NODES} nodes")
    return number


def _pod_cidrs(number: int) -> list[IPNetwork]:
    """10.244.N.0/24 and fd00:7a11:0:244:N::/80."""
    return [
        ip_network((int(block[0]) + (number << block.max_prefixlen - length), length))
        for block, length in _POD_BLOCKS
    ]
