"""How full the maps are that hold state, told before connections are forgotten.

The kernel makes room in them by itself, for the price of what was not used for longest. So it is
not their entries that matter but those among them that have not expired. To count these takes a
walk, which is only made where there are enough entries to matter.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock

from tulle.compile.parts import unpacked
from tulle.edges.bpf.gauge import Gauge, Use, conntrack_use, nat_use
from tulle.edges.bpf.maps import Map
from tulle.model.world import IPAddress, World

log = logging.getLogger("tulle")

WARNING = 0.8
FRESH_S = 5.0  # a walk is not made again before
TOP = 5
RECYCLED = ("conntrack", "nat", "affinity", "sock_nat", "fragments")
HEARD = (
    "dns_names",
    "dns_learned",
    "dns_asked",
    "dns_talks",
)  # workloads make room among their own
WALKS: Mapping[str, Callable[[Map, int], Use]] = {"conntrack": conntrack_use, "nat": nat_use}


@dataclass(frozen=True, slots=True)
class Opener:
    address: str
    workload: str  # empty: none that is known
    connections: int


@dataclass(frozen=True, slots=True)
class Fill:
    """A map that is `recycled` makes room by itself: its `in_use` entries are those that have not
    expired, None if they were not counted, as there is room enough.
    """

    name: str
    entries: int
    limit: int
    recycled: bool = False
    in_use: int | None = None
    openers: tuple[Opener, ...] = ()

    @property
    def warning(self) -> str:
        """Empty if there is no need for one."""
        counted = (self.in_use or 0) if self.recycled else self.entries
        if counted < WARNING * self.limit:
            return ""
        text = f"map {self.name} is {counted / self.limit:.0%} full ({counted} of {self.limit})"
        if not self.recycled:
            return text
        top = ", ".join(
            f"{item.workload or item.address}: {item.connections}" for item in self.openers
        )
        return (
            f"{text} with what has not expired: when there is no room, what was idle longest is "
            f"forgotten; most was opened by {top}"
        )


class Pressure:
    """Methods block, for a quarter of a second at most, and may be called from any thread."""

    def __init__(
        self, gauge: Gauge, maps: Mapping[str, Map], world: Callable[[], World | None]
    ) -> None:
        self._gauge, self._maps, self._world = gauge, maps, world
        self._walked: dict[str, tuple[float, Use]] = {}
        self._told: set[str] = set()
        self._lock = Lock()

    def fills(self) -> list[Fill]:
        with self._lock:
            entries = self._gauge.entries()
            heard = [Fill(name, entries[name], self._maps[name].max_entries) for name in HEARD]
            return [self._fill(name, entries[name]) for name in RECYCLED] + heard

    def warn(self) -> None:
        """Once into the log for each map, until it has room again."""
        fills = self.fills()
        for fill in fills:
            if fill.warning and fill.name not in self._told:
                log.warning("%s", fill.warning)
        self._told = {fill.name for fill in fills if fill.warning}

    def _fill(self, name: str, entries: int) -> Fill:
        limit = self._maps[name].max_entries
        if name not in WALKS or entries < WARNING * limit:
            return Fill(name, entries, limit, recycled=True)
        use = self._use(name)
        top = {unpacked(raw): count for raw, count in use.openers.most_common(TOP)}
        names = self._names(top)
        openers = (Opener(str(item), names.get(item, ""), count) for item, count in top.items())
        return Fill(name, entries, limit, True, use.entries, tuple(openers))

    def _use(self, name: str) -> Use:
        now_s = time.monotonic()
        when, use = self._walked.get(name, (0.0, None))
        if use is None or now_s - when > FRESH_S:
            use = WALKS[name](self._maps[name], time.monotonic_ns())
            self._walked[name] = now_s, use
        return use

    def _names(self, addresses: Mapping[IPAddress, int]) -> dict[IPAddress, str]:
        world = self._world()
        if world is None:
            return {}
        return {
            address: str(workload)
            for group in (world.workloads, *world.remote.values())
            for workload in group.values()
            for address in workload.addresses
            if address in addresses
        }
