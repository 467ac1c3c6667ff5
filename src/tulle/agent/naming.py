"""Names for the numbers in events, of the present and of the recent past.

An event may be read after the workload or rule that it speaks of is gone. Numbers and addresses
are given out again only late, so what they meant last is what they meant then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from tulle.model.world import Workload
from tulle.observe.names import CgroupId, Names, names_of

from .agent import Agent, Pass

REMEMBERED = 16384
K = TypeVar("K")
V = TypeVar("V")


class Naming:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._names = Names(node=agent.paths.node)
        self._seen: Pass | None = None

    def names(self) -> Names:
        now = self._agent.current
        if now is not None and now is not self._seen:
            self._seen = now
            offset_ns = time.time_ns() - time.monotonic_ns()
            fresh = names_of(now.world, now.compiled, self._cgroups(now), offset_ns)
            self._names = _merged(self._names, fresh)
        return self._names

    def _cgroups(self, now: Pass) -> dict[CgroupId, Workload]:
        found: dict[CgroupId, Workload] = {}
        for key, workload in now.world.workloads.items():
            for inode in self._agent.workloads.cgroup_ids(key):
                found[inode] = workload
        return found


def _merged(old: Names, new: Names) -> Names:
    return replace(
        new,
        workloads=_over(old.workloads, new.workloads),
        cgroups=_over(old.cgroups, new.cgroups),
        identities=_over(old.identities, new.identities),
        rules=_over(old.rules, new.rules),
        services=_over(old.services, new.services),
        service_addresses=_over(old.service_addresses, new.service_addresses),
    )


def _over(old: Mapping[K, V], new: Mapping[K, V]) -> dict[K, V]:
    """`new`, and the latest of what only `old` has."""
    past = {key: value for key, value in old.items() if key not in new}
    return dict(islice(past.items(), max(0, len(past) - REMEMBERED), None)) | dict(new)
