"""Names for the numbers in events, of the present and of the recent past.

An event may be read after the workload or rule that it speaks of is gone. Numbers and addresses
are given out again only late, so what they meant last is what they meant then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from threading import Lock
from typing import TypeVar

from tulle.model.world import IPAddress, Key, Workload, World
from tulle.observe.names import CgroupId, Names, labels_of, owners_of, services_of

from .agent import Agent, Pass

REMEMBERED = 16384
K = TypeVar("K")
V = TypeVar("V")


class Naming:
    """What has not changed from one pass to the next is not looked at again."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._names = Names(node=agent.paths.node, learnt=agent.hearing.names)
        self._addresses = Addresses()
        self._seen: Pass | None = None
        self._lock = Lock()

    def names(self) -> Names:
        with self._lock:  # kept flows are read in threads
            now = self._agent.current
            if now is not None and now is not self._seen:
                self._names = self._renewed(now, self._seen)
                self._seen = now
            return self._names

    def _renewed(self, now: Pass, was: Pass | None) -> Names:
        old, compiled, world = self._names, now.compiled, now.world
        before = was.compiled if was else None
        self._addresses.update(world)
        names = replace(
            old,
            node=world.node.name,
            workloads=self._addresses.known,
            cgroups=_over(old.cgroups, self._cgroups(now)),
            clock_offset_ns=time.time_ns() - time.monotonic_ns(),
        )
        if not before or before.identities is not compiled.identities:
            labels = labels_of(compiled.identities)
            names = replace(names, identities=_over(old.identities, labels))
        if not before or before.rules is not compiled.rules:
            names = replace(names, rules=_over(old.rules, compiled.rules))
        if not before or before.services is not compiled.services:
            names = replace(names, services=_over(old.services, services_of(compiled.services)))
        if not was or was.world.services is not world.services:
            owners = _over(old.service_addresses, owners_of(world.services))
            names = replace(names, service_addresses=owners)
        return names

    def _cgroups(self, now: Pass) -> dict[CgroupId, Workload]:
        found: dict[CgroupId, Workload] = {}
        for key, workload in now.world.workloads.items():
            for inode in self._agent.cgroup_ids(key):
                found[inode] = workload
        return found


class Addresses:
    """Workloads of all nodes by their addresses. `known` is one dict, kept up with the world."""

    def __init__(self) -> None:
        self.known: dict[IPAddress, Workload] = {}
        self._groups: Mapping[str, Mapping[Key, Workload]] = {}

    def update(self, world: World) -> None:
        groups = {"": world.workloads, **world.remote}
        for node, group in groups.items():
            before = self._groups.get(node, {})
            if group is before:
                continue
            for key, workload in group.items():
                if before.get(key) is not workload:
                    for address in workload.addresses:
                        self.known.pop(address, None)  # the latest stand last
                        self.known[address] = workload
        self._groups = groups
        self._forget()

    def _forget(self) -> None:
        """Of those that are gone the latest stay, and for a while as many again."""
        present = sum(map(len, self._groups.values()))
        if len(self.known) <= 2 * (present + REMEMBERED):
            return
        here = {
            address
            for group in self._groups.values()
            for workload in group.values()
            for address in workload.addresses
        }
        past = [address for address in self.known if address not in here]
        for address in past[: max(0, len(past) - REMEMBERED)]:
            del self.known[address]


def _over(old: Mapping[K, V], new: Mapping[K, V]) -> dict[K, V]:
    """`new`, and the latest of what only `old` has."""
    past = {key: value for key, value in old.items() if key not in new}
    return dict(islice(past.items(), max(0, len(past) - REMEMBERED), None)) | dict(new)
