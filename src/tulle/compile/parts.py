"""What the kernel's derived maps should hold, in parts.

A part is what one object or one question makes: a workload's rows, a service's, a policy set. What
has not changed is the same part object as before, so nobody looks into it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from ipaddress import IPv4Address, IPv6Address

from tulle.model.world import IPAddress, IPNetwork

Part = Mapping[str, Mapping[bytes, bytes]]  # map → its entries
Image = Mapping[Hashable, Part]  # no key of a map is in two parts
NOTHING: Part = {}

# What is referred to comes before what refers to it.
DERIVED = (
    "dns_rules",
    "globs",
    "fqdns",
    "http_headers",
    "http_rules",
    "policy",
    "slots",
    "backends",
    "source_ranges",
    "rules",
    "egress_gateway",
    "ipcache",
    "bandwidth",
    "wires",
    "endpoints",
    "services",
)


def flat(image: Image) -> dict[str, dict[bytes, bytes]]:
    """All entries of each map."""
    result: dict[str, dict[bytes, bytes]] = {name: {} for name in DERIVED}
    for part in image.values():
        for name, entries in part.items():
            result[name].update(entries)
    return result


def packed(address: IPAddress) -> bytes:
    """128 bits, IPv4 mapped (RFC 4291, 2.5.5.2)."""
    if isinstance(address, IPv4Address):
        return b"\0" * 10 + b"\xff\xff" + address.packed
    return address.packed


def packed_prefix(network: IPNetwork) -> tuple[int, bytes]:
    """Length and address of a prefix, as 128 bits have it."""
    return network.prefixlen + (96 if network.version == 4 else 0), packed(network.network_address)


def unpacked(raw: bytes) -> IPAddress:
    address = IPv6Address(raw)
    return address.ipv4_mapped or address


def digest64(content: bytes) -> int:
    """A number for a content; never 0, which means none."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little") or 1
