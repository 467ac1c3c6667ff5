"""Requests that the kernel has judged or seen → what is told of any request."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tulle.abi import HttpEvent, HttpRefusal, HttpSeen, TalkKind
from tulle.compile.parts import unpacked
from tulle.compile.proxy.policy_routes import names_of
from tulle.compile.rule_sets import RuleSet
from tulle.model.access import Access, Opening, Request, Socket
from tulle.model.dns import legible

_REQUESTS = (TalkKind.HTTP, TalkKind.H2_REQUEST)
WATCHED = "watched"  # for a listener's name, where no rule reads requests
REFUSALS: Mapping[int, str] = {
    HttpRefusal.BAD_METHOD: "its method is none, or too long",
    HttpRefusal.BAD_TARGET: "its target is no path, or has bytes that have no place in one",
    HttpRefusal.AMBIGUOUS_PATH: "its path can be read in more than one way",
    HttpRefusal.BAD_VERSION: "it is not of HTTP/1.0 or 1.1",
    HttpRefusal.BAD_LINE: "a line of it does not end in CR LF",
    HttpRefusal.BAD_NAME: "the name of a header is none, or may be taken for another",
    HttpRefusal.BAD_VALUE: "the value of a header has bytes that have no place in one",
    HttpRefusal.FOLDED: "a header of it is folded",
    HttpRefusal.BAD_HOST: "it has no Host, two, or one that is none",
    HttpRefusal.BAD_LENGTH: "its Content-Length is no number, or stands there twice",
    HttpRefusal.BAD_TRANSFER: "its Transfer-Encoding is not chunked, or it has a length besides",
    HttpRefusal.UPGRADES: "it asks for another protocol",
    HttpRefusal.BAD_CHUNK: "its chunks are none",
    HttpRefusal.TOO_LONG: "its head is longer than 8 KiB",
    HttpRefusal.OUT_OF_TURN: "it came before the one ahead of it was answered",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """An event as it came, and the rule sets that were in force then."""

    raw: bytes
    rule_sets: Mapping[int, RuleSet]

    def access(self) -> Access:
        event = HttpEvent.unpack(self.raw)
        rules = self.rule_sets.get(event.set)
        target = Socket(unpacked(event.dst), event.dport)
        return Access(
            time_ns=event.time_ns + time.time_ns() - time.monotonic_ns(),
            duration_ns=event.duration_ns,
            source=Socket(unpacked(event.src), event.sport),
            asked=target,
            backend=None if event.denied else target,
            request=_request(event) if event.kind in _REQUESTS else None,
            status=event.status,
            front=f"policy/{event.set}" if event.set else WATCHED,
            rule="" if event.denied or not rules else rules.rules[event.rule],
            details="" if event.denied else REFUSALS.get(event.refusal) or _not_seen(event),
            denied_by=_denied_by(event, rules) if event.denied else "",
            kernel=True,
            opening=_opening(event),
            grpc_status=event.grpc - 1 if event.grpc else None,
        )


def _opening(event: HttpEvent) -> Opening | None:
    if event.kind == TalkKind.HTTP2:
        return Opening("HTTP/2")
    if event.kind != TalkKind.TLS:
        return None
    name = legible(event.host[: event.host_length])
    return Opening("TLS", name, tuple(_protocols(event.path[: event.path_length])))


def _protocols(listed: bytes) -> Iterator[str]:
    """Each behind its length (RFC 7301, 3.1)."""
    while listed:
        yield legible(listed[1 : 1 + listed[0]])
        listed = listed[1 + listed[0] :]


def _not_seen(event: HttpEvent) -> str:
    """What HPACK's dynamic table hides of a request."""
    if event.kind != TalkKind.H2_REQUEST:
        return ""
    lengths = (("method", event.method_length), ("path", event.path_length))
    hidden = [name for name, length in lengths if not length]
    return f"{' and '.join(hidden)} not seen" if hidden else ""


def _protocol(event: HttpEvent) -> str:
    if event.kind == TalkKind.H2_REQUEST:
        return "HTTP/2"
    return "HTTP/1.0" if event.seen & HttpSeen.OLD else "HTTP/1.1"


def _request(event: HttpEvent) -> Request:
    path = legible(event.path[: event.path_length]) or "/…"
    cut = "…" if event.path_length > len(event.path) else ""
    return Request(
        method=legible(event.method[: event.method_length]) or "?",
        scheme="http",
        authority=legible(event.host[: event.host_length]),
        path=path + cut,
        protocol=_protocol(event),
    )


def _denied_by(event: HttpEvent, rules: RuleSet | None) -> str:
    named = names_of(rules) if rules else f"rule set {event.set}"
    why = REFUSALS.get(event.refusal)
    return f"{named}: {why}" if why else named
