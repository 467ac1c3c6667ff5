"""Selectors of names → what the kernel finds them by: a trie of suffixes, and odd patterns.

Names stand there back to front, so the longest suffix that some selector has is one look-up. It
lists every selector that may mean a name below it, those of its own suffixes included. Each policy
set has its own, and each set of DNS rules: nobody's patterns take the places of others'.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tulle import abi
from tulle.abi import NameLimit, NameMatch, NameScope
from tulle.model.dns import split

KIND = "name selector"  # of ids
_SCOPE_BITS = 96  # of the trie's key, before its text
_SYMBOLS = "abcdefghijklmnopqrstuvwxyz0123456789-_."


class Selector(NamedTuple):
    """How one pattern is matched, and below which suffix."""

    suffix: str
    match: NameMatch
    front: str = ""

    @property
    def labels(self) -> int:
        return self.suffix.count(".") + 1 if self.suffix else 0

    def may_mean(self, suffix: str) -> bool:
        """Whether it is to be tried for names below a suffix, which is its own or longer."""
        labels = suffix.count(".") + 1 if suffix else 0
        most = {NameMatch.EXACT: self.labels, NameMatch.LABEL: self.labels + 1}
        return labels <= most.get(self.match, labels)


def selector_of(pattern: str) -> Selector:
    """Of a pattern or name in its normal form.

    >>> selector_of("*.example.com")[:2], selector_of("a*b.example.com").front
    (('example.com', <NameMatch.LABEL: 2>), 'a*b')
    """
    front, suffix = split(pattern)
    if pattern == "*":
        return Selector("", NameMatch.ALL)
    if not front:
        return Selector(suffix, NameMatch.EXACT)
    if front == "*":
        return Selector(suffix, NameMatch.LABEL)
    if front == "**" and suffix:
        return Selector(suffix, NameMatch.BELOW)
    return Selector(suffix, NameMatch.PATTERN, front)


class Scope(NamedTuple):
    """Whose selectors: a policy set's or those of DNS rules, by number."""

    kind: NameScope
    number: int


class Trie(NamedTuple):
    """`lost` are the patterns for which there is no room."""

    rows: Mapping[bytes, bytes] = {}
    lost: frozenset[str] = frozenset()


def trie_of(scope: Scope, numbers: Mapping[str, int]) -> Trie:
    """The rows of all selectors; those that find no room are as if they meant nothing."""
    known = {pattern: selector_of(pattern) for pattern in sorted(numbers)}
    below: dict[str, list[str]] = defaultdict(list)
    for pattern, item in known.items():
        below[item.suffix].append(pattern)
    lost: set[str] = set()
    found: dict[str, list[str]] = {}
    for suffix in below:
        meant = [
            pattern
            for around in _suffixes(suffix)
            for pattern in below.get(around, ())
            if pattern not in lost and known[pattern].may_mean(suffix)
        ]
        lost.update(meant[NameLimit.CANDIDATES :])
        found[suffix] = meant
    rows = {
        _key(scope, suffix): _node(
            [(known[item], numbers[item]) for item in meant if item not in lost]
        )
        for suffix, meant in found.items()
    }
    return Trie(rows, frozenset(lost))


def glob_of(pattern: str) -> bytes | None:
    """What an odd pattern is matched by; None for one that its suffix and labels tell."""
    selector = selector_of(pattern)
    return _glob(selector.front) if selector.match is NameMatch.PATTERN else None


def _suffixes(suffix: str) -> Iterator[str]:
    """A suffix and all of its own, the longest first; the last is that of every name."""
    labels = suffix.split(".") if suffix else []
    for start in range(len(labels) + 1):
        yield ".".join(labels[start:])


def reversed_text(name: str) -> bytes:
    """As the kernel has it: back to front, and a dot behind each label."""
    return (name[::-1] + ".").encode() if name else b""


def _key(scope: Scope, suffix: str) -> bytes:
    text = reversed_text(suffix)
    bits = _SCOPE_BITS + len(text) * 8
    return abi.FqdnKey(bits, *scope, text.ljust(NameLimit.SUFFIX, b"\0")).pack()


def _node(meant: list[tuple[Selector, int]]) -> bytes:
    rows = [
        abi.Candidate(number, item.match, item.labels, len(reversed_text(item.suffix)))
        for item, number in meant
    ]
    empty = [abi.Candidate()] * (NameLimit.CANDIDATES - len(rows))
    return struct.pack("=I", len(rows)) + b"".join(row.pack() for row in rows + empty)


def _glob(front: str) -> bytes:
    """An automaton that reads the rest of a name from its end to its start (Shift-And)."""
    stay = across = count = 0
    masks = [0] * NameLimit.SYMBOLS
    deep, rest = front.startswith("**."), front.removeprefix("**.")
    for char in (rest[::-1] if not deep else rest[::-1] + ".") + ("*" if deep else "") + ".":
        if char == "*":
            stay |= 1 << count
            continue
        masks[_SYMBOLS.index(char)] |= 1 << count
        count += 1
    if deep:  # its `*` stands before the last dot, and takes dots as well
        across = 1 << (count - 1)
    steps = struct.pack(f"={NameLimit.SYMBOLS}Q", *masks)
    return abi.Glob(stay, across, 1 << count, steps).pack()
