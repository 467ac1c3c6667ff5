"""What Cilium's policies say of requests: the reference model of the proxy's listeners for them.

It reads the objects as Cilium documents them: regular expressions are of the whole text, and that
of `path` sees the query too. What is judged is the request in the form in which the backend gets
it; what could mean one thing here and another there is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tulle.model.cilium import HeaderMatch, L7Rules, PortDenyRule, PortRule, PortRuleHttp
from tulle.model.verdict import RequestRule
from tulle.model.world import World

from ..regex import fullmatch, problem
from .dns_names import matches
from .requests import Request

_PERCENT = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[0-9A-Za-z._~-]")
_ESCAPED = '"<>^`{|}'  # what has no place in a path, and is passed on escaped
_OPTIONAL = ("ADD", "DELETE", "LOG")  # of which a rule may have three
_SERVER_NAME = re.compile(
    r"(\*\*?\.)?(\w([\w-]{0,61}\w)?\.)*\w([\w-]{0,61}\w)?", re.ASCII
)  # as Cilium documents it
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_TO_MATCH = (
    *("connection", "content-length", "expect", "host", "http2-settings", "keep-alive"),
    *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
)
# Invalid or double percent-encoding, control characters, dot segments and slashes in disguise.
_AMBIGUOUS = (
    re.compile(r"%(?![0-9A-Fa-f]{2})"),
    re.compile(r"%25[0-9A-Fa-f]{2}"),
    re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff]|2[Ff]|5[Cc])"),
    re.compile(r"%(?:[Cc][01]|[Ff][5-9A-Fa-f]|[Ee]0%[89][0-9A-Fa-f]|[Ff]0%8[0-9A-Fa-f])"),
    re.compile(r"/\.\.?%3[Bb]"),
)


def reads_requests(item: PortRule | PortDenyRule) -> bool:
    """Whether an item of toPorts allows some requests only."""
    return isinstance(item, PortRule) and (item.rules != L7Rules() or bool(item.server_names))


def settled(request: Request) -> Request | None:
    """The request as it is judged and as the backend gets it; None if it is refused (400)."""
    path, mark, query = request.path.partition("?")
    visible = all("\x21" <= char <= "\x7e" for char in request.path)
    if not visible or not path.startswith("/") or "#" in request.path or "," in request.host:
        return None
    normal = _normal(path)
    if not _TOKEN.fullmatch(request.method) or any(item.search(normal) for item in _AMBIGUOUS):
        return None
    return replace(request, path=f"{normal}{mark}{query}")


def _normal(path: str) -> str:
    """Unreserved characters as they are, without dot segments (RFC 3986, 6.2.2) and `//`."""
    plain = _PERCENT.sub(_decoded, path.replace("\\", "/"))
    found: list[str] = []
    segments = plain.split("/")[1:]
    for position, segment in enumerate(segments):
        bare = segment.partition(";")[0]
        if bare not in (".", ".."):
            found.append(segment)
            continue
        if bare == "..":
            del found[-1:]
        if position == len(segments) - 1:
            found.append("")
    joined = re.sub("/+", "/", "/" + "/".join(found))
    return "".join(f"%{ord(char):02X}" if char in _ESCAPED else char for char in joined)


def _decoded(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if _UNRESERVED.fullmatch(char) else match[0]


def allowing(world: World, rules: tuple[RequestRule, ...], request: Request) -> str:
    """The name of the first that allows a settled request; "" if none does.

    Of TLS nothing but the server's name is known.
    """
    if is_tls(world, rules, request):
        for rule in rules:
            if any(_covers(name, request.host) for name in port_rule(world, rule).server_names):
                return f"{rule}.serverNames"
        return ""
    for rule in rules:
        for position, item in enumerate(_http_rules(world, rule)):
            if _is_sound(item) and _allows(item, request):
                return f"{rule}.rules.http[{position}]"
    return ""


def is_tls(world: World, rules: tuple[RequestRule, ...], request: Request) -> bool:
    """Whether the name of a TLS server decides: where no rule is for HTTP, it always does."""
    named = any(port_rule(world, rule).server_names for rule in rules)
    return named and (request.tls or not any(_http_rules(world, rule) for rule in rules))


def _covers(name: str, host: str) -> bool:
    """Of TLS the host is the name that the client sends."""
    pattern, labels = name.lower().split("."), host.lower().split(".")
    wanted = pattern[1:] if pattern[0] in ("*", "**") else pattern
    more = len(labels) - len(wanted)
    if not _SERVER_NAME.fullmatch(name) or labels[max(more, 0) :] != wanted or "" in labels:
        return False
    return {"*": more == 1, "**": more >= 1}.get(pattern[0], more == 0)


def is_dns(world: World, rule: RequestRule) -> bool:
    """Whether it is questions for names that it allows, which the kernel judges itself."""
    return port_rule(world, rule).rules.dns is not None


def asks_anything(world: World, rules: tuple[RequestRule, ...]) -> bool:
    """Whether every name may be asked for."""
    asked = (item for rule in rules for item in port_rule(world, rule).rules.dns or ())
    return any(item.match_pattern == "*" for item in asked)


def answering(world: World, rules: tuple[RequestRule, ...], name: str) -> str:
    """What of the rules allows a name to be asked for; "" if nothing does."""
    for rule in rules:
        for position, item in enumerate(port_rule(world, rule).rules.dns or ()):
            wanted = item.match_name or item.match_pattern
            if matches(wanted, name):
                return f"{rule}.rules.dns[{position}]"
    return ""


def in_words(world: World, rule: RequestRule) -> Iterator[str]:
    """What a rule allows, a line for each of its parts."""
    for item in _http_rules(world, rule):
        parts = [
            f"{name} {value}"
            for name, value in (("method", item.method), ("path", item.path), ("host", item.host))
            if value
        ]
        parts += [f"header {text}" for text in item.headers]
        parts += [
            f"header {match.name}: {match.value}" + (f" or {match.mismatch}" * bool(match.mismatch))
            for match in item.header_matches
        ]
        if _is_sound(item):
            yield ", ".join(parts) or "any request"
    for question in port_rule(world, rule).rules.dns or ():
        yield f"questions for {question.match_name or question.match_pattern}"
    if names := port_rule(world, rule).server_names:
        yield f"TLS to {', '.join(names)}"


def port_rule(world: World, of: RequestRule) -> PortRule:
    """The item of toPorts itself."""
    rule = of.rule
    assert rule.policy is not None and rule.index is not None
    namespace, name = rule.policy.namespace, rule.policy.name
    if namespace:
        policy = world.cilium_policies[namespace, name]
        spec = policy.spec if rule.spec is None else policy.specs[rule.spec]
    else:
        wide = world.clusterwide_policies[name]
        spec = wide.spec if rule.spec is None else wide.specs[rule.spec]
    assert spec is not None
    listed = spec.ingress if rule.direction == "ingress" else spec.egress
    items = (listed or ())[rule.index].to_ports
    return (items or ())[int(of.place.removeprefix("toPorts[").removesuffix("]"))]


def _http_rules(world: World, of: RequestRule) -> tuple[PortRuleHttp, ...]:
    return port_rule(world, of).rules.http or ()


def _is_sound(item: PortRuleHttp) -> bool:
    """One that cannot be honoured allows nothing."""
    expressions = (item.method, item.path, item.host)
    optional = [match for match in item.header_matches if match.mismatch in _OPTIONAL]
    return (
        not any(map(problem, expressions))
        and all(_is_usable(match.name) for match in item.header_matches)
        and all(_is_usable(_split(text)[0]) for text in item.headers)
        and not any(match.secret is not None for match in item.header_matches)
        and len(optional) <= 3
    )


def _is_usable(name: str) -> bool:
    return bool(_TOKEN.fullmatch(name)) and name.lower() not in _NOT_TO_MATCH


def _allows(item: PortRuleHttp, request: Request) -> bool:
    asked = ((item.method, request.method), (item.path, request.path), (item.host, request.host))
    return (
        all(not pattern or fullmatch(pattern, text) for pattern, text in asked)
        and all(_has(request, *_split(text)) for text in item.headers)
        and all(_meets(request, match) for match in item.header_matches)
    )


def _split(text: str) -> tuple[str, str]:
    name, blank, value = text.partition(" ")
    return (name.rstrip(":") if blank else name), value.strip()


def _meets(request: Request, match: HeaderMatch) -> bool:
    """With a word for mismatches, the rule matches all the same."""
    return bool(match.mismatch) or _has(request, match.name, match.value)


def _has(request: Request, name: str, value: str) -> bool:
    """Of several headers of one name, all must have the value."""
    found = [text for key, text in request.headers if key.lower() == name.lower()]
    return bool(found) and all(value in ("", text) for text in found)
