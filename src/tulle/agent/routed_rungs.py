"""What `tulle get rungs` says of routes: their rules are the node's proxy's, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

from tulle.compile.explain.requests import Met
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import (
    Filters,
    Front,
    RequestMatch,
    RequestPolicies,
    Routing,
    Rule,
    Server,
    Stream,
)

READS = "the node's proxy reads its requests"
PASSES = "the node's proxy passes its connections on"
Named = tuple[ObjectRef, str]  # an object, and the name of its rule


def routed(routing: Routing) -> dict[Named, str]:
    """All rules of routes that are in force, each with what forces it there."""
    found: dict[Named, dict[str, None]] = defaultdict(dict)
    heads: dict[Named, str] = {}
    for front in routing.fronts.values():
        for server in front.servers:
            for named, head, about in _rules(front, server):
                heads[named] = head
                found[named].update(dict.fromkeys(about))
    return {named: _words(head, found[named]) for named, head in heads.items()}


def why_met(met: Met) -> str:
    """What puts the rule there that a request has met."""
    outer = _outer(met.front, met.server) if met.server else ()
    if met.stream:
        return _words(PASSES, [*outer, *_about_stream(met.stream)])
    about = _about(met.match, met.rule) if met.match and met.rule else ()
    return _words(READS, [*outer, *about])


def _words(head: str, about: Collection[str]) -> str:
    return f"{head}: {', '.join(about)}" if about else head


def _rules(front: Front, server: Server) -> Iterator[tuple[Named, str, list[str]]]:
    outer = list(_outer(front, server))
    for host in server.hosts:
        for match, rule in host.entries:
            name = f"{rule.origin} rules[{rule.name or rule.index}]"
            yield (rule.origin, name), READS, [*outer, *_about(match, rule)]
    for stream in server.streams:
        if stream.origin is not None:
            name = f"{stream.origin} rules[{stream.index}]"
            yield (stream.origin, name), PASSES, [*outer, *_about_stream(stream)]


def _outer(front: Front, server: Server) -> Iterator[str]:
    if not front.mesh:
        yield "clients from outside"
    if server.termination:
        yield "TLS that ends here"


def _about_stream(stream: Stream) -> Iterator[str]:
    if stream.hostnames:
        yield "server names"


def _about(match: RequestMatch, rule: Rule) -> Iterator[str]:
    """What only who reads requests can do."""
    there = {
        "matches": match != RequestMatch(),
        "filters": rule.filters != Filters() or any(item.filters for item in rule.destinations),
        "weights": len(rule.destinations) > 1,
        "timeouts": (rule.timeout_ms, rule.backend_timeout_ms) != (None, None),
        "retries": rule.retry is not None,
        "sessions": rule.session is not None,
        "policies": rule.policies != RequestPolicies()
        or any(item.traffic for item in rule.destinations),
        "TLS to backends": any(item.tls for item in rule.destinations),
    }
    yield from (what for what, is_there in there.items() if is_there)
