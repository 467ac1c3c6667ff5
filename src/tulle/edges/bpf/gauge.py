"""How full maps are, and who fills them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tulle import abi
from tulle.abi import CtFlag, CtLifetime, NatFlag, NatLifetime, _generated

from . import syscall
from .iterators import BpfIterator
from .loader import Objects
from .maps import Map

_SECOND_NS = 1_000_000_000
_TCP = 6
_BOTH_ENDED = CtFlag.FIN_0 | CtFlag.FIN_1


class Gauge:
    """Raises KernelError on creation if the kernel does not count (before Linux 6.6)."""

    def __init__(self, objects: Objects) -> None:
        self._iterator = BpfIterator(objects.load("gauge", ("gauge",))["gauge"])
        self._names = {
            syscall.map_info(item.fd).number: name for name, item in objects.maps.items()
        }

    def entries(self) -> dict[str, int]:
        """Of every hash map, as the kernel counts them. Nothing is walked."""
        raw = self._iterator.run()
        rows = (abi.Fill._make(row) for row in _generated._Fill.iter_unpack(raw))
        return {self._names[row.map]: row.entries for row in rows if row.map in self._names}

    def close(self) -> None:
        self._iterator.close()


@dataclass(frozen=True, slots=True)
class Use:
    """Entries that have not expired, and how many connections each address has opened."""

    entries: int
    openers: Counter[bytes]


def conntrack_use(conntrack: Map, now_ns: int) -> Use:
    """`now_ns` is CLOCK_MONOTONIC. Takes a quarter of a second for 262,144 entries."""
    life_ns = [[_ct_life_ns(tcp, flags) for flags in range(64)] for tcp in (False, True)]
    openers: Counter[bytes] = Counter()
    for keys, values in conntrack.chunks():
        openers.update(
            ends[initiator & 1]
            for (*ends, _, _, proto), (seen, judgement, _, _, _, _, flags, initiator, *_) in zip(
                _generated._CtKey.iter_unpack(keys),
                _generated._CtEntry.iter_unpack(values),
                strict=True,
            )
            if now_ns - seen <= life_ns[proto == _TCP][flags & 63] or judgement >> 32
        )
    return Use(openers.total(), openers)


def nat_use(nat: Map, now_ns: int) -> Use:
    """As `conntrack_use`; each connection has an entry a direction."""
    openers: Counter[bytes] = Counter()
    entries = 0
    for keys, values in nat.chunks():
        alive = [
            (src, flags)
            for (src, _, _, _, proto), (_, _, _, _, flags, seen, _) in zip(
                _generated._NatKey.iter_unpack(keys),
                _generated._NatEntry.iter_unpack(values),
                strict=True,
            )
            if now_ns - seen <= _nat_life_ns(proto, flags)
        ]
        entries += len(alive)
        openers.update(src for src, flags in alive if flags & NatFlag.FORWARD)
    return Use(entries, openers)


def _ct_life_ns(tcp: bool, flags: int) -> int:
    """As ct_lifetime_s() of lib/conntrack.h, of what policy has not cut."""
    replied = flags & CtFlag.REPLIED
    if not tcp:
        return _SECOND_NS * (CtLifetime.OTHER if replied else CtLifetime.OTHER_OPENING)
    if flags & CtFlag.RST or flags & _BOTH_ENDED == _BOTH_ENDED:
        return _SECOND_NS * CtLifetime.TCP_CLOSING
    return _SECOND_NS * (CtLifetime.TCP if replied else CtLifetime.TCP_OPENING)


def _nat_life_ns(proto: int, flags: int) -> int:
    """As nat_expired() of lib/nat.h."""
    if proto != _TCP:
        return _SECOND_NS * NatLifetime.OTHER
    if flags & (NatFlag.FIN | NatFlag.RST):
        return _SECOND_NS * NatLifetime.TCP_CLOSING
    went_on = flags & (NatFlag.REPLIED | NatFlag.DSR)
    return _SECOND_NS * (NatLifetime.TCP if went_on else CtLifetime.TCP_OPENING)
