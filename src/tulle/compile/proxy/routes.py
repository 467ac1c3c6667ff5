"""Virtual hosts → RouteConfigurations, put together from routes that are serialised once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tulle import xds
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import RequestMatch, Rule, VirtualHost

from . import guards, latency, limits
from .actions import action_of, filter_configs
from .headers import edits
from .hosts import Share
from .lots import drawn
from .matches import match_of
from .retries import UNASKED, buffer_of
from .targets import Scene, Target, targets_of_rule
from .wire import joined

_ROUTE = "envoy.config.route.v3.Route"
_HOST = "envoy.config.route.v3.VirtualHost"
_TABLE = "envoy.config.route.v3.RouteConfiguration"
_ROUTES_OF_HOST, _HOSTS_OF_TABLE = 3, 2  # field numbers
_MISDIRECTED = 421

Entry = tuple[RequestMatch, Rule]


@dataclass(frozen=True, slots=True)
class Made:
    """A message, or a part of one, with the clusters that it names and whom it comes from."""

    body: bytes = b""
    targets: tuple[Target, ...] = ()
    origins: tuple[ObjectRef, ...] = ()


@dataclass(frozen=True, slots=True)
class HostMade:
    """What has been made of a virtual host; an entry that is the same object is not made again."""

    host: VirtualHost
    made: Made
    entries: Mapping[tuple[int, int], tuple[Entry, Made]]  # by ids, which are theirs while kept


@dataclass(frozen=True, slots=True)
class Table:
    """A RouteConfiguration, and its virtual hosts by domain."""

    made: Made = Made()
    hosts: Mapping[str, HostMade] = field(default_factory=dict)


def table_of(name: str, shares: Iterable[Share], scene: Scene, before: Table | None) -> Table:
    """`before` was made in the same scene, and only saves work."""
    old = before.hosts if before else {}
    hosts: dict[str, HostMade] = {}
    parts = []
    shares = tuple(shares)
    for share in shares:
        if share.host is None:
            parts.append(Made(_answer(share)))
            continue
        hosts[share.domain] = _host(share.host, scene, old.get(share.domain))
        parts.append(hosts[share.domain].made)
    # A port behind the host does not count (Gateway API, HTTPRoute's hostnames).
    head = xds.pack(
        _TABLE,
        name=name,
        ignore_port_in_host_matching=True,
        typed_per_filter_config=limits.buckets_of(
            rule for share in shares if share.host for _, rule in share.host.entries
        ),
    )
    body = head + joined(_HOSTS_OF_TABLE, (part.body for part in parts))
    return Table(gathered(body, parts), hosts)


def gathered(body: bytes, parts: Iterable[Made]) -> Made:
    targets: dict[Target, None] = {}
    origins: dict[ObjectRef, None] = {}
    for part in parts:
        targets |= dict.fromkeys(part.targets)
        origins |= dict.fromkeys(part.origins)
    return Made(body, tuple(targets), tuple(origins))


def _host(host: VirtualHost, scene: Scene, before: HostMade | None) -> HostMade:
    if before is not None and before.host is host:
        return before
    old = before.entries if before else {}
    entries: dict[tuple[int, int], tuple[Entry, Made]] = {}
    parts = []
    for entry in host.entries:
        key = id(entry[0]), id(entry[1])
        entries[key] = old.get(key) or (entry, _entry(entry, host.hostname, scene))
        parts.append(entries[key][1])
    name = host.hostname
    head = xds.pack(_HOST, name=name, domains=[name], retry_policy=UNASKED)
    body = head + b"".join(part.body for part in parts)
    return HostMade(host, gathered(body, parts), entries)


def _entry(entry: Entry, hostname: str, scene: Scene) -> Made:
    """Its routes as a part of their virtual host."""
    match, rule = entry
    parts = tuple(drawn(rule))
    bodies = [
        xds.pack(
            _ROUTE,
            name=rule.id,
            match={**match_of(match), **chance},
            **action_of(part, match, hostname, scene),
            **edits(part.filters, latency.hidden(part.destinations)),
            **limits.scope_of(part),
            **buffer_of(part),
            typed_per_filter_config=filter_configs(part, scene),
        )
        for part, chance in parts
    ]
    asked = {target: None for part, _ in parts for target in targets_of_rule(part, scene)}
    targets = (*asked, *guards.targets_of_guards(rule, scene))
    return Made(joined(_ROUTES_OF_HOST, bodies), targets, _origins(rule))


def _origins(rule: Rule) -> tuple[ObjectRef, ...]:
    policies = rule.policies
    parts = policies.rate_limit, policies.tokens, policies.authorization, policies.fault
    return (rule.origin, *dict.fromkeys(part.origin for part in parts if part is not None))


def _answer(share: Share) -> bytes:
    """Nothing is found in a virtual host without routes."""
    routes = []
    if share.answer == "misdirected":
        routes = [
            {
                "name": "misdirected",
                "match": {"prefix": "/"},
                "direct_response": {"status": _MISDIRECTED},
            }
        ]
    return xds.pack(_HOST, name=share.domain, domains=[share.domain], routes=routes)
