"""What is known of an interface that a container runtime asked for, and of its pod."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal

import msgspec

from tulle.edges import netlink
from tulle.model.bandwidth import UNLIMITED, Bandwidth
from tulle.model.kubernetes import ContainerPort, Labels
from tulle.model.world import IPAddress, Key, Wire, Workload

from .capabilities import NOTHING, Wishes, either, with_mappings
from .cni import Attachment

Id = tuple[str, str]  # container, and the interface within


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What is known of a pod besides its network; `problem` is why not its weight and bandwidth."""

    labels: Labels = field(default_factory=dict)
    service_account: str = "default"
    ports: tuple[ContainerPort, ...] = ()
    weight: int = 1
    uid: str = ""
    bandwidth: Bandwidth = UNLIMITED
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An interface to be made."""

    asked: Attachment
    facts: PodFacts
    wishes: Wishes = NOTHING

    @property
    def id(self) -> Id:
        return self.asked.id


class SandboxRecord(msgspec.Struct, frozen=True):
    """What is known of an attachment across restarts of the agent.

    Labels and the like are those that were last known, for a start without the API server.
    """

    network: str
    container_id: str
    ifname: str
    netns: str
    inode: int  # of the namespace: another one may come to stand at its path
    namespace: str
    name: str
    number: int
    addresses: tuple[str, ...]
    interface: str  # the node's side; random, so that no other ever had it
    created_s: float  # CLOCK_MONOTONIC
    uid: str = ""
    labels: Labels = {}
    service_account: str = "default"
    ports: tuple[ContainerPort, ...] = ()
    bandwidth: Bandwidth = UNLIMITED
    wishes: Wishes = NOTHING  # of the runtime's
    weight: int = 1
    phase: Literal["making", "up", "ending"] = "making"
    ifindex: int = 0
    mtu: int = netlink.MTU
    wire: Wire | None = None  # of another plugin's pair

    @property
    def id(self) -> Id:
        return self.container_id, self.ifname

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    @property
    def ips(self) -> tuple[IPAddress, ...]:
        return tuple(ip_address(text) for text in self.addresses)

    def workload(self) -> Workload:
        return Workload(
            namespace=self.namespace,
            name=self.name,
            labels=self.labels,
            addresses=self.ips,
            ifindex=self.ifindex,
            ports=with_mappings(self.ports, self.wishes.mappings),
            weight=self.weight,
            service_account=self.service_account,
            bandwidth=either(self.bandwidth, self.wishes.bandwidth),
            wire=self.wire,
        )


def record_of(
    one: Wanted,
    inode: int,
    number: int,
    addresses: tuple[str, ...],
    created_s: float,
    mtu: int,
) -> SandboxRecord:
    """Of what is to be made; with the addresses that a plugin before us gave nothing is ours."""
    asked, facts, given = one.asked, one.facts, one.wishes.addresses
    record = SandboxRecord(
        network=asked.network,
        container_id=asked.container_id,
        ifname=asked.ifname,
        netns=asked.netns,
        inode=inode,
        namespace=asked.key[0],
        name=asked.key[1],
        number=number,
        addresses=given or addresses,
        interface="" if given else f"tl{secrets.token_hex(4)}",
        created_s=created_s,
        mtu=mtu,
        uid=asked.uid or facts.uid,
        wishes=one.wishes,
    )
    return told(record, facts)


def told(record: SandboxRecord, facts: PodFacts) -> SandboxRecord:
    return msgspec.structs.replace(
        record,
        labels=dict(facts.labels),
        service_account=facts.service_account,
        ports=tuple(facts.ports),
        weight=record.weight if facts.problem else facts.weight,
        bandwidth=record.bandwidth if facts.problem else facts.bandwidth,
    )
