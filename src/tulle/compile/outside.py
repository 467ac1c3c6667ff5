"""What is no endpoint: blocks of policies, other nodes' pod ranges, what sees workloads."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from operator import is_
from typing import NamedTuple

from tulle import abi
from tulle.abi import Identity, IpcacheFlag
from tulle.model.world import IPAddress, IPNetwork, World

from .blocks import Prefixes, borders, within
from .capacity import Limits
from .claims import Claims
from .identities import Distinctions, Peer
from .parts import NOTHING, Part, packed, packed_prefix
from .services.build import ServiceParts
from .services.room import SERVICE


class Stretch(NamedTuple):
    """A prefix, to whose addresses nothing longer applies."""

    network: IPNetwork
    peer: Peer
    flags: int
    node: IPAddress | None  # whose pod range it is in

    @property
    def key(self) -> bytes:
        return ipcache_key(self.network)

    def entry(self, identity: int) -> bytes:
        node = packed(self.node) if self.node else bytes(16)
        return abi.IpcacheEntry(identity, self.flags, node).pack()


class Outside(NamedTuple):
    stretches: tuple[Stretch, ...] = ()
    peers: frozenset[Peer] = frozenset()
    made_from: tuple[object, ...] = ()


class OutsidePart(NamedTuple):
    """The part, and what it was made from."""

    part: Part = NOTHING
    made_from: tuple[object, ...] = ()


def outside_part(
    outside: Outside,
    numbers: Mapping[Peer, int],
    services: ServiceParts,
    limits: Limits,
    before: OutsidePart,
) -> OutsidePart:
    """`numbers` are those of before where peers have stayed.

    The row of an address that is a service's own stands in that service's part, or here if that
    has no room in another map: the address leads nowhere then.
    """
    made_from = outside, services.inputs.claims.owned, services.room.cut
    if before.made_from and all(map(is_, made_from, before.made_from)):
        return before
    rows = {item.key: item.entry(numbers[item.peer]) for item in outside.stretches}
    left_out: list[bytes] = []
    for key, addresses in services.inputs.claims.owned.items():
        keys = [ipcache_key(ip_network(address)) for address in addresses]
        if (SERVICE, *key) in services.room.cut:
            left_out += keys
        else:
            for one in keys:
                rows.pop(one, None)
    room = limits["ipcache"] - len(rows) if left_out else 0
    room -= sum(len(part.get("ipcache", ())) for part in services.parts.values()) if left_out else 0
    nowhere = abi.IpcacheEntry(Identity.SERVICE).pack()
    rows.update(dict.fromkeys(left_out[: max(room, 0)], nowhere))
    return OutsidePart({"ipcache": rows}, made_from)


def outside_of(
    world: World, claims: Claims, distinctions: Distinctions, before: Outside
) -> Outside:
    """`before` itself if nothing has changed."""
    made_from = claims.of, distinctions, world.settings.no_masquerade
    same = bool(before.made_from) and all(map(is_, made_from[:2], before.made_from))
    if same and made_from[2] == before.made_from[2]:
        return before
    ranges = {network: claim for claim in claims.of.values() for network in claim.ranges}
    nodes, kept = Prefixes(ranges), world.settings.no_masquerade
    stretches = []
    edges = borders({*distinctions.outside.networks, *ranges, *kept})
    for network in sorted(edges, key=lambda item: (item.version, item)):
        claim = next(nodes.around(network), None)
        cluster = claim.node.cluster if claim else ""
        peer = distinctions.network(network, claim is not None, cluster)
        flags = IpcacheFlag.NO_MASQUERADE if any(within(network, item) for item in kept) else 0
        underlay = claim.node.underlay if claim else None
        stretches.append(Stretch(network, peer, flags, underlay))
    return Outside(tuple(stretches), frozenset(item.peer for item in stretches), made_from)


def ipcache_key(network: IPNetwork) -> bytes:
    return abi.IpcacheKey(*packed_prefix(network)).pack()
