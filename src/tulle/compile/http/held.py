"""Rule sets → what the kernel needs to judge requests by them, or why it cannot.

Its map goes by the longest prefix of a path, and finds there all rules that meet such a path: those
of that very prefix and those of all shorter ones. So a look-up costs the same however many there
are. A path that is meant as a whole is a prefix that ends in a zero byte, which stands in no path.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tulle import abi
from tulle.abi import HttpLimit

from ..rules import HttpRule, Layer7
from .literals import NoTextError, Text, texts_of

_END = b"\0"
_METHOD_KEPT = 16
_ANYTHING = (Text("", open=True),)


class Choice(NamedTuple):
    """A method and a host, "" any, and the place of the rule that allows them."""

    method: bytes
    host: bytes
    rule: int


@dataclass(frozen=True, slots=True)
class Held:
    """By prefix of a path, which may end in a zero byte; there is always one for all paths."""

    choices: Mapping[bytes, tuple[Choice, ...]] = field(repr=False)

    @property
    def digest(self) -> str:
        return hashlib.blake2b(repr(sorted(self.choices.items())).encode()).hexdigest()

    def rows(self, number: int) -> dict[bytes, bytes]:
        """Of the map http_rules, for the set of that number."""
        return {_key(number, path): _value(found) for path, found in self.choices.items()}


def hold(
    wanted: bool, parts: Sequence[Layer7], *, audit: bool, outgoing: bool, host: bool
) -> Held | str:
    """The rules in the kernel's form, or why they are the proxy's to judge."""
    if not wanted:
        return "nodes were not started with --stream"
    if outgoing:
        return "egress: what leaves is judged before it leaves, and the kernel reads at the server"
    if host:
        return "the server is the node itself, whose sockets the kernel does not read"
    if audit:
        return "audit: what no rule allows passes, also what the kernel cannot read"
    if any(part.server_names for part in parts):
        return "serverNames: TLS"
    rules = [rule for part in parts for rule in part.http]
    try:
        met = [item for place, rule in enumerate(rules) for item in _met(rule, place)]
        return Held(_closed(met))
    except _UnfitError as reason:
        return str(reason)


class _UnfitError(Exception):
    """Why a rule is none for the kernel."""


class _Met(NamedTuple):
    path: Text
    choice: Choice


def _met(rule: HttpRule, place: int) -> Iterator[_Met]:
    if rule.headers:
        raise _UnfitError(f"{rule.place}.headers: the kernel looks at no headers but Host")
    methods = _texts(rule, "method", rule.method, _METHOD_KEPT - 1)
    hosts = _texts(rule, "host", rule.host, HttpLimit.HOST_KEPT)
    paths = _texts(rule, "path", rule.path, HttpLimit.PATH_KEPT - 2, prefixes=True)
    for path in paths:
        for method in methods:
            for host in hosts:
                yield _Met(path, Choice(method.start.encode(), host.start.encode(), place))


def _texts(
    rule: HttpRule, name: str, pattern: str, longest: int, *, prefixes: bool = False
) -> tuple[Text, ...]:
    """The texts that a part of a rule stands for; of methods and hosts "" is any."""
    try:
        found = texts_of(pattern) if pattern else _ANYTHING
    except NoTextError as problem:
        raise _UnfitError(f"{rule.place}.{name} is a regular expression: {problem}") from None
    for text in found:
        if len(text.start.encode()) > longest:
            raise _UnfitError(f"{rule.place}.{name} is longer than {longest} bytes")
        if not prefixes and text.open != (not text.start):
            raise _UnfitError(f"{rule.place}.{name} is a regular expression: it has '.*'")
    return found


def _closed(met: Iterable[_Met]) -> dict[bytes, tuple[Choice, ...]]:
    """Each prefix with the rules of all that it begins with."""
    own: dict[bytes, list[Choice]] = defaultdict(list)
    for item in met:
        own[item.path.start.encode() + (b"" if item.path.open else _END)].append(item.choice)
    found: dict[bytes, tuple[Choice, ...]] = {}
    for path in sorted({b"", *own}):  # what is shorter comes first
        shorter = (path[:end] for end in range(len(path) - 1, -1, -1))
        above = next((found[start] for start in shorter if start in found), ())
        found[path] = _simplified((*above, *own[path]))
        if len(found[path]) > HttpLimit.CHOICES:
            shown = path.rstrip(_END).decode()
            raise _UnfitError(f"more than {HttpLimit.CHOICES:d} rules meet the path {shown!r}")
    return found


def _simplified(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    """The first that allows is told: in the order of rules, without those that come too late."""
    kept: list[Choice] = []
    for item in sorted(choices, key=lambda choice: choice.rule):
        if not any(_covers(earlier, item) for earlier in kept):
            kept.append(item)
    return tuple(kept)


def _covers(earlier: Choice, item: Choice) -> bool:
    return earlier.method in (b"", item.method) and earlier.host in (b"", item.host)


def _key(number: int, path: bytes) -> bytes:
    """What is shorter than its field is filled with zero bytes."""
    return abi.HttpRuleKey(32 + 8 * len(path), number, path).pack()


def _value(choices: Sequence[Choice]) -> bytes:
    rows = b"".join(abi.HttpChoice(item.method, item.host, item.rule).pack() for item in choices)
    whole = abi.HttpRule(len(choices)).pack()
    start = len(whole) - HttpLimit.CHOICES * len(abi.HttpChoice().pack())
    return (whole[:start] + rows).ljust(len(whole), b"\0")
