"""What `tulle get rungs` says of routes: their rules are the node's proxy's, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Filters, Front, RequestMatch, RequestPolicies, Routing, Rule, Server

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
    return {named: _words(head, list(found[named])) for named, head in heads.items()}


def _words(head: str, about: list[str]) -> str:
    return f"{head}: {', '.join(about)}" if about else head


def _rules(front: Front, server: Server) -> Iterator[tuple[Named, str, list[str]]]:
    outer = [] if front.mesh else ["clients from outside"]
    outer += ["TLS that ends here"] if server.termination else []
    for host in server.hosts:
        for match, rule in host.entries:
            name = f"{rule.origin} rules[{rule.name or rule.index}]"
            yield (rule.origin, name), READS, [*outer, *_about(match, rule)]
    for stream in server.streams:
        if stream.origin is not None:
            about = [*outer, *(["server names"] if stream.hostnames else [])]
            yield (stream.origin, f"{stream.origin} rules[{stream.index}]"), PASSES, about


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
