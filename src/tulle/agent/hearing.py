"""What workloads hear of DNS: who has too much of it, and what is left of those that have ended."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tulle import abi
from tulle.abi import HearerLimit
from tulle.compile.parts import packed, unpacked
from tulle.edges import netns
from tulle.edges.bpf.heard import Heard
from tulle.model.world import IPAddress, Workload, World

FRESH_S = 0.2
TOLD_S = 300.0  # a problem is shown for so long after it was met last
CROWDED = (
    "{who} asks DNS for very much: {count} addresses that it had learnt were forgotten before "
    f"their time, as a workload has room for {HearerLimit.ADDRESSES}; it has to ask for them again"
)
DISPLACED = (
    "{who} asks DNS for very much: {count} names that it had learnt were forgotten before their "
    f"time, as a workload has room for {HearerLimit.NAMES}; it has to ask for them again"
)
FULL = (
    "the tables of names have no room: {count} names or addresses that {who} was told could not be "
    "kept, and policies by names deny them"
)


class Hearing:
    """Methods block and may be called from any thread."""

    def __init__(
        self, heard: Heard, node_netns: Path | None, world: Callable[[], World | None]
    ) -> None:
        """`node_netns` None is the caller's own."""
        self._heard, self._netns, self._world = heard, node_netns, world
        self._seen: Mapping[int, abi.Hearer] = {}
        self._has_looked = False
        self._problems: dict[str, float] = {}
        self._looked_s = 0.0

    def look(self) -> None:
        """To be called now and then."""
        hearers = self._heard.hearers()
        # Asked after who hears: an interface is there before it hears.
        present = netns.run_in(self._netns, _present)
        if gone := hearers.keys() - present:
            self._heard.forget(gone)
        self._compare({key: item for key, item in hearers.items() if key in present})

    def names(self, ifindex: int, address: IPAddress, *, fresh: bool = False) -> tuple[str, ...]:
        """By which a workload knows an address; asks the kernel only for those that hear.

        `fresh`: only by what is good for new connections.
        """
        if ifindex not in self._seen and time.monotonic() - self._looked_s > FRESH_S:
            self._looked_s = time.monotonic()
            self._seen = {**dict.fromkeys(self._heard.hearers(), abi.Hearer()), **self._seen}
        if ifindex not in self._seen:
            return ()
        return self._heard.names(ifindex, packed(address), fresh=fresh)

    def addresses(self, ifindex: int, name: str) -> list[IPAddress]:
        """That a workload knows by a name and that have not expired."""
        return sorted(map(unpacked, self._heard.addresses(ifindex, name)), key=str)

    def _compare(self, hearers: Mapping[int, abi.Hearer]) -> None:
        names, now_s = self._names(), time.monotonic()
        self._problems = {
            text: when for text, when in self._problems.items() if now_s - when < TOLD_S
        }
        # What an earlier agent has told of is no news.
        for ifindex, item in hearers.items() if self._has_looked else ():
            before = self._seen.get(ifindex, abi.Hearer())
            who = names.get(ifindex, f"interface {ifindex}")
            for text, was, count in (
                (CROWDED, before.forgotten, item.forgotten),
                (DISPLACED, before.displaced, item.displaced),
                (FULL, before.refused, item.refused),
            ):
                if count > was:
                    self._problems.pop(text.format(who=who, count=was), None)
                    self._problems[text.format(who=who, count=count)] = now_s
        self._seen, self._has_looked = hearers, True

    def _names(self) -> dict[int, Workload]:
        world = self._world()
        return {item.ifindex: item for item in world.workloads.values()} if world else {}

    @property
    def problems(self) -> list[str]:
        return list(self._problems)


def _present() -> set[int]:
    return {index for index, _ in socket.if_nameindex()}
