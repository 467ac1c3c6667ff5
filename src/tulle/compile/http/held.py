"""Rule sets → what the kernel needs to judge requests by them, or why it cannot.

Its map goes by the longest prefix of a path, and finds there all rules that meet such a path: those
of that very prefix and those of all shorter ones. So a look-up costs the same however many there
are. A path that is meant as a whole is a prefix that ends in a zero byte, which stands in no path.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tulle import abi
from tulle.abi import HttpLimit

from ..rules import HeaderTest, HttpRule, Layer7
from .literals import NoTextError, Text, texts_of

_END = b"\0"
_METHOD_KEPT = 16
_ANYTHING = (Text("", open=True),)


class Condition(NamedTuple):
    """On a header, whose name is in lower case; a value "" is any."""

    name: bytes
    value: bytes


class Choice(NamedTuple):
    """A method and a host, "" any, the place of the rule that allows them, and of what headers."""

    method: bytes
    host: bytes
    rule: int
    headers: frozenset[Condition] = frozenset()


@dataclass(frozen=True, slots=True)
class Held:
    """By prefix of a path, which may end in a zero byte; there is always one for all paths."""

    choices: Mapping[bytes, tuple[Choice, ...]] = field(repr=False)

    @property
    def digest(self) -> str:
        shown = [
            (path, [(*item[:3], sorted(item.headers)) for item in found])
            for path, found in sorted(self.choices.items())
        ]
        return hashlib.blake2b(repr(shown).encode()).hexdigest()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The place of each is its bit in the kernel."""
        found = {test for part in self.choices.values() for item in part for test in item.headers}
        return tuple(sorted(found))

    @property
    def asked(self) -> frozenset[str]:
        """The names of headers that the kernel looks at, in lower case."""
        return frozenset(test.name.decode() for test in self.conditions)

    @property
    def sizes(self) -> dict[str, int]:
        """How many rows of each map."""
        found = self.conditions
        headers = len(set(found) | {Condition(item.name, b"") for item in found}) + bool(found)
        return {"http_headers": headers, "http_rules": len(self.choices)}

    def rows(self, number: int) -> dict[str, dict[bytes, bytes]]:
        """By map, for the set of that number."""
        bits = {test: 1 << place for place, test in enumerate(self.conditions)}
        rules = {_key(number, path): _value(found, bits) for path, found in self.choices.items()}
        return {"http_headers": _headers(number, bits), "http_rules": rules}


def hold(
    wanted: bool,
    named: Sequence[tuple[str, Layer7]],
    *,
    audit: bool,
    outgoing: bool,
    host: bool,
    unread: str = "",
) -> Held | str:
    """Rules, with whose they are, in the kernel's form, or why they are the proxy's to judge.

    `unread` is why that is so of the port, whatever they say. What no option would change is told
    before that no option asked for it.
    """
    why = next(_never(named, audit=audit, outgoing=outgoing, host=host), unread)
    if why or not wanted:
        return why or "nodes were not started with --stream"
    rules = list(_rules(named))
    try:
        met = [item for place, rule in enumerate(rules) for item in _met(rule, place)]
        found = Held(_closed(met))
    except _UnfitError as reason:
        return str(reason)
    if len(found.conditions) > HttpLimit.CONDITIONS:
        return f"more than {HttpLimit.CONDITIONS:d} conditions on headers"
    return found


def _never(
    named: Sequence[tuple[str, Layer7]], *, audit: bool, outgoing: bool, host: bool
) -> Iterator[str]:
    for name, part in named:
        if part.server_names:
            whose = f"{name}." if len(named) > 1 else ""
            yield f"{whose}{part.place}.serverNames: the proxy judges names in TLS"
    if outgoing:
        yield "egress: what leaves is judged before it leaves, and the kernel reads at the server"
    if host:
        yield "the server is the node itself, whose sockets the kernel does not read"
    if audit:
        yield "audit: what no rule allows passes, also what the kernel cannot read"


def _rules(named: Sequence[tuple[str, Layer7]]) -> Iterator[HttpRule]:
    """With whole names where there are those of several."""
    for name, part in named:
        for rule in part.http:
            yield replace(rule, place=f"{name}.{rule.place}") if len(named) > 1 else rule


class _UnfitError(Exception):
    """Why a rule is none for the kernel."""


class _Met(NamedTuple):
    path: Text
    choice: Choice


def _met(rule: HttpRule, place: int) -> Iterator[_Met]:
    headers = frozenset(_condition(rule, test) for test in rule.headers)
    methods = _texts(rule, "method", rule.method, _METHOD_KEPT - 1)
    hosts = _texts(rule, "host", rule.host, HttpLimit.HOST_KEPT)
    paths = _texts(rule, "path", rule.path, HttpLimit.PATH_KEPT - 2, prefixes=True)
    for path in paths:
        for method in methods:
            for host in hosts:
                chosen = Choice(method.start.encode(), host.start.encode(), place, headers)
                yield _Met(path, chosen)


def _condition(rule: HttpRule, test: HeaderTest) -> Condition:
    """What a test comes to; an underscore some take for a hyphen."""
    found, where = Condition(test.name.encode(), (test.value or "").encode()), f"{rule.place}"
    if test.mismatch:
        raise _UnfitError(f"{where}.headerMatches: the kernel changes no headers ({test.mismatch})")
    if len(found.name) > HttpLimit.NAME_KEPT or "_" in test.name:
        raise _UnfitError(f"{where}.headers: {test.name} is long, or has an underscore")
    if len(found.value) > HttpLimit.VALUE_KEPT or test.value == "":
        raise _UnfitError(
            f"{where}.headers: the value of {test.name} is longer than {HttpLimit.VALUE_KEPT:d}"
            " bytes, or empty"
        )
    return found


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
    alike = earlier.method in (b"", item.method) and earlier.host in (b"", item.host)
    return alike and earlier.headers <= item.headers


def _key(number: int, path: bytes) -> bytes:
    """What is shorter than its field is filled with zero bytes."""
    return abi.HttpRuleKey(32 + 8 * len(path), number, path).pack()


def _value(choices: Sequence[Choice], bits: Mapping[Condition, int]) -> bytes:
    rows = b"".join(
        abi.HttpChoice(
            item.method, item.host, item.rule, sum(bits[test] for test in item.headers)
        ).pack()
        for item in choices
    )
    whole = abi.HttpRule(len(choices)).pack()
    start = len(whole) - HttpLimit.CHOICES * len(abi.HttpChoice().pack())
    return (whole[:start] + rows).ljust(len(whole), b"\0")


def _headers(number: int, bits: Mapping[Condition, int]) -> dict[bytes, bytes]:
    """Names with what their values may meet, and each value; a row without a name if any is."""
    present: dict[bytes, int] = defaultdict(int)
    of_name: dict[bytes, int] = defaultdict(int)
    rows = {}
    for test, bit in bits.items():
        (of_name if test.value else present)[test.name] |= bit
        rows[test] = abi.HttpHeader(bit)
    for name in (*present, *of_name, *([b""] if bits else ())):
        rows[Condition(name, b"")] = abi.HttpHeader(present.get(name, 0), of_name.get(name, 0))
    return {abi.HttpHeaderKey(number, *test).pack(): row.pack() for test, row in rows.items()}
