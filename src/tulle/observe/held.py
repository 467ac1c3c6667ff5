"""Requests that the kernel has judged → what is told of any request."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from tulle.abi import HttpEvent, HttpRefusal, HttpSeen
from tulle.compile.parts import unpacked
from tulle.compile.proxy.policy_routes import names_of
from tulle.compile.rule_sets import RuleSet
from tulle.model.access import Access, Request, Socket

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
            duration_ns=0,
            source=Socket(unpacked(event.src), event.sport),
            asked=target,
            backend=None if event.status else target,
            request=_request(event),
            status=event.status,
            front=f"policy/{event.set}",
            rule="" if event.status or not rules else rules.rules[event.rule],
            denied_by=_denied_by(event, rules) if event.status else "",
            kernel=True,
        )


def _request(event: HttpEvent) -> Request:
    old = event.seen & HttpSeen.OLD
    path = event.path[: event.path_length].decode("ascii", "replace")
    cut = "…" if event.path_length > len(event.path) else ""
    return Request(
        method=event.method[: event.method_length].decode("ascii", "replace"),
        scheme="http",
        authority=event.host[: event.host_length].decode("ascii", "replace"),
        path=path + cut,
        protocol="HTTP/1.0" if old else "HTTP/1.1",
    )


def _denied_by(event: HttpEvent, rules: RuleSet | None) -> str:
    named = names_of(rules) if rules else f"rule set {event.set}"
    why = REFUSALS.get(event.refusal)
    return f"{named}: {why}" if why else named
