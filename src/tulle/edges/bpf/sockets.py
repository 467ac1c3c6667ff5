"""Ends sockets that are tied to what is no longer there, by iterators over sockets in the kernel.

The kernel function that ends a socket is there from Linux 6.5 on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tulle import abi
from tulle.abi import GoneService, PolicyFlag, _generated
from tulle.compile.diff import Change

from .iterators import BpfIterator
from .loader import Objects
from .maps import Map

_TCP = 6
_NODE = 0  # among interfaces: where the proxy is
_ONE_PORT = abi.PolicyPrefix.FULL
_IFINDEX = 2  # where they stand in an unpacked abi.CtEntry
ROWS = abi.MAPS["gone"].max_entries

Gone = dict[bytes, bytes]  # rows of the map `gone`


def vanishing(maps: Mapping[str, Map], changes: Iterable[Change]) -> Gone:
    """What the changes take away. Call it before they are applied. Raises KernelError."""
    changes = list(changes)
    rows = _unread(changes)
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


def _unread(changes: Iterable[Change]) -> Gone:
    """Where workloads are that the proxy reads requests for from now on.

    A changed set of policies is a new one, which comes before the endpoints that have it.
    """
    ports: dict[int, set[int]] = {}
    rows: Gone = {}
    for change in changes:
        if change.value is None:
            continue
        if change.map == "policy" and _is_read(abi.PolicyEntry.unpack(change.value)):
            key = abi.PolicyKey.unpack(change.key)
            ports.setdefault(key.set, set()).add(key.port if key.prefixlen == _ONE_PORT else 0)
        elif change.map == "endpoints" and ports:
            for port in ports.get(abi.Endpoint.unpack(change.value).ingress_set, ()):
                rows[abi.GoneKey(change.key, GoneService.UNREAD, port).pack()] = bytes(8)
    return rows


def _is_read(entry: abi.PolicyEntry) -> bool:
    return bool(entry.proxy) and not entry.flags & PolicyFlag.DNS


class SocketSweep:
    """Raises KernelError on creation if the kernel cannot do it."""

    def __init__(self, objects: Objects) -> None:
        programs = objects.load("sweep", ("sweep_udp", "sweep_tcp"))
        self._gone, self._conntrack = objects.maps["gone"], objects.maps["conntrack"]
        self._datagrams = BpfIterator(programs["sweep_udp"])
        self._streams = BpfIterator(programs["sweep_tcp"])

    def begin(self, rows: Gone) -> None:
        """At most ROWS of them. Raises KernelError."""
        self.end()  # of one that was cut off
        self._gone.update_many(rows.items())

    def holders(self, rows: Gone) -> set[int]:
        """Interfaces of the workloads that may have streams to what has gone; 0: of the node."""
        gone = [abi.GoneKey.unpack(row) for row in rows]
        unread = any(item.service == GoneService.UNREAD for item in gone)
        addresses = {item.addr for item in gone if not item.service and not item.port}
        found = {_NODE} if unread else set()
        for keys, values in self._conntrack.chunks() if addresses else ():
            for (one, other, _, _, proto), entry in zip(
                _generated._CtKey.iter_unpack(keys),
                _generated._CtEntry.iter_unpack(values),
                strict=True,
            ):
                if proto == _TCP and one in addresses:
                    found.add(entry[_IFINDEX + 1])
                if proto == _TCP and other in addresses:
                    found.add(entry[_IFINDEX])
        return found

    def run(self, *, streams: bool) -> None:
        """Over the sockets of the caller's network namespace. Raises KernelError.

        For datagrams it takes microseconds. For streams the kernel walks through its table of all
        namespaces' connections, which takes milliseconds even if it is empty.
        """
        self._datagrams.run()
        if streams:
            self._streams.run()

    def end(self) -> None:
        self._gone.delete_many([key for key, _ in self._gone.items()])

    def close(self) -> None:
        self._datagrams.close()
        self._streams.close()
