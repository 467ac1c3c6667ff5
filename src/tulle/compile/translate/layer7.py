"""A policy's rules of layer 7 → rules.Layer7. What cannot be honoured is refused alone.

A rule that is refused allows nothing, and the others hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tulle.model.cilium import HeaderMatch, L7Rules, PortRule, PortRuleDns, PortRuleHttp
from tulle.model.dns import name_problem, normal, pattern_problem

from .. import regex
from ..rules import HeaderTest, HttpRule, Layer7

MAX_CHOICES = 3  # headers of a rule of which a mismatch is added, deleted or logged

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # a token of RFC 9110, 5.6.2
_VALUE = re.compile(r"[\x21-\x7e\x80-\U0010ffff](?:[\t\x20-\x7e\x80-\U0010ffff]*\S)?")
_MAX_VALUE = 256  # that all headers of a name have a value takes an expression of its length
# Of the connection, not of the request: the proxy makes them anew.
_FRAMING = (
    *("connection", "content-length", "expect", "http2-settings", "keep-alive"),
    *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
)
_SERVER_NAME = re.compile(
    r"(\*\*?\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?",
    re.IGNORECASE,
)
_MAX_SERVER_NAME = 255
_ALONE = "allows nothing, the rest of the policy is in force"


class _BadRule(Exception):
    """Why one rule cannot be honoured."""


def has_layer7(rule: PortRule) -> bool:
    return rule.rules != L7Rules() or bool(rule.server_names)


def layer7(rule: PortRule, place: str, refused: list[str]) -> Layer7 | None:
    """None if every request is allowed. `refused` gets what is wrong, by its place."""
    if not has_layer7(rule):
        return None
    http: list[HttpRule] = []
    for index, item in enumerate(rule.rules.http or ()):
        where = f"{place}.rules.http[{index}]"
        try:
            http.append(_http_rule(item, where))
        except _BadRule as problem:
            refused.append(f"{where}.{problem}: {_ALONE}")
    names: list[str] = []
    for index, name in enumerate(rule.server_names):
        if len(name) <= _MAX_SERVER_NAME and _SERVER_NAME.fullmatch(name):
            names.append(name.lower())
        else:
            what = "is no DNS name, *.NAME or **.NAME"
            refused.append(f"{place}.serverNames[{index}] {what}: {_ALONE}")
    dns = None if rule.rules.dns is None else tuple(_questions(rule.rules.dns, place, refused))
    return Layer7(_own(place), tuple(http), tuple(names), dns)


def _questions(rules: Sequence[PortRuleDns], place: str, refused: list[str]) -> Iterator[str]:
    """The patterns of names that may be asked for."""
    for index, item in enumerate(rules):
        where = f"{place}.rules.dns[{index}]"
        if bool(item.match_name) == bool(item.match_pattern):
            refused.append(f"{where} needs a matchName or a matchPattern, and not both: {_ALONE}")
            continue
        field, text, problem = "matchName", item.match_name, name_problem(item.match_name)
        if item.match_pattern:
            field, text = "matchPattern", item.match_pattern
            problem = pattern_problem(item.match_pattern)
        if problem:
            refused.append(f"{where}.{field} {problem}: {_ALONE}")
        else:
            yield normal(text)


def _own(place: str) -> str:
    """A place without that of the rule which it is part of."""
    return place[place.index("toPorts") :]


def _http_rule(item: PortRuleHttp, where: str) -> HttpRule:
    for name in ("method", "path", "host"):
        if problem := regex.problem(getattr(item, name)):
            raise _BadRule(f"{name} {problem}")
    headers = (*_plain_headers(item), *_matched_headers(item))
    if sum(test.mismatch in ("ADD", "DELETE", "LOG") for test in headers) > MAX_CHOICES:
        raise _BadRule(f"headerMatches has more than {MAX_CHOICES} of ADD, DELETE and LOG")
    return HttpRule(_own(where), item.method, item.path, item.host, headers)


def _plain_headers(item: PortRuleHttp) -> Iterator[HeaderTest]:
    """`Name` must be there; of `Name: value` the value too, up to the case of its name."""
    for index, text in enumerate(item.headers):
        name, blank, value = text.partition(" ")
        name = name.rstrip(":") if blank else name
        _check_header(name, value.strip(), f"headers[{index}]")
        yield HeaderTest(name.lower(), value.strip() if blank else None)


def _matched_headers(item: PortRuleHttp) -> Iterator[HeaderTest]:
    for index, match in enumerate(item.header_matches):
        where = f"headerMatches[{index}]"
        if match.secret is not None:
            raise _BadRule(f"{where}.secret is not supported yet: give it a value")
        _check_header(match.name, match.value, where)
        _check_mismatch(match, where)
        yield HeaderTest(match.name.lower(), match.value or None, match.mismatch)


def _check_header(name: str, value: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise _BadRule(f"{where} has no name of a header (RFC 9110)")
    if name.lower() == "host":
        raise _BadRule(f"{where} is the host: use the field host")
    if name.lower() in _FRAMING:
        raise _BadRule(f"{where} is of the connection, which the proxy makes anew")
    if len(value.encode()) > _MAX_VALUE:
        raise _BadRule(f"{where} has a value longer than {_MAX_VALUE} bytes")
    if value and not _VALUE.fullmatch(value):
        raise _BadRule(f"{where} has a value that no header can have")


def _check_mismatch(match: HeaderMatch, where: str) -> None:
    if match.mismatch in ("ADD", "DELETE", "REPLACE") and not match.value:
        raise _BadRule(f"{where} needs a value for {match.mismatch}")
