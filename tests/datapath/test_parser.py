"""Frames by hand through the packet programs: what each is taken for; then hostile ones.

The interface is that of workload A. It may reach B; SHUT may reach nobody, and nobody it.
The kernel's test run takes no IP frame shorter than its fixed header: test_packets.py sends those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from random import Random
from struct import pack

import pytest

from tests.datapath.frames import (
    ACK,
    ARP,
    AUTH,
    DEST_OPTIONS,
    ECHO,
    ECHO6,
    ECHO_REPLY,
    ECHO_REPLY6,
    FRAGMENT,
    HOP_BY_HOP,
    ICMP,
    ICMP6,
    IPV6,
    NO_NEXT,
    ROUTING,
    SYN,
    TCP,
    UDP,
    UNREACHABLE,
    VLAN,
    ether,
    fragment6,
    icmp,
    ipv4,
    ipv6,
    options6,
    tcp,
    udp,
)
from tests.datapath.kernel import SHOT, Kernel, kernel_of
from tests.unit.compile.objects import workload, world_of
from tulle.abi import Reason

A, B, SHUT, WORLD = "10.0.0.1", "10.0.0.2", "10.0.0.3", "192.0.2.7"
A6, B6, SHUT6, WORLD6 = "fd00::1", "fd00::2", "fd00::3", "2001:db8::7"
ALL_NODES, ALL_ROUTERS, LINK = "ff02::1", "ff02::2", "fe80::1"
ISOLATED = """
kind: NetworkPolicy
metadata: {name: shut}
spec: {podSelector: {matchLabels: {app: shut}}, policyTypes: [Ingress, Egress]}
"""
TOO_BIG, SOLICITATION, REDIRECT6, LISTENER = 2, 135, 137, 131
SPI = bytes(12)


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    ends = (("a-1", A, A6), ("b-2", B, B6), ("shut-3", SHUT, SHUT6))
    workloads = [workload(name, *at, app=name.split("-")[0]) for name, *at in ends]
    with kernel_of("parser") as kernel:
        kernel.move_to(world_of(*workloads, text=ISOLATED))
        yield kernel


def v4(dst: str, protocol: int, payload: bytes = b"", src: str = A, **lies: object) -> bytes:
    return ether(ipv4(src, dst, protocol, payload, **lies))  # type: ignore[arg-type]


def v6(dst: str, protocol: int, payload: bytes = b"", src: str = A6, **lies: object) -> bytes:
    return ether(ipv6(src, dst, protocol, payload, **lies), IPV6)  # type: ignore[arg-type]


def chain(*headers: int, payload: bytes = udp(1, 53), dst: str = B6) -> bytes:
    """IPv6 with these extension headers in this order, and UDP."""
    following = UDP
    for header in reversed(headers):
        if header == FRAGMENT:
            payload = fragment6(following, payload)
        else:
            payload = options6(following, payload)
        following = header
    return v6(dst, following, payload)


def about(inner: bytes, kind: int = UNREACHABLE) -> bytes:
    """An ICMP error that quotes a packet."""
    return icmp(kind, inner, ident=0)


OUT_UDP, OUT_UDP6 = v4(B, UDP, udp(5000, 53)), v6(B6, UDP, udp(5000, 53))
FROM_B = ipv4(B, A, UDP, udp(53, 5000))
FROM_B6 = ipv6(B6, A6, UDP, udp(53, 5000))
OPEN = (OUT_UDP, "ALLOWED"), (OUT_UDP6, "ALLOWED")
LONG_ANSWER = ipv4(B, A, UDP, udp(53, 5000), options=bytes(40))

# Frames that A sends, one after the other, and the reason of each.
SENT: dict[str, list[tuple[bytes, str]]] = {
    "plain": [
        (v4(B, TCP, tcp(5000, 80)), "ALLOWED"),
        (v4(B, TCP, tcp(5000, 80)), "ESTABLISHED"),
        (v4(SHUT, TCP, tcp(5000, 80)), "POLICY_DENIED"),
        (v6(SHUT6, TCP, tcp(5000, 80)), "POLICY_DENIED"),
        (v4(WORLD, UDP, udp(5000, 53)), "ALLOWED"),
        (v4(B, 132, udp(5000, 53)), "ALLOWED"),  # SCTP
        (v4(B, 47, bytes(8)), "ALLOWED"),  # GRE, which has no ports
        (v4(SHUT, 47, bytes(8)), "POLICY_DENIED"),
    ],
    "not IP": [
        (ether(pack("!HH", 5, 0x0800) + ipv4(A, B, UDP, udp(1, 2)), VLAN), "UNSUPPORTED_PROTOCOL"),
        (ether(bytes(46), 0x88A8), "UNSUPPORTED_PROTOCOL"),
        (ether(bytes(46), 46), "UNSUPPORTED_PROTOCOL"),  # 802.3: a length, no type
        (ether(bytes(46), 0x88CC), "UNSUPPORTED_PROTOCOL"),  # LLDP
        (ether(bytes(28), ARP), "LINK_LOCAL"),
    ],
    "spoofed": [
        (v4(B, UDP, udp(1, 53), src=SHUT), "SPOOFED_SOURCE"),
        (v4(B, UDP, udp(1, 53), src=WORLD), "SPOOFED_SOURCE"),
        (v4(B, UDP, udp(1, 53), src="0.0.0.0"), "SPOOFED_SOURCE"),  # noqa: S104 (DHCP's)
        (v4(B, UDP, udp(1, 53), src="127.0.0.1"), "SPOOFED_SOURCE"),
        (v6(B6, UDP, udp(1, 53), src=SHUT6), "SPOOFED_SOURCE"),
        (v6(B6, UDP, udp(1, 53), src="fe80::2"), "SPOOFED_SOURCE"),
        (v6(B6, UDP, udp(1, 53), src="::"), "SPOOFED_SOURCE"),
        (v6(B6, UDP, udp(1, 53), src=f"::ffff:{A}"), "MALFORMED"),
        (v6(f"::ffff:{B}", UDP, udp(1, 53)), "MALFORMED"),
        (v6(B6, UDP, udp(1, 53), src=f"::{A}"), "SPOOFED_SOURCE"),
    ],
    "version and header length": [
        (v4(B, UDP, udp(1, 53), first_byte=0x55), "MALFORMED"),
        (v4(B, UDP, udp(1, 53), first_byte=0x65), "MALFORMED"),
        (v4(B, UDP, udp(1, 53), first_byte=0x44), "MALFORMED"),
        (v4(B, UDP, udp(1, 53), first_byte=0x40), "MALFORMED"),
        (v4(B, UDP, udp(1, 53), first_byte=0x4F), "MALFORMED"),  # 60 bytes of a 28 byte packet
        (v6(B6, UDP, udp(1, 53), version=4), "MALFORMED"),
        (v6(B6, UDP, udp(1, 53), version=0), "MALFORMED"),
    ],
    "IPv4 options": [
        (v4(B, UDP, udp(1, 53), options=bytes(4)), "ALLOWED"),
        (v4(B, UDP, udp(1, 53), options=bytes(40)), "ESTABLISHED"),
        (v4(SHUT, UDP, udp(1, 53), options=bytes(40)), "POLICY_DENIED"),
    ],
    "IPv4 fragments": [
        (v4(B, UDP, bytes(16), offset=1480, more=True), "FRAGMENT_UNTRACKED"),
        (v4(B, UDP, udp(1, 53, bytes(8)), more=True), "ALLOWED"),
        (v4(B, UDP, bytes(16), offset=16, more=True), "ESTABLISHED"),
        (v4(B, UDP, bytes(16), offset=32), "ESTABLISHED"),
        (v4(B, UDP, bytes(16), offset=16, ident=8), "FRAGMENT_UNTRACKED"),
        (v4(B, TCP, bytes(16), offset=16), "FRAGMENT_UNTRACKED"),
        (v4(WORLD, UDP, bytes(16), offset=16), "FRAGMENT_UNTRACKED"),
        (v4(SHUT, UDP, udp(1, 53, bytes(8)), more=True), "POLICY_DENIED"),
        (v4(SHUT, UDP, bytes(16), offset=16), "POLICY_DENIED"),
    ],
    "IPv6 fragments": [
        (v6(B6, FRAGMENT, fragment6(UDP, bytes(16), offset=16)), "FRAGMENT_UNTRACKED"),
        (v6(B6, FRAGMENT, fragment6(UDP, udp(1, 53, bytes(8)), more=True)), "ALLOWED"),
        (v6(B6, FRAGMENT, fragment6(UDP, bytes(16), offset=16)), "ESTABLISHED"),
        (v6(B6, FRAGMENT, fragment6(UDP, bytes(16), offset=16, ident=8)), "FRAGMENT_UNTRACKED"),
        (v6(B6, FRAGMENT, fragment6(TCP, bytes(16), offset=16)), "FRAGMENT_UNTRACKED"),
        (v6(B6, FRAGMENT, fragment6(UDP, udp(2, 53))), "ALLOWED"),  # the only one (RFC 6946)
        (v6(SHUT6, FRAGMENT, fragment6(UDP, udp(1, 53, bytes(8)), more=True)), "POLICY_DENIED"),
        (v6(SHUT6, FRAGMENT, fragment6(UDP, bytes(16), offset=16)), "POLICY_DENIED"),
    ],
    "fragments that hide the ports or the flags": [
        (v4(B, TCP, tcp(79, 80, ACK)[:8], more=True), "MALFORMED"),
        (v4(B, TCP, tcp(79, 80, ACK)[:8] + bytes(8), more=True, length=28), "MALFORMED"),
        (v4(B, TCP, bytes(12), offset=8), "FRAGMENT_UNTRACKED"),
        (v4(B, UDP, b"", more=True, length=20), "MALFORMED"),
        (v4(B, UDP, udp(1, 53), more=True, length=20), "MALFORMED"),
        (v6(B6, FRAGMENT, fragment6(TCP, tcp(79, 80, ACK), more=True), length=16), "MALFORMED"),
        (v6(B6, FRAGMENT, fragment6(DEST_OPTIONS, b"", more=True)), "MALFORMED"),
        (
            v6(B6, FRAGMENT, fragment6(DEST_OPTIONS, options6(UDP, b""), more=True)),
            "MALFORMED",
        ),
        (v6(B6, FRAGMENT, fragment6(FRAGMENT, bytes(16), offset=8)), "FRAGMENT_UNTRACKED"),
        (v6(B6, FRAGMENT, fragment6(DEST_OPTIONS, bytes(16), offset=8)), "UNSUPPORTED_PROTOCOL"),
    ],
    "IPv6 extension headers": [
        (chain(HOP_BY_HOP), "ALLOWED"),
        (chain(DEST_OPTIONS), "ESTABLISHED"),
        (chain(HOP_BY_HOP, DEST_OPTIONS, FRAGMENT, DEST_OPTIONS), "ESTABLISHED"),
        (chain(*[DEST_OPTIONS] * 6), "ESTABLISHED"),
        (chain(*[DEST_OPTIONS] * 7), "UNSUPPORTED_PROTOCOL"),
        (chain(*[DEST_OPTIONS] * 6, FRAGMENT), "UNSUPPORTED_PROTOCOL"),
        (chain(ROUTING), "UNSUPPORTED_PROTOCOL"),
        (chain(HOP_BY_HOP, ROUTING), "UNSUPPORTED_PROTOCOL"),
        (v6(B6, AUTH, pack("!BB", UDP, 1) + SPI[2:] + udp(1, 53)), "UNSUPPORTED_PROTOCOL"),
        (chain(HOP_BY_HOP, dst=SHUT6), "POLICY_DENIED"),
        (v6(B6, DEST_OPTIONS, options6(UDP, udp(1, 53), units=255)), "ESTABLISHED"),
        (v6(B6, DEST_OPTIONS, options6(UDP, udp(1, 53), units=9)[:60]), "MALFORMED"),
        (v6(B6, NO_NEXT), "ALLOWED"),
        (v6(SHUT6, NO_NEXT), "POLICY_DENIED"),
        (v6(SHUT6, 50, bytes(8)), "POLICY_DENIED"),  # ESP: what is in it is not ours to read
        (v6(SHUT6, 135, bytes(8)), "POLICY_DENIED"),  # mobility
    ],
    "ping": [
        (v4(B, ICMP, icmp(ECHO)), "ALLOWED"),
        (v4(B, ICMP, icmp(ECHO)), "ESTABLISHED"),
        (v4(B, ICMP, icmp(ECHO, ident=10)), "ALLOWED"),
        (v6(B6, ICMP6, icmp(ECHO6)), "ALLOWED"),
        (v4(SHUT, ICMP, icmp(ECHO)), "POLICY_DENIED"),
        (v4(SHUT, ICMP, icmp(ECHO_REPLY)), "POLICY_DENIED"),
        (v6(SHUT6, ICMP6, icmp(ECHO6)), "POLICY_DENIED"),
        (v6(SHUT6, ICMP6, icmp(ECHO_REPLY6)), "POLICY_DENIED"),
        (v4(B, ICMP, icmp(ECHO)[:7]), "MALFORMED"),
        (v4(B, ICMP6, icmp(ECHO6)), "ALLOWED"),  # a protocol like any other in IPv4
        (v4(B, ICMP, icmp(5, FROM_B)), "UNSUPPORTED_PROTOCOL"),  # redirect
    ],
    "neighbour and listener discovery stay on the link": [
        (v6(ALL_NODES, ICMP6, icmp(SOLICITATION, bytes(16))), "LINK_LOCAL"),
        (v6(ALL_ROUTERS, ICMP6, icmp(133), src="fe80::2"), "LINK_LOCAL"),
        (v6(LINK, ICMP6, icmp(SOLICITATION, bytes(16)), src="::"), "LINK_LOCAL"),
        (v6("ff02::16", HOP_BY_HOP, options6(ICMP6, icmp(143)), src="fe80::2"), "LINK_LOCAL"),
        (v6(SHUT6, ICMP6, icmp(SOLICITATION, bytes(16))), "POLICY_DENIED"),
        (v6(SHUT6, ICMP6, icmp(LISTENER)), "POLICY_DENIED"),
        (v6(SHUT6, ICMP6, icmp(143)), "POLICY_DENIED"),
        (v6(B6, ICMP6, icmp(SOLICITATION, bytes(16)), src=SHUT6), "SPOOFED_SOURCE"),
        (v6("ff05::1", ICMP6, icmp(LISTENER), src="fe80::2"), "SPOOFED_SOURCE"),
        (v6(ALL_NODES, ICMP6, icmp(REDIRECT6, bytes(32))), "UNSUPPORTED_PROTOCOL"),
        (v6(B6, ICMP6, icmp(REDIRECT6, bytes(32))), "UNSUPPORTED_PROTOCOL"),
        (v6(ALL_NODES, UDP, udp(1, 53), src="fe80::2"), "SPOOFED_SOURCE"),
    ],
    "ICMP errors": [
        *OPEN,
        (v4(B, ICMP, about(FROM_B)), "RELATED"),
        (v4(B, ICMP, about(FROM_B, kind=11)), "RELATED"),
        (v4(B, ICMP, about(LONG_ANSWER)), "RELATED"),
        (v6(B6, ICMP6, about(FROM_B6, kind=1)), "RELATED"),
        (v6(B6, ICMP6, about(FROM_B6, kind=TOO_BIG)), "RELATED"),
        (v4(B, ICMP, about(FROM_B), src=SHUT), "ICMP_UNRELATED"),
        (v4(B, ICMP, about(ipv4(B, A, UDP, udp(53, 5001)))), "ICMP_UNRELATED"),
        (v4(B, ICMP, about(ipv4(B, SHUT, UDP, udp(53, 5000)))), "RELATED"),  # says A, if by proxy
        (v4(B, ICMP, about(ipv4(B, A, TCP, tcp(53, 5000)))), "ICMP_UNRELATED"),
        (v4(B, ICMP, about(ipv4(B, A, UDP, udp(53, 5000), offset=8))), "ICMP_UNRELATED"),
        (v4(SHUT, ICMP, about(FROM_B)), "ICMP_UNRELATED"),  # quotes what another has sent
        (v4(WORLD, ICMP, about(FROM_B)), "ICMP_UNRELATED"),
        (v6(SHUT6, ICMP6, about(FROM_B6, kind=1)), "ICMP_UNRELATED"),
        (v4(B, ICMP, about(FROM_B[:24])), "RELATED"),  # 4 bytes tell the ports
        (v4(B, ICMP, about(FROM_B[:23])), "MALFORMED"),
        (v4(B, ICMP, about(FROM_B[:19])), "MALFORMED"),
        (v4(B, ICMP, about(b"")), "MALFORMED"),
        (v4(B, ICMP, about(b"\x44" + FROM_B[1:])), "MALFORMED"),
        (v4(B, ICMP, about(LONG_ANSWER[:50])), "MALFORMED"),
        (v6(B6, ICMP6, about(FROM_B6[:39], kind=1)), "MALFORMED"),
        (v6(B6, ICMP6, about(FROM_B6[:43], kind=1)), "MALFORMED"),
        (v6(B6, ICMP6, about(chain(ROUTING)[14:], kind=1)), "UNSUPPORTED_PROTOCOL"),
        (v4(B, ICMP, about(ipv4(B, A, ICMP, icmp(ECHO)))), "ICMP_UNRELATED"),
    ],
    "lengths that lie": [
        (v4(B, UDP, udp(1, 53) + bytes(18), length=28), "ALLOWED"),  # Ethernet's padding
        (v4(B, UDP, udp(2, 53), length=1500), "ALLOWED"),  # the receiver's stack drops it
        (v4(B, UDP, udp(3, 53), length=19), "MALFORMED"),
        (v4(B, UDP, udp(3, 53), length=0), "MALFORMED"),
        (v4(B, UDP, udp(3, 53), length=23), "MALFORMED"),
        (v4(B, TCP, tcp(3, 53), length=33), "MALFORMED"),
        (v4(B, UDP, udp(3, 53), options=bytes(8), length=24), "MALFORMED"),
        (v4(B, ICMP, icmp(ECHO), length=27), "MALFORMED"),
        (v4(B, ICMP, about(FROM_B), length=27), "MALFORMED"),
        (v6(B6, UDP, udp(3, 53), length=3), "MALFORMED"),
        (v6(B6, UDP, udp(3, 53), length=0), "MALFORMED"),  # a jumbogram has an option
        (v6(B6, TCP, tcp(3, 53), length=13), "MALFORMED"),
        (v6(B6, DEST_OPTIONS, options6(UDP, udp(3, 53)), length=8), "MALFORMED"),
        (v4(B, TCP, tcp(3, 53, words=0)), "ALLOWED"),  # the receiver's stack drops it
        (v4(B, TCP, tcp(4, 53, words=15)), "ALLOWED"),
    ],
}

# Frames from the node to A.
RECEIVED: dict[str, list[tuple[bytes, str]]] = {
    "from outside": [
        (v4(A, TCP, tcp(5000, 80), src=WORLD), "ALLOWED"),
        (v6(A6, TCP, tcp(5000, 80), src=WORLD6), "ALLOWED"),
        (v4(B, TCP, tcp(5000, 80), src=WORLD), "NO_ENDPOINT"),
        (v4(A, TCP, tcp(5000, 80), src=B), "SPOOFED_SOURCE"),
        (v4(A, TCP, tcp(5000, 80), src=A), "SPOOFED_SOURCE"),
        (v6(A6, TCP, tcp(5000, 80), src=B6), "SPOOFED_SOURCE"),
        (v6(A6, ICMP6, icmp(SOLICITATION, bytes(16)), src=B6), "SPOOFED_SOURCE"),
        (v6(ALL_NODES, ICMP6, icmp(SOLICITATION, bytes(16)), src=LINK), "LINK_LOCAL"),
        (v6(ALL_NODES, UDP, udp(1, 53), src=LINK), "NO_ENDPOINT"),
        (v4("255.255.255.255", UDP, udp(1, 53), src=WORLD), "NO_ENDPOINT"),
        (v4("224.0.0.1", UDP, udp(1, 53), src=WORLD), "NO_ENDPOINT"),
    ],
    "errors by routers on the way": [
        (v4(A, UDP, udp(53, 5000), src=WORLD), "ALLOWED"),
        (v4(A, ICMP, about(ipv4(A, WORLD, UDP, udp(5000, 53))), src="198.51.100.1"), "RELATED"),
        (
            v4(A, ICMP, about(ipv4(A, WORLD, UDP, udp(5001, 53))), src="198.51.100.1"),
            "ICMP_UNRELATED",
        ),
        (v4(B, ICMP, about(ipv4(B, WORLD, UDP, udp(5000, 53))), src=WORLD), "ICMP_UNRELATED"),
    ],
}


@pytest.mark.parametrize("rows", SENT.values(), ids=list(SENT))
def test_frames_that_a_workload_sends(kernel: Kernel, rows: list[tuple[bytes, str]]) -> None:
    kernel.forget()
    found = [kernel.judge("from_workload", frame).name for frame, _ in rows]
    assert found == [reason for _, reason in rows]


@pytest.mark.parametrize("rows", RECEIVED.values(), ids=list(RECEIVED))
def test_frames_that_a_workload_gets(kernel: Kernel, rows: list[tuple[bytes, str]]) -> None:
    kernel.forget()
    found = [kernel.judge("to_workload", frame).name for frame, _ in rows]
    assert found == [reason for _, reason in rows]


def test_ping_answers_are_known_and_pings_back_are_not(kernel: Kernel) -> None:
    kernel.forget()
    for ask, answer, make, there, here, protocol in (
        (ECHO, ECHO_REPLY, v4, WORLD, A, ICMP),
        (ECHO6, ECHO_REPLY6, v6, WORLD6, A6, ICMP6),
    ):
        assert kernel.judge("from_workload", make(there, protocol, icmp(ask))) == Reason.ALLOWED
        back = make(here, protocol, icmp(answer), src=there)
        assert kernel.judge("to_workload", back) == Reason.ESTABLISHED
        asked_back = make(here, protocol, icmp(ask), src=there)
        assert kernel.judge("to_workload", asked_back) == Reason.ALLOWED  # judged by itself


@pytest.mark.parametrize(
    ("whole", "needed"),
    [
        (v4(B, TCP, tcp(1, 80)), 34 + 16),
        (v4(B, UDP, udp(1, 80)), 34 + 4),
        (v4(B, ICMP, icmp(ECHO)), 34 + 8),
        (v4(B, UDP, udp(1, 80), options=bytes(40)), 74 + 4),
        (v6(B6, TCP, tcp(1, 80)), 54 + 16),
        (v6(B6, UDP, udp(1, 80)), 54 + 4),
        (v6(B6, ICMP6, icmp(ECHO6)), 54 + 8),
        (chain(HOP_BY_HOP, DEST_OPTIONS, FRAGMENT), 78 + 4),
    ],
    ids=["TCP", "UDP", "ICMP", "options", "TCP6", "UDP6", "ICMP6", "extensions"],
)
def test_a_frame_cut_short_is_malformed_until_it_says_enough(
    kernel: Kernel, whole: bytes, needed: int
) -> None:
    fixed = 34 if whole[12:14] == b"\x08\x00" else 54
    for size in range(fixed, len(whole) + 1):
        kernel.forget()
        expected = Reason.ALLOWED if size >= needed else Reason.MALFORMED
        assert kernel.judge("from_workload", whole[:size]) == expected, size


def test_an_event_tells_what_was_read(kernel: Kernel) -> None:
    kernel.forget()
    kernel.judge("from_workload", chain(HOP_BY_HOP, payload=udp(5000, 80)))
    kernel.judge("from_workload", v4(SHUT, TCP, tcp(5000, 80)))
    allowed, denied = kernel.events()
    assert (allowed.flow.proto, allowed.flow.sport, allowed.flow.dport) == (UDP, 5000, 80)
    assert ip_address(allowed.flow.dst) == ip_address(B6)
    assert (denied.flow.proto, denied.flow.tcp_flags, denied.bytes) == (TCP, SYN, 54)
    assert denied.verdict.reason == Reason.POLICY_DENIED and denied.verdict.ingress_rule


FUZZED = 24_000


@pytest.mark.parametrize("hook", ["from_workload", "to_workload"])
def test_hostile_frames_never_pass_for_another_and_never_fall_without_a_word(
    kernel: Kernel, hook: str
) -> None:
    rng = Random(7)
    seeds = [frame for rows in (SENT | RECEIVED).values() for frame, _ in rows]
    kernel.forget()
    told: Counter[str] = Counter()
    for number in range(FUZZED):
        frame = _mutated(rng, rng.choice(seeds))
        action = kernel.pass_frame(hook, frame)
        events = kernel.events()
        assert len(events) <= 1, (number, frame.hex())
        reason = Reason(events[0].verdict.reason) if events else None
        if action == SHOT:
            assert reason and reason >= Reason.DROP, (number, frame.hex())
        else:
            assert reason in (None, Reason.ALLOWED), (number, frame.hex())
            assert _may_pass(hook, frame), (number, frame.hex())
        told[reason.name if reason else "remembered"] += 1
    # Frames that all fall by one check would prove nothing.
    kinds = {"SPOOFED_SOURCE", "MALFORMED", "UNSUPPORTED_PROTOCOL", "FRAGMENT_UNTRACKED"}
    kinds |= {"ICMP_UNRELATED", "ALLOWED", "remembered"}
    kinds.add("POLICY_DENIED" if hook == "from_workload" else "NO_ENDPOINT")
    assert min(told[kind] for kind in kinds) > 50, told
    assert kernel.datapath.events_lost() == 0


def _mutated(rng: Random, frame: bytes) -> bytes:
    raw = bytearray(frame)
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        at = rng.randrange(12, len(raw))
        match rng.randrange(5):
            case 0:
                raw[at] = rng.randrange(256)
            case 1:
                raw[at] ^= 1 << rng.randrange(8)
            case 2:
                raw[at] = rng.choice((0, 1, 4, 6, 17, 43, 44, 51, 58, 59, 60, 0x7F, 0x80, 0xFF))
            case 3:
                raw[at:at] = rng.randbytes(rng.choice((1, 4, 8, 40)))
            case _:
                del raw[max(at, 14) : at + rng.choice((1, 4, 8, 20))]
    fixed = {b"\x08\x00": 34, b"\x86\xdd": 54}.get(bytes(raw[12:14]), 15)
    end = rng.randrange(fixed, fixed + 60) if rng.random() < 0.2 else len(raw)
    return bytes(raw[:end]).ljust(fixed, b"\0")


def _may_pass(hook: str, frame: bytes) -> bool:
    """Read as plainly as can be: whose addresses a frame has that may pass at A's interface."""
    kind = frame[12:14]
    if kind == b"\x08\x06":
        return True
    src, dst = (frame[26:30], frame[30:34]) if kind == b"\x08\x00" else (frame[22:38], frame[38:54])
    if kind == b"\x86\xdd" and _is_on_link(IPv6Address(dst)):
        return True  # neighbour discovery; a router would not pass it on
    own = {ip_address(at).packed for at in (A, A6)}
    others = {ip_address(at).packed for at in (B, B6, SHUT, SHUT6)}
    shut = {ip_address(at).packed for at in (SHUT, SHUT6)}
    if hook == "from_workload":
        return src in own and dst not in shut
    return dst in own and src not in others | own


def _is_on_link(dst: IPv6Address) -> bool:
    return dst.is_link_local or (dst.is_multicast and dst.packed[1] & 15 == 2)
