"""Service addresses that version 0.1 gave out: its services keep them as long as they exist.

It numbered services in the order in which they came, and remembered. Today an address follows from
the service's name, so that all nodes of a mesh agree; a node of a cluster keeps none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

import msgspec

from tulle.compile.services import addresses_of
from tulle.model.kubernetes import Service
from tulle.model.world import IPAddress, IPNetwork, Key

from .records import write_atomically

T = TypeVar("T")

Addresses = dict[str, str]  # `namespace/name/family` → address, as 0.1 wrote them


class _Memory(msgspec.Struct):
    """What 0.1 remembered, as far as it counts here."""

    addresses: Addresses = {}


class KeptAddresses:
    """`path` has those that are kept; `earlier` is the memory of 0.1, read where there is none."""

    def __init__(self, path: Path, earlier: Path, ranges: Sequence[IPNetwork]) -> None:
        """`ranges` are the node's service ranges. Raises OSError."""
        self._path, self._ranges = path, ranges
        known = _read(path, Addresses)
        if known is None:
            memory = _read(earlier, _Memory) or _Memory()
            known = memory.addresses
            if known:
                self._write(known)
        self._kept = known
        self._asked: Mapping[Key, Service] | None = None
        self._given: dict[Key, tuple[Service, Service]] = {}  # as it was asked, and as answered
        self._answer: Mapping[Key, Service] = {}

    def give(self, services: Mapping[Key, Service]) -> Mapping[Key, Service]:
        """The services, those of 0.1 with their addresses, as if users had written them.

        What is the same as before is the same object. Raises OSError.
        """
        if not self._kept:
            return services
        if services is not self._asked:
            self._forget_others(services)
            wanted = self._wanted(services)
            self._given = {key: self._give_one(key, services[key], wanted[key]) for key in wanted}
            self._answer = {**services, **{key: new for key, (_, new) in self._given.items()}}
            self._asked = services
        return self._answer

    def _give_one(
        self, key: Key, service: Service, found: Mapping[int, IPAddress]
    ) -> tuple[Service, Service]:
        before = self._given.get(key)
        fresh = _addressed(service, found)
        if before and before[0] is service and before[1] == fresh:
            return before
        return service, fresh

    def _wanted(self, services: Mapping[Key, Service]) -> dict[Key, dict[int, IPAddress]]:
        """By service and family; what somebody wrote since is theirs."""
        written = {address for service in services.values() for address in addresses_of(service)}
        found: dict[Key, dict[int, IPAddress]] = {}
        for name, text in self._kept.items():
            address, key = ip_address(text), _key(name)
            fits = any(address in network for network in self._ranges)
            if fits and address not in written and not services[key].spec.cluster_ip:
                found.setdefault(key, {})[address.version] = address
        return found

    def _forget_others(self, services: Mapping[Key, Service]) -> None:
        kept = {name: text for name, text in self._kept.items() if _key(name) in services}
        if kept != self._kept:
            self._kept = kept
            self._write(kept)

    def _write(self, addresses: Addresses) -> None:
        write_atomically(self._path, msgspec.json.encode(addresses))


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _key(name: str) -> Key:
    namespace, service, _ = name.split("/")
    return namespace, service


def _addressed(service: Service, found: Mapping[int, IPAddress]) -> Service:
    """In the order of families that the service asks for."""
    asked = [int(family[-1]) for family in service.spec.ip_families]
    order = dict.fromkeys([*asked, *sorted(found)])
    texts = tuple(str(found[family]) for family in order if family in found)
    spec = msgspec.structs.replace(service.spec, cluster_ip=texts[0], cluster_ips=texts)
    return msgspec.structs.replace(service, spec=spec)
