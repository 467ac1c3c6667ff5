"""What workloads have learnt from DNS, as the kernel keeps it."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator, Mapping

from tulle import abi
from tulle.abi import HearerLimit
from tulle.model.dns import name_of

from .maps import Map

HEARERS = "hearers"
# Each with the place of the interface in its keys.
_OF_HEARER: Mapping[str, type] = {
    "dns_learned": abi.LearnedKey,
    "dns_learned_at": abi.HearerPlace,
    "dns_numbers": abi.NumberKey,
    "dns_names": abi.HearerPlace,
    "dns_asked": abi.AskedKey,
    "dns_asked_at": abi.HearerPlace,
    "dns_talks": abi.AskedKey,
}


class Heard:
    def __init__(self, maps: Mapping[str, Map]) -> None:
        self._maps = maps

    def names(self, ifindex: int, address: bytes, *, fresh: bool) -> tuple[str, ...]:
        """Those that a workload knows an address by, what expires last first.

        `fresh`: only what is good for new connections.
        """
        try:
            learned = abi.Learned.unpack(
                self._maps["dns_learned"][abi.LearnedKey(address, ifindex).pack()]
            )
        except KeyError:
            return ()
        rows = sorted(zip(learned.expires_ns, learned.name, strict=True), reverse=True)
        after_ns = time.monotonic_ns() if fresh else 0
        names = (
            self._name(ifindex, number) for until, number in rows if number and until > after_ns
        )
        return tuple(dict.fromkeys(filter(None, names)))

    def _name(self, ifindex: int, number: int) -> str:
        """ "" if it has been forgotten."""
        place = abi.HearerPlace(ifindex, (number - 1) % HearerLimit.NAMES)
        try:
            named = abi.DnsNamed.unpack(self._maps["dns_names"][place.pack()])
        except KeyError:
            return ""
        name = named.known.name
        if named.id != number:
            return ""
        return name_of(name.text, name.bits)

    def addresses(self, ifindex: int, name: str) -> list[bytes]:
        """That a workload knows by a name, and that are good for new connections."""
        now_ns, found = time.monotonic_ns(), []
        for key, value in self._maps["dns_learned"].items():
            at, learned = abi.LearnedKey.unpack(key), abi.Learned.unpack(value)
            if at.ifindex == ifindex and any(
                number and expires > now_ns and self._name(ifindex, number) == name
                for number, expires in zip(learned.name, learned.expires_ns, strict=True)
            ):
                found.append(at.addr)
        return found

    def hearers(self) -> dict[int, abi.Hearer]:
        """By interface."""
        return {
            int.from_bytes(key, sys.byteorder): abi.Hearer.unpack(value)
            for key, value in self._maps[HEARERS].items()
        }

    def forget(self, gone: Collection[int]) -> None:
        """All that was heard by interfaces that are no more."""
        for name, kind in _OF_HEARER.items():
            self._maps[name].delete_many(list(self._keys(name, kind, gone)))
        self._maps[HEARERS].delete_many(item.to_bytes(4, sys.byteorder) for item in gone)

    def _keys(self, name: str, kind: type, gone: Collection[int]) -> Iterator[bytes]:
        for key, _ in self._maps[name].items():
            if kind.unpack(key).ifindex in gone:  # type: ignore[attr-defined]
                yield key
