"""`tulle explain --http`: which rule a request would meet at the node's proxy, and then what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from tulle.compile.explain.filters import filters_in_words, match_in_words
from tulle.compile.explain.requests import (
    Met,
    Request,
    as_met_by,
    changed_path,
    front_at,
    front_of,
    location,
    meet,
)
from tulle.compile.proxy import scope_of
from tulle.compile.services import addresses_of
from tulle.errors import Refused
from tulle.model.routing import Destination, Front
from tulle.model.world import IPAddress, Key

from .agent import Pass
from .explaining import Learnt, explain_request, key_of
from .routed_rungs import why_met
from .rungs import NAMES

Json = dict[str, Any]
CHOICE_REASON = "the node's proxy chooses the backend"
NOTHING_ASKS = "no rule for DNS stands there: whatever is asked passes, and teaches nothing"
NOTHING_READS = "no route stands there: connections go to the service's backends as they are"


def explain_asked(
    now: Pass,
    learnt: Learnt,
    source: str,
    target: str,
    protocol: str,
    port: int,
    request: Request | None,
) -> Json:
    """As `explain_request`, with what the proxy makes of a request under `request`.

    Without one it is a connection of which nobody said what it will carry. Raises Refused.
    """
    front = _front(now, target, protocol, port)
    if front is None:
        answer = explain_request(now, learnt, source, target, protocol, port, request)
        read = any(item["rung"] >= 2 and item["rung_reason"] != NAMES for item in answer["results"])
        asks = request is not None and bool(request.question)
        passed = any(item["verdict"] == "FORWARDED" for item in answer["results"]) or not asks
        why = NOTHING_ASKS if asks else NOTHING_READS
        unread = {"rung": 1, "why": why} if request and passed and not read else None
        return answer | {"request": unread}
    front = as_met_by(front, _addresses(now, source))
    if request is None and _reads_http(front):
        raise Refused(
            f"{_where(front)} is served by routes: say which request, such as --http 'GET /'"
        )
    met = meet(front, request or Request())
    told = _told(met, request or Request()) | {"scope": scope_of(now.world, front.origin)}
    results = list(_results(now, learnt, source, met, request)) if "answer" not in told else []
    return {
        "from": source,
        "to": target,
        "service": "/".join(front.service),
        "request": told,
        "results": results,
    }


def _addresses(now: Pass, source: str) -> tuple[IPAddress, ...]:
    """Of one who asks, where it is known which one that is."""
    try:
        return (ip_address(source),)
    except ValueError:
        everywhere = (now.world.workloads, *now.world.remote.values())
        found = (items.get(key_of(source)) for items in everywhere)
        return next((item.addresses for item in found if item is not None), ())


def _front(now: Pass, target: str, protocol: str, port: int) -> Front | None:
    """By an address, a service's name or a Gateway's."""
    try:
        return front_at(now.routing, ip_address(target), port, protocol)
    except ValueError:
        key = key_of(target)
    found = front_of(now.routing, key, port, protocol)
    if found or key in now.world.services:
        return found
    own = (item for item in now.routing.fronts.values() if item.origin.kind == "Gateway")
    return next(
        (
            item
            for item in own
            if (item.origin.namespace, item.origin.name) == key
            and (item.port, item.protocol) == (port, protocol)
        ),
        None,
    )


def _reads_http(front: Front) -> bool:
    return any(server.protocol in ("HTTP", "HTTPS") for server in front.servers)


def _where(front: Front) -> str:
    return f"{'/'.join(front.service)}:{front.port}"


# --- what the proxy makes of it ---


def _told(met: Met, request: Request) -> Json:
    told: Json = {
        "rung": 3,
        "why": why_met(met),
        "front": met.front.name,
        "listener": met.server.name if met.server else None,
        "hostname": met.host.hostname if met.host else None,
        "rule": None,
        "match": match_in_words(met.match) if met.match else None,
        "filters": filters_in_words(met.rule) if met.rule else [],
        "destinations": _shares(_destinations(met)),
    }
    if met.rule:
        told["rule"] = f"{met.rule.origin} rules[{met.rule.name or met.rule.index}]"
    elif met.stream and met.stream.origin:
        told["rule"] = f"{met.stream.origin} rules[{met.stream.index}]"
    answer = _answer(met, request)
    return told | {"answer": answer} if answer else told


def _answer(met: Met, request: Request) -> str:
    """What the proxy answers itself; "" if a backend does."""
    if met.server is None:
        return "404: no listener has this hostname"
    if met.stream is not None:
        return "" if _reachable(met) else "closed: the route has no backend"
    if met.host is None:
        return "404: no route has this hostname"
    if met.rule is None:
        return "404: no rule matches"
    if (redirect := met.rule.filters.redirect) is not None:
        return f"{redirect.status}: {location(redirect, met, request)}"
    if not _reachable(met):
        broken = [item.broken for item in _destinations(met) if item.broken]
        return f"500: {broken[0] if broken else 'the rule has no backend'}"
    return ""


def _destinations(met: Met) -> tuple[Destination, ...]:
    return met.rule.destinations if met.rule else met.stream.destinations if met.stream else ()


def _reachable(met: Met) -> list[Destination]:
    return [item for item in _destinations(met) if item.weight and not item.broken]


def _shares(destinations: Iterable[Destination]) -> list[Json]:
    several = tuple(destinations)
    total = sum(item.weight for item in several)
    return [
        {
            "service": "/".join(item.service),
            "port": item.port,
            "share": item.weight / total if total else 0.0,
            "broken": item.broken or None,
        }
        for item in several
    ]


# --- and what policy says on the way to the backends ---


def _results(
    now: Pass, learnt: Learnt, source: str, met: Met, request: Request | None
) -> Iterator[Json]:
    """A mesh's backends see the client itself, a Gateway's the mesh's ingress at this node."""
    onwards = _onwards(met, request) if request else None
    protocol, here = met.front.protocol, now.world.node.name
    total = sum(item.weight for item in _destinations(met))
    for item in _reachable(met):
        target = "/".join(item.service)
        client = source if met.front.mesh else _ingress(now, item.service)
        found = explain_request(now, learnt, client, target, protocol, item.port, onwards)
        for result in found["results"]:
            of_these = result["share"] if result["share"] is not None else 1.0
            yield result | {
                "source": result["source"] if met.front.mesh else f"ingress of node {here}",
                "frontend": None,
                "rung": 3 if result["verdict"] == "FORWARDED" else result["rung"],
                "rung_reason": CHOICE_REASON,
                "share": of_these * item.weight / total,
            }


def _ingress(now: Pass, service: Key) -> str:
    """What the proxy connects from in its own name, of a family that the service has."""
    node, backends = now.world.node, now.world.services.get(service)
    families = {address.version for address in addresses_of(backends)} if backends else set()
    usable = (item for item in node.ingress if not families or item.version in families)
    return str(next(usable, node.name))


def _onwards(met: Met, request: Request) -> Request:
    """As the rule sends it on."""
    rewrite = met.rule.filters.rewrite if met.rule else None
    if rewrite is None or met.match is None:
        return request
    path = changed_path(rewrite.path, met.match, request.path)
    return replace(request, path=path, host=rewrite.hostname or request.host)
