"""A strict reader of DNS messages, written from RFC 1035 for the kernel's to be held against."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from struct import unpack_from

from tulle.abi import DnsStatus, NameLimit
from tulle.model.world import IPAddress

PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
A, CNAME, AAAA, ANY, IN = 1, 5, 28, 255, 1
HEADER, RECORD = 12, 10


class Malformed(Exception):
    """It does not say what a message has to say."""


@dataclass(frozen=True)
class Name:
    labels: tuple[bytes, ...]  # in lower case

    @property
    def is_plain(self) -> bool:
        return all(PLAIN.issuperset(label) for label in self.labels)


@dataclass(frozen=True)
class Told:
    status: DnsStatus
    name: str = ""
    kind: int = 0
    addresses: tuple[tuple[IPAddress, int], ...] = ()


def read(message: bytes) -> Told:
    try:
        return _read(message)
    except Malformed:
        return Told(DnsStatus.BAD)


def _read(message: bytes) -> Told:
    if len(message) < HEADER:
        raise Malformed
    _, flags, questions, answers, authorities, _ = unpack_from("!6H", message)
    if flags & 0x7800 or questions != 1:
        raise Malformed
    name, at = _name(message, HEADER)
    if at + 4 > len(message):
        raise Malformed
    kind, _ = unpack_from("!2H", message, at)
    addresses: list[tuple[IPAddress, int]] = []
    if not flags & 0x8000:
        if answers or authorities:
            raise Malformed
    elif not flags & 15:
        if answers > NameLimit.RECORDS:
            raise Malformed
        addresses = _addresses(message, at + 4, answers, name, kind)
    text = ".".join(label.decode("latin-1") for label in name.labels)
    status = DnsStatus.READ if name.is_plain else DnsStatus.ODD
    return Told(status, text, kind, tuple(addresses[: NameLimit.ADDRESSES]))


def _addresses(
    message: bytes, at: int, answers: int, asked: Name, wanted: int
) -> list[tuple[IPAddress, int]]:
    found: list[tuple[IPAddress, int]] = []
    meant, least = asked, int(NameLimit.CEILING_S)
    for _ in range(answers):
        owner, at = _name(message, at)
        if at + RECORD > len(message):
            raise Malformed
        kind, of, ttl, size = unpack_from("!HHIH", message, at)
        at += RECORD
        if at + size > len(message):
            raise Malformed
        ttl = min(0 if ttl >> 31 else ttl, least)
        if of == IN and owner == meant and meant.is_plain:
            if kind == CNAME:
                meant, end = _name(message, at)
                if end != at + size:
                    raise Malformed
                least = ttl
            elif kind in (A, AAAA):
                if size != (4 if kind == A else 16):
                    raise Malformed
                if wanted in (kind, ANY):
                    found.append((_address(message[at : at + size]), ttl))
        at += size
    return found


def _address(raw: bytes) -> IPAddress:
    return ip_address(raw)


def _name(message: bytes, at: int) -> tuple[Name, int]:
    """A name, and where what follows begins."""
    labels: list[bytes] = []
    base, end, jumps, length = at, 0, 0, 0
    while True:
        if at >= len(message):
            raise Malformed
        size = message[at]
        if size >= 0xC0:
            target = unpack_from("!H", message + b"\0", at)[0] & 0x3FFF
            if at + 1 >= len(message) or target >= base or target < HEADER:
                raise Malformed
            if jumps >= NameLimit.POINTERS:
                raise Malformed
            end = end or at + 2
            jumps, at, base = jumps + 1, target, target
            continue
        if size >= 0x40:
            raise Malformed
        if not size:
            return Name(tuple(labels)), end or at + 1
        length += size + 1
        if length > 254 or at + 1 + size > len(message):
            raise Malformed
        labels.append(message[at + 1 : at + 1 + size].lower())
        at += 1 + size


def mapped(raw: bytes) -> IPAddress:
    address = IPv6Address(raw)
    return address.ipv4_mapped or address
