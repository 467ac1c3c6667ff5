"""Ethernet frames by hand. Checksums of layer 4 are 0 unless a test asks for them."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from struct import pack

NODE_MAC, WORKLOAD_MAC = b"\x02tull\x01", b"\x02tull\x02"
ARP, IPV4, IPV6, VLAN = 0x0806, 0x0800, 0x86DD, 0x8100
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
HOP_BY_HOP, ROUTING, FRAGMENT, AUTH, NO_NEXT, DEST_OPTIONS = 0, 43, 44, 51, 59, 60
FIN, SYN, RST, ACK, URG = 1, 2, 4, 16, 32
ECHO_REPLY, UNREACHABLE, ECHO = 0, 3, 8
ECHO6, ECHO_REPLY6 = 128, 129


def ether(payload: bytes, kind: int = IPV4, dst: bytes = NODE_MAC) -> bytes:
    return dst + WORKLOAD_MAC + pack("!H", kind) + payload


def ipv4(
    src: str,
    dst: str,
    protocol: int,
    payload: bytes = b"",
    *,
    options: bytes = b"",
    ident: int = 7,
    offset: int = 0,
    more: bool = False,
    length: int | None = None,
    first_byte: int | None = None,
) -> bytes:
    """`offset` in bytes; `length` and `first_byte` (version and header length) may lie."""
    words = 5 + len(options) // 4
    head = pack(
        "!BBHHHBBH4s4s",
        0x40 | words if first_byte is None else first_byte,
        0,
        words * 4 + len(payload) if length is None else length,
        ident,
        more << 13 | offset // 8,
        64,
        protocol,
        0,
        ip_address(src).packed,
        ip_address(dst).packed,
    )
    head = head[:10] + pack("!H", checksum(head + options)) + head[12:]
    return head + options + payload


def ipv6(
    src: str,
    dst: str,
    protocol: int,
    payload: bytes = b"",
    *,
    length: int | None = None,
    version: int = 6,
) -> bytes:
    size = len(payload) if length is None else length
    ends = ip_address(src).packed + ip_address(dst).packed
    return pack("!IHBB", version << 28, size, protocol, 64) + ends + payload


def options6(following: int, payload: bytes, units: int = 0) -> bytes:
    """An extension header of 8 + 8 × `units` bytes: hop-by-hop, destination options, routing."""
    body = bytes(6 + 8 * units)  # of one-byte padding
    return pack("!BB", following, units) + body + payload


def fragment6(
    following: int, payload: bytes, *, offset: int = 0, more: bool = False, ident: int = 7
) -> bytes:
    return pack("!BBHI", following, 0, offset | more, ident) + payload


def udp(sport: int, dport: int, payload: bytes = b"") -> bytes:
    return pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def tcp(
    sport: int, dport: int, flags: int = SYN, *, words: int = 5, seq: int = 1, ack: int = 0
) -> bytes:
    return pack("!HHIIBBHHH", sport, dport, seq, ack, words << 4, flags, 64, 0, 0)


def icmp(kind: int, payload: bytes = b"", *, ident: int = 9, code: int = 0) -> bytes:
    """For both families; an error's `ident` and sequence are unused."""
    raw = pack("!BBHHH", kind, code, 0, ident, 1) + payload
    return raw[:2] + pack("!H", checksum(raw)) + raw[4:]


def checksum(data: bytes) -> int:
    """RFC 1071's, of data whose checksum field is 0."""
    padded = data + bytes(len(data) % 2)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp_sum(src: str, dst: str, segment: bytes) -> bytes:
    """A UDP segment with its checksum, which IPv6 asks for."""
    ends = ip_address(src).packed + ip_address(dst).packed
    value = checksum(ends + pack("!II", len(segment), socket.IPPROTO_UDP) + segment)
    return segment[:6] + pack("!H", value or 0xFFFF) + segment[8:]
