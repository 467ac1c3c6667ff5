"""Which rule of a front a request would meet: the reference model of the node's proxy.

It reads `Routing` as `model.routing` words it, and knows nothing of xDS, so that tests can hold the
proxy's configuration against it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from tulle.model.kubernetes import Protocol
from tulle.model.routing import (
    Front,
    PathChange,
    Redirect,
    RequestMatch,
    Routing,
    Rule,
    Server,
    Stream,
    TextMatch,
    ValueMatch,
    VirtualHost,
)
from tulle.model.world import IPAddress, Key

from ..regex import fullmatch

DEFAULT_PORTS = {"http": 80, "https": 443}
_TLS = ("HTTPS", "TLS")


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is with its query; `host` without a port; names of headers in any case.

    `tls`: nobody said what it asks for, and where names of TLS servers count `host` is one.
    `question` is a name that DNS is asked for, and all that is said.
    """

    method: str = "GET"
    path: str = "/"
    host: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    tls: bool = False
    question: str = ""

    def header(self, name: str) -> str | None:
        """Several of one name are one value, with commas (RFC 9110, 5.2)."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        if not found and name.lower() == "host":
            return self.host or None
        return ",".join(found) if found else None


@dataclass(frozen=True, slots=True)
class Met:
    """How far a request comes: what is None was not found, and all that follows neither."""

    front: Front
    server: Server | None = None
    host: VirtualHost | None = None
    match: RequestMatch | None = None
    rule: Rule | None = None
    stream: Stream | None = None


def front_at(routing: Routing, address: IPAddress, port: int, protocol: str) -> Front | None:
    """Of several the one that is for the outside: addresses are never shared with a mesh's."""
    found = (
        front
        for front in routing.fronts.values()
        if front.port == port and front.protocol == protocol and address in front.addresses
    )
    return next(found, None)


def front_of(routing: Routing, service: Key, port: int, protocol: Protocol | str) -> Front | None:
    found = (
        front
        for front in routing.fronts.values()
        if (front.service, front.port, front.protocol) == (service, port, protocol)
    )
    return next(found, None)


def as_met_by(front: Front, client: Collection[IPAddress]) -> Front:
    """With the servers that are for whoever has these addresses."""
    own = tuple(item for item in front.servers if not set(item.clients).isdisjoint(client))
    others = tuple(item for item in front.servers if not item.clients)
    return replace(front, servers=own or others)


def meet(front: Front, request: Request) -> Met:
    """What the front makes of a request; with TLS its name there is taken to be the host."""
    server = _most_specific(front.servers, request.host)
    if server is None:
        return Met(front)
    if server.streams:
        streams = (item for item in server.streams if _serves(item, request.host))
        return Met(front, server, stream=next(streams, None))
    named = {item.hostname: item for item in server.hosts}
    hostname = best_hostname(named, request.host)
    if hostname is None:
        return Met(front, server)
    host = named[hostname]
    for match, rule in host.entries:
        if matches(match, request):
            return Met(front, server, host, match, rule)
    return Met(front, server, host)


def _most_specific(servers: Sequence[Server], host: str) -> Server | None:
    named = {item.hostname: item for item in reversed(servers)}  # of equals the first
    hostname = best_hostname(named, host)
    return None if hostname is None else named[hostname]


def _serves(stream: Stream, host: str) -> bool:
    return not stream.hostnames or best_hostname(stream.hostnames, host) is not None


def best_hostname(hostnames: Iterable[str], host: str) -> str | None:
    """The most specific that covers a host: exact, then the longest `*.suffix`, then any."""
    covering = [item for item in hostnames if covers(item, host)]
    return max(covering, key=lambda item: ("*" not in item and bool(item), len(item)), default=None)


def covers(hostname: str, host: str) -> bool:
    """
    >>> covers("*.shop.test", "a.b.shop.test"), covers("*.shop.test", "shop.test")
    (True, False)
    """
    if hostname in ("", "*"):
        return True
    if hostname.startswith("*."):
        return host.lower().endswith(hostname[1:].lower()) and len(host) > len(hostname) - 1
    return hostname.lower() == host.lower()


# --- matches ---


def matches(match: RequestMatch, request: Request) -> bool:
    path, _, query = request.path.partition("?")
    parameters = dict(reversed(parse_qsl(query, keep_blank_values=True)))  # the first of a name
    return (
        _path_matches(match, path)
        and match.method in ("", request.method)
        and all(_value_matches(item, request.header(item.name)) for item in match.headers)
        and all(_value_matches(item, parameters.get(item.name)) for item in match.query)
    )


def _path_matches(match: RequestMatch, path: str) -> bool:
    match match.path_kind:
        case TextMatch.EXACT:
            return path == match.path
        case TextMatch.PREFIX:
            prefix = match.path.rstrip("/")
            return path == prefix or path.startswith(f"{prefix}/")
        case TextMatch.REGEX:
            return fullmatch(match.path, path)
        case TextMatch.PRESENT:
            return True


def _value_matches(match: ValueMatch, value: str | None) -> bool:
    if value is None:
        return False
    match match.kind:
        case TextMatch.EXACT:
            return value == match.value
        case TextMatch.PREFIX:
            return value.startswith(match.value)
        case TextMatch.REGEX:
            return fullmatch(match.value, value)
        case TextMatch.PRESENT:
            return True


# --- what becomes of it ---


def changed_path(change: PathChange | None, match: RequestMatch, path: str) -> str:
    """The path after a rewrite or a redirect; its query stays.

    >>> changed_path(PathChange("/", True), RequestMatch("/api"), "/api/v1?x=1")
    '/v1?x=1'
    """
    if change is None:
        return path
    bare, mark, query = path.partition("?")
    if not change.prefix:
        return f"{change.value}{mark}{query}"
    rest = bare[len(match.path.rstrip("/")) :].lstrip("/")
    base = change.value.rstrip("/")
    joined = f"{base}/{rest}" if rest or not base else base
    return f"{joined}{mark}{query}"


def location(redirect: Redirect, met: Met, request: Request) -> str:
    """Where a redirect leads (HTTPRequestRedirectFilter; GEP-726 on ports)."""
    tls = met.server is not None and met.server.protocol in _TLS
    scheme = redirect.scheme or ("https" if tls else "http")
    follows = DEFAULT_PORTS[scheme] if redirect.scheme else met.front.port
    port = redirect.port or follows
    shown = "" if port == DEFAULT_PORTS.get(scheme) else f":{port}"
    path = changed_path(redirect.path, met.match or RequestMatch(), request.path)
    return f"{scheme}://{redirect.hostname or request.host}{shown}{path}"
