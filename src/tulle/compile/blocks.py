"""Blocks of addresses that policies name, and which of them are around an address.

Membership in blocks only changes at the border of one of their prefixes, so the longest of these
around an address tells all blocks that it is in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Generic, TypeVar

from tulle.model.world import IPAddress, IPNetwork

from .rules import Cidr

MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291, 2.5.5.2
EVERY_IPV4 = IPv4Network("0.0.0.0/0")
EVERY_IPV6 = IPv6Network("::/0")
_WIDTHS = {4: 32, 6: 128}
T = TypeVar("T")
_Prefix = tuple[int, int, int]  # IP version, length, leading bits


def block_name(block: Cidr) -> str:
    """The same for blocks of the same addresses, whatever policy names them.

    >>> from ipaddress import ip_network
    >>> block_name(Cidr(ip_network("10.0.0.0/8"), (ip_network("10.1.0.0/16"),)))
    '10.0.0.0/8 except 10.1.0.0/16'
    """
    if not block.excluded:
        return str(block.cidr)
    return f"{block.cidr} except {','.join(sorted(map(str, set(block.excluded))))}"


class Prefixes(Generic[T]):
    """Values of prefixes, found by what they are around."""

    def __init__(self, items: Mapping[IPNetwork, T]) -> None:
        self._items = {_prefix(network): value for network, value in items.items()}
        lengths = {(version, bits) for version, bits, _ in self._items}
        self._lengths = {
            version: sorted((bits for of, bits in lengths if of == version), reverse=True)
            for version in _WIDTHS
        }

    def around(self, place: IPAddress | IPNetwork) -> Iterator[T]:
        """The longest prefix's value first."""
        version = place.version
        width = _WIDTHS[version]
        if isinstance(place, IPv4Network | IPv6Network):
            length, number = place.prefixlen, int(place.network_address)
        else:
            length, number = width, int(place)
        for bits in self._lengths[version]:
            if bits <= length:
                prefix = version, bits, number >> (width - bits)
                if prefix in self._items:
                    yield self._items[prefix]


@dataclass
class _Edge:
    """A prefix at which some blocks begin or end."""

    network: IPNetwork
    having: set[str] = field(default_factory=set)
    excluding: set[str] = field(default_factory=set)
    inside: tuple[str, ...] | None = None  # all blocks that it is in, once somebody asked


class Blocks:
    """Some blocks; `around` an address or prefix are the names of those that it is in."""

    def __init__(self, blocks: Iterable[Cidr]) -> None:
        edges: dict[IPNetwork, _Edge] = {}
        for block in blocks:
            name = block_name(block)
            edges.setdefault(block.cidr, _Edge(block.cidr)).having.add(name)
            for hole in block.excluded:
                edges.setdefault(hole, _Edge(hole)).excluding.add(name)
        self.networks = frozenset(edges)
        self._edges = Prefixes(edges)

    def around(self, place: IPAddress | IPNetwork) -> tuple[str, ...]:
        edge = next(self._edges.around(place), None)
        if edge is None:
            return ()
        if edge.inside is None:
            inside, outside = set[str](), set[str]()
            for other in self._edges.around(edge.network):
                inside |= other.having
                outside |= other.excluding
            edge.inside = tuple(sorted(inside - outside))
        return edge.inside


def borders(networks: Iterable[IPNetwork]) -> frozenset[IPNetwork]:
    """Prefixes for the kernel's one trie, which keeps IPv4 inside of MAPPED.

    An IPv6 prefix must not reach into that.
    """
    found = set(networks)
    mapped = {item for item in found if within(item, MAPPED)}
    if any(within(MAPPED, item) for item in found):
        found.add(EVERY_IPV4)
    return frozenset(found - mapped)


def within(inner: IPNetwork, outer: IPNetwork) -> bool:
    return (
        inner.version == outer.version
        and inner.prefixlen >= outer.prefixlen
        and inner.network_address in outer
    )


def _prefix(network: IPNetwork) -> _Prefix:
    number = int(network.network_address)
    return (
        network.version,
        network.prefixlen,
        number >> (_WIDTHS[network.version] - network.prefixlen),
    )
