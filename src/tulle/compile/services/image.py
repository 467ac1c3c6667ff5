"""Frontends → the kernel's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import ip_address

from tulle import abi
from tulle.abi import Identity, ServiceFlag
from tulle.model.world import IPAddress, IPNetwork

from ..balance import ALWAYS, alias_table
from ..lines import PROTOCOLS
from ..maglev import maglev_table
from ..parts import Part, digest64, packed, packed_prefix
from .frontend import ANY_NODE, Backend, Frontend, Kind

NUMBER_BYTES = 8
_ALL_OF_SERVICE = 32  # prefix length of a source range of every client


def part_of(
    frontends: Iterable[Frontend], number: Callable[[str], int], owned: Iterable[IPAddress]
) -> Part:
    """All rows of one service. `number` gives each group of frontends its number."""
    builder = _Builder(number)
    for frontend in frontends:
        builder.add(frontend)
    builder.maps["ipcache"] = dict(_address_rows(owned))
    return {name: entries for name, entries in builder.maps.items() if entries}


def backend_number(group: str, backend: Backend) -> int:
    return digest64(f"{group}->{backend.address}:{backend.port}".encode())


class _Builder:
    def __init__(self, number: Callable[[str], int]) -> None:
        names = ("slots", "backends", "source_ranges", "ipcache", "services")
        self.maps: dict[str, dict[bytes, bytes]] = {name: {} for name in names}
        self._number = number
        self._tables: dict[tuple[str, bool, int], tuple[tuple[Backend, ...], abi.Table]] = {}

    def add(self, frontend: Frontend) -> None:
        number = self._number(frontend.group)
        flags = ServiceFlag.CLIENT_IP if frontend.affinity_s else 0
        flags |= ServiceFlag.MAGLEV if frontend.maglev else 0
        flags |= ServiceFlag.EXTERNAL if frontend.kind is not Kind.CLUSTER_IP else 0
        flags |= ServiceFlag.PROXY if frontend.proxied else 0
        if frontend.source_ranges is not None:
            flags |= ServiceFlag.SOURCE_RANGES
            self.maps["source_ranges"].update(_ranges(number, frontend.source_ranges))
        row = abi.Service(
            number,
            flags,
            frontend.affinity_s,
            *(self._table(frontend, item, number) for item in _choices(frontend)),
        )
        self.maps["services"][service_key(frontend)] = row.pack()

    def _table(self, frontend: Frontend, backends: tuple[Backend, ...], number: int) -> abi.Table:
        if not backends:
            return abi.Table()
        key = frontend.group, frontend.maglev, id(backends)
        if key not in self._tables:
            # The tuple is kept with it, so that its id stays its own.
            self._tables[key] = backends, self._write(frontend, backends, number)
        return self._tables[key][1]

    def _write(self, frontend: Frontend, backends: Sequence[Backend], number: int) -> abi.Table:
        """A table is named by its content, so a change makes a new one beside the old."""
        slots = []
        for backend in backends:
            name, raw = backend_number(frontend.group, backend), packed(ip_address(backend.address))
            key = name.to_bytes(NUMBER_BYTES, "little")
            self.maps["backends"][key] = abi.Backend(number, backend.port, raw).pack()
            slots.append(abi.Slot(name, ALWAYS, 0, raw, backend.port))
        rows = [row.pack() for row in _rows(frontend, backends, slots)]
        table = digest64(b"".join(rows))
        for position, row in enumerate(rows):
            self.maps["slots"][abi.SlotKey(table, position).pack()] = row
        return abi.Table(table, len(rows))


def _choices(frontend: Frontend) -> tuple[tuple[Backend, ...], ...]:
    if frontend.proxied:
        return (), (), ()
    return frontend.internal, frontend.external, frontend.local


def _rows(
    frontend: Frontend, backends: Sequence[Backend], slots: Sequence[abi.Slot]
) -> Iterator[abi.Slot]:
    weights = [backend.weight for backend in backends]
    if frontend.maglev:
        names = [f"{backend.address}:{backend.port}" for backend in backends]
        for position, index in enumerate(maglev_table(names, weights)):
            yield slots[index]._replace(alias=position)
        return
    for slot, (keep, alias) in zip(slots, alias_table(weights), strict=True):
        yield slot._replace(keep=keep, alias=alias)


def service_key(frontend: Frontend) -> bytes:
    address = frontend.address or ANY_NODE[frontend.face.family]
    return abi.ServiceKey(packed(address), frontend.port, PROTOCOLS[frontend.protocol]).pack()


def _ranges(number: int, networks: Iterable[IPNetwork]) -> Iterator[tuple[bytes, bytes]]:
    for network in networks:
        length, address = packed_prefix(network)
        key = abi.SourceRangeKey(_ALL_OF_SERVICE + length, number, address)
        yield key.pack(), abi.SourceRange().pack()


def _address_rows(addresses: Iterable[IPAddress]) -> Iterator[tuple[bytes, bytes]]:
    for address in addresses:
        row = abi.IpcacheEntry(Identity.SERVICE)
        yield abi.IpcacheKey(128, packed(address)).pack(), row.pack()
