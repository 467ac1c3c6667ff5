"""The kernel's reader of DNS against a strict one in Python, on messages that are bent at random.

TULLE_DNS_MESSAGES and TULLE_DNS_SEED make a night's run of it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from random import Random
from struct import iter_unpack, pack, unpack_from

import pytest

from tests.datapath.dns_message import Told, mapped, read
from tests.datapath.kernel import Kernel, kernel_of
from tulle import abi
from tulle.abi import DnsStatus, NameLimit, NameScope
from tulle.compile.explain.dns_names import matches
from tulle.compile.fqdns import Scope, glob_of, trie_of
from tulle.edges.bpf import syscall

MESSAGES = int(os.environ.get("TULLE_DNS_MESSAGES", "50000"))
SEED = int(os.environ.get("TULLE_DNS_SEED", "1"))
ROOM = 3000  # the kernel gives a test no more than a page
LABELS = (b"a", b"www", b"CDN", b"x_y", b"example", b"shop", b"b.c", b"\0", b"l" * 63)
PATTERNS = (
    *("*", "*.example", "**.example", "a.example", "a*.example", "*a.example", "**.shop.example"),
    *("w*w.shop.example", "*.*.example", "**.a*.example", "www.*", "*x_*", "a.**.example", "**"),
)


class Reader:
    def __init__(self, kernel: Kernel) -> None:
        self._program = kernel.datapath.objects.load("decide", ("read_dns",))["read_dns"]
        self._size = len(abi.DnsMessage().pack())

    def read(self, message: bytes) -> tuple[Told, frozenset[int]]:
        packet = (pack("=I", len(message)) + message).ljust(ROOM, b"\0")
        code, out, _ = syscall.test_run(self._program, data=packet, data_out=ROOM)
        assert code == 0
        told = abi.DnsMessage.unpack(out[: self._size])
        used, *selectors = unpack_from(f"=I{NameLimit.CANDIDATES}I", out, self._size)
        if told.status == DnsStatus.BAD:
            return Told(DnsStatus.BAD), frozenset()
        rows = list(iter_unpack("=16sI", told.addresses))[: told.found]
        text = told.asked.name.text[: told.asked.name.bits // 8].decode("latin-1")
        found = tuple((mapped(raw), ttl) for raw, ttl in rows)
        name = text[:-1][::-1]
        return Told(DnsStatus(told.status), name, told.qtype, found), frozenset(selectors[:used])

    def close(self) -> None:
        os.close(self._program)


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with kernel_of("dns") as made:
        yield made


@pytest.fixture(scope="module")
def reader(kernel: Kernel) -> Iterator[Reader]:
    made = Reader(kernel)
    yield made
    made.close()


class Message:
    """Answers as resolvers make them, and as none should."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._data = bytearray(pack("!6H", rng.randrange(1 << 16), 0x8180, 1, 0, 0, 0))
        self._names: list[int] = []

    def make(self) -> bytes:
        rng = self._rng
        kind = rng.choice((1, 28, 1, 28, 255, 5, 65))
        self._name(fresh=True)
        self._data += pack("!2H", kind, 1)
        count = rng.choice((0, 1, 2, 3, 8, 40))
        for _ in range(count):
            self._record(rng.choice((kind, kind, 1, 28, 5)))
        self._data[6:8] = pack("!H", count)
        return bytes(self._data)

    def _name(self, fresh: bool = False) -> None:
        rng, data = self._rng, self._data
        start = len(data)
        if not fresh and self._names and rng.random() < 0.7:
            data += pack("!H", 0xC000 | rng.choice(self._names[:1] * 3 + self._names))
            return
        self._names.append(start)
        for _ in range(rng.choice((0, 1, 2, 3, 3, 5))):
            label = rng.choice(LABELS if rng.random() < 0.1 else LABELS[:6])
            data += bytes([len(label)]) + label
        if len(self._names) > 1 and rng.random() < 0.4:
            data += pack("!H", 0xC000 | rng.choice(self._names[:-1]))
        else:
            data += b"\0"

    def _record(self, kind: int) -> None:
        rng, data = self._rng, self._data
        self._name()
        data += pack(
            "!HHI", kind, 1 if rng.random() < 0.95 else 3, rng.choice((0, 60, 1 << 31, 9**9))
        )
        at = len(data)
        data += b"\0\0"
        if kind == 5:
            self._name()
        else:
            data += rng.randbytes(4 if kind == 1 else 16)
        data[at : at + 2] = pack("!H", len(data) - at - 2)


def bent(rng: Random, message: bytes) -> bytes:
    data = bytearray(message)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 5))):
        way, at = rng.randrange(4), rng.randrange(len(data))
        if way == 0:
            data[at] = rng.choice((0, 0x3F, 0x40, 0xC0, 0xC0, 0xFF, rng.randrange(256)))
        elif way == 1:
            del data[max(at, 1) :]
        elif way == 2:
            data[at:at] = rng.randbytes(rng.randrange(1, 4))
        else:
            data[at] ^= 1 << rng.randrange(8)
    return bytes(data[: ROOM - 4])


def test_the_kernel_reads_what_the_reference_reads(reader: Reader) -> None:
    rng = Random(SEED)
    seen: Counter[DnsStatus] = Counter()
    taught = 0
    for _ in range(MESSAGES):
        message = bent(rng, Message(rng).make())
        expected, (found, _) = read(message), reader.read(message)
        assert found == expected, message.hex()
        seen[found.status] += 1
        taught += bool(found.addresses)
    assert min(seen[status] for status in DnsStatus) > MESSAGES // 100
    assert taught > MESSAGES // 20


def question(name: str) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if name)
    return pack("!6H", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + pack("!2H", 1, 1)


def test_names_are_matched_as_cilium_documents_it(kernel: Kernel, reader: Reader) -> None:
    numbers = {pattern: place for place, pattern in enumerate(PATTERNS, 100)}
    trie = trie_of(Scope(NameScope.RULES, 0), numbers)
    assert not trie.lost
    kernel.maps["fqdns"].update_many(trie.rows.items())
    for pattern, number in numbers.items():
        if glob := glob_of(pattern):
            kernel.maps["globs"][pack("=I", number)] = glob
    rng = Random(SEED)
    parts = ("a", "aa", "www", "ww", "w-w", "x_y", "shop", "example", "ba", "l" * 63)
    for _ in range(min(MESSAGES, 3000)):
        name = ".".join(rng.choice(parts) for _ in range(rng.randrange(5)))
        if rng.random() < 0.7:
            name = ".".join(filter(None, (name, rng.choice(("example", "shop.example")))))
        if len(name) > 253:
            continue
        _, found = reader.read(question(name))
        wanted = {number for pattern, number in numbers.items() if matches(pattern, name)}
        assert found == wanted, name


def test_the_longest_names_are_read_and_no_longer_ones(reader: Reader) -> None:
    for length, status in ((61, DnsStatus.READ), (62, DnsStatus.BAD)):
        name = ".".join(["a" * 63] * 3 + ["b" * length])
        assert reader.read(question(name))[0].status == status
