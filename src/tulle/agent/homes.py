"""Behind which interfaces sockets are that may be short-circuited, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from struct import iter_unpack
from typing import Any

from tulle import abi
from tulle.abi import CtFlag, ShortEnd
from tulle.edges import netlink, netns
from tulle.edges.bpf.maps import Map
from tulle.model.world import World

LABEL = "tulle.io/short-circuit"
_FINISHED = CtFlag.FIN_0 | CtFlag.FIN_1


def short_circuited(world: World, *, left: bool = False) -> set[int]:
    """The node's side of workloads' interfaces, but of those that ask not to be.

    `left`: some were, and have to be found.
    """
    if not world.settings.short_circuit and not left:
        return set()
    return {
        workload.ifindex
        for workload in world.workloads.values()
        if workload.ifindex and workload.labels.get(LABEL) != "false"
    }


def counted(maps: Mapping[str, Map]) -> dict[str, Any]:
    """Connections that are, and directions of those that were, by what ended it."""
    pairs = ((key, abi.ShortPair.unpack(value)) for key, value in maps["shorts"].items())
    ends = {int.from_bytes(key, "little"): value for key, value in maps["short_ends"].items()}
    return {
        "connections": sum(
            all(pair.sock) and not all(pair.end) and _stands(maps["conntrack"], key)
            for key, pair in pairs
        ),
        "ended": {
            end.name.lower(): count
            for end in tuple(ShortEnd)
            if end in ends and (count := sum(row[0] for row in iter_unpack("=QQ", ends[end])))
        },
    }


def _stands(conntrack: Map, key: bytes) -> bool:
    try:
        flags = abi.CtEntry.unpack(conntrack[key]).flags
    except KeyError:
        return False
    return not flags & CtFlag.RST and flags & _FINISHED != _FINISHED


class Homes:
    """Keeps the map `homes`. `node_netns` None is the caller's own."""

    def __init__(self, homes: Map, node_netns: Path | None) -> None:
        self._map, self._netns = homes, node_netns
        self._wanted: set[int] | None = None  # what is in the map; None: it is not known

    def put(self, wanted: set[int]) -> None:
        """For connections that are opened from now on. Raises KernelError."""
        if wanted == self._wanted:
            return
        self._wanted = None
        numbers = netns.run_in(self._netns, netlink.peers_namespaces) if wanted else {}
        rows = {_packed(i): _packed(numbers[i]) for i in wanted if i in numbers}
        have = dict(self._map.items())
        self._map.delete_many(have.keys() - rows.keys())
        if fresh := rows.items() - have.items():
            self._map.update_many(fresh)
        if len(rows) == len(wanted):
            self._wanted = wanted


def _packed(number: int) -> bytes:
    return number.to_bytes(4, "little")
