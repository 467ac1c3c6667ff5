"""Ends sockets that are tied to what is no longer there, by iterators over sockets in the kernel.

The kernel function that ends a socket is there from Linux 6.5 on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tulle import abi
from tulle.compile.diff import Change

from .iterators import BpfIterator
from .loader import Objects
from .maps import Map

ROWS = abi.MAPS["gone"].max_entries

Gone = dict[bytes, bytes]  # rows of the map `gone`


def vanishing(maps: Mapping[str, Map], changes: Iterable[Change]) -> Gone:
    """What the changes take away. Call it before they are applied. Raises KernelError."""
    rows: Gone = {}
    for change in changes:
        if change.value is not None:
            continue
        if change.map == "endpoints":
            rows[abi.GoneKey(change.key, 0, 0).pack()] = bytes(8)
        elif change.map == "backends":
            try:
                backend = abi.Backend.unpack(maps["backends"][change.key])
            except KeyError:
                continue
            for service in (backend.service, 0):
                rows[abi.GoneKey(backend.addr, service, backend.port).pack()] = change.key
    return rows


class SocketSweep:
    """Raises KernelError on creation if the kernel cannot do it."""

    def __init__(self, objects: Objects) -> None:
        programs = objects.load("sweep", ("sweep_udp", "sweep_tcp"))
        self._gone = objects.maps["gone"]
        self._iterators = [BpfIterator(program) for program in programs.values()]

    def begin(self, rows: Gone) -> None:
        """At most ROWS of them. Raises KernelError."""
        self.end()  # of one that was cut off
        self._gone.update_many(rows.items())

    def run(self) -> None:
        """Over the sockets of the caller's network namespace. Raises KernelError."""
        for iterator in self._iterators:
            iterator.run()

    def end(self) -> None:
        self._gone.delete_many([key for key, _ in self._gone.items()])

    def close(self) -> None:
        for iterator in self._iterators:
            iterator.close()
