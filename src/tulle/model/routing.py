"""What routes come to: the form between Gateway API, Ingress and the proxy's configuration.

`compile/routes` makes it from the user's objects and `compile/proxy` makes xDS of it; neither knows
the other's words. Everything is decided here already: which hostnames and matches stand in which
order of precedence, what is attached where, which references hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from .kubernetes import ObjectRef
from .routing_policies import BackendTraffic, Fault, RateLimit, TokenCheck
from .world import IPAddress, Key, Refusal

Json = dict[str, Any]
# Where connections go to the node's proxy: of that service this address, port and protocol.
Proxied = tuple[Key, IPAddress, int, str]


class TextMatch(Enum):
    """How a path, a header or a query parameter is compared (Gateway API's types, and Ingress')."""

    EXACT = "Exact"
    PREFIX = "PathPrefix"  # of path elements: /a matches /a and /a/b, not /ab
    REGEX = "RegularExpression"  # RE2, the whole text
    PRESENT = "Present"  # headers and parameters only: any value


@dataclass(frozen=True, slots=True)
class ValueMatch:
    """Of a header (case-insensitive name) or a query parameter."""

    name: str
    value: str = ""
    kind: TextMatch = TextMatch.EXACT


@dataclass(frozen=True, slots=True)
class RequestMatch:
    """All parts must hold. A GRPCRoute's service and method are a path."""

    path: str = "/"
    path_kind: TextMatch = TextMatch.PREFIX
    method: str = ""  # any
    headers: tuple[ValueMatch, ...] = ()
    query: tuple[ValueMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class HeaderEdit:
    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PathChange:
    """`prefix`: replaces the part that the match's prefix covered, else the whole path."""

    value: str
    prefix: bool


@dataclass(frozen=True, slots=True)
class Redirect:
    """Absent parts stay as the request has them; `port` 0 follows from the scheme (GEP-726)."""

    scheme: str = ""
    hostname: str = ""
    path: PathChange | None = None
    port: int = 0
    status: int = 302


@dataclass(frozen=True, slots=True)
class Rewrite:
    hostname: str = ""
    path: PathChange | None = None


@dataclass(frozen=True, slots=True)
class Cors:
    allow_origins: tuple[str, ...] = ()  # with `*` as a part, or alone
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    allow_credentials: bool = False
    max_age_s: int = 5


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM texts. `name` is NAMESPACE/NAME of the Secret; never show the key."""

    name: str
    chain: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """How the proxy speaks TLS to a backend (BackendTLSPolicy)."""

    sni: str
    authorities: str  # PEM of the CA certificates; "" with `system_authorities`
    system_authorities: bool = False
    names: tuple[str, ...] = ()  # DNS names of which the certificate must bear one
    uris: tuple[str, ...] = ()
    client: Certificate | None = None


class AppProtocol(Enum):
    """What a backend speaks: a Service port's appProtocol (GEP-1911)."""

    HTTP1 = "http"
    HTTP2 = "kubernetes.io/h2c"
    WEBSOCKET = "kubernetes.io/ws"
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class Destination:
    """A weighted backendRef. `broken` says why it cannot be reached: its share is answered 500."""

    service: Key
    port: int  # the Service's own
    weight: int = 1
    filters: Filters | None = None
    protocol: AppProtocol = AppProtocol.HTTP1
    tls: UpstreamTls | None = None
    traffic: BackendTraffic | None = None
    broken: str = ""


@dataclass(frozen=True, slots=True)
class ExternalAuthorization:
    """Whom the proxy asks before a request goes on; no answer is a denial (GEP-1494).

    `headers` go to the service, beside those that always do: of gRPC, empty, all of them.
    `response_headers` of an HTTP service go on to the backend, empty: all of them.
    """

    origin: ObjectRef
    destination: Destination
    protocol: Literal["HTTP", "GRPC"]
    path_prefix: str = ""
    headers: tuple[str, ...] = ()
    response_headers: tuple[str, ...] = ()
    body_bytes: int = 0  # of the body that the service is shown
    timeout_ms: int = 1000


@dataclass(frozen=True, slots=True)
class RequestPolicies:
    """What is done to a rule's requests before they are routed, in this order."""

    rate_limit: RateLimit | None = None
    tokens: TokenCheck | None = None
    authorization: ExternalAuthorization | None = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    destination: Destination
    numerator: int = 100
    denominator: int = 100


@dataclass(frozen=True, slots=True)
class Filters:
    request: HeaderEdit = HeaderEdit()
    response: HeaderEdit = HeaderEdit()
    redirect: Redirect | None = None
    rewrite: Rewrite | None = None
    mirrors: tuple[Mirror, ...] = ()
    cors: Cors | None = None
    authorization: ExternalAuthorization | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """GEP-1731. `codes` empty: connection errors and resets only."""

    attempts: int = 1
    codes: tuple[int, ...] = ()
    backoff_ms: int = 0  # the proxy's default


@dataclass(frozen=True, slots=True)
class SessionPersistence:
    """GEP-1619. `lifetime_s` 0: as long as the client's session."""

    kind: Literal["Cookie", "Header"] = "Cookie"
    name: str = ""
    lifetime_s: int = 0
    idle_s: int = 0
    path: str = "/"  # of a cookie


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a route, whatever matches led to it. No destinations and no redirect: 500.

    Times are in milliseconds; None is the proxy's default, 0 no limit.
    """

    origin: ObjectRef  # the route
    index: int
    name: str = ""
    filters: Filters = Filters()
    destinations: tuple[Destination, ...] = ()
    timeout_ms: int | None = None
    backend_timeout_ms: int | None = None
    retry: Retry | None = None
    session: SessionPersistence | None = None
    policies: RequestPolicies = RequestPolicies()

    @property
    def id(self) -> str:
        """Names it in flows, statistics and answers."""
        kind, of = self.origin.kind, f"{self.origin.namespace}/{self.origin.name}"
        return f"{kind}/{of}/{self.name or self.index}"


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """`hostname` is exact, `*.suffix` (one or more labels), or `*`.

    `entries` are in order of precedence: the first match is taken.
    """

    hostname: str
    entries: tuple[tuple[RequestMatch, Rule], ...] = ()


@dataclass(frozen=True, slots=True)
class ClientValidation:
    """Clients of a listener must show a certificate of these authorities (GEP-91)."""

    authorities: str  # PEM
    optional: bool = False  # AllowInsecureFallback


@dataclass(frozen=True, slots=True)
class Termination:
    certificates: tuple[Certificate, ...]
    client: ClientValidation | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """Connections that are passed on whole. `hostnames` are SNIs, empty: any."""

    destinations: tuple[Destination, ...]
    origin: ObjectRef | None = None
    index: int = 0
    hostnames: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """One Gateway listener (or what stands for one): what it does with its share of a port.

    `hostname` "" takes what no other server of the front takes. With `termination` TLS ends here.
    HTTP has `hosts`; TLS, TCP and UDP have `streams`, the most specific hostnames first. A server
    with neither answers 404, or closes. Of the servers of one port only the one with the most
    specific hostname answers a request (GEP-3567). One with `clients` is for connections from these
    addresses, and comes before those that are for everybody.
    """

    name: str
    hostname: str = ""
    protocol: Literal["HTTP", "HTTPS", "TLS", "TCP", "UDP"] = "HTTP"
    termination: Termination | None = None
    hosts: tuple[VirtualHost, ...] = ()
    streams: tuple[Stream, ...] = ()
    clients: tuple[IPAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class Front:
    """Addresses and a port where the node's proxy takes connections.

    `mesh`: of a Service, for workloads; backends see the client's own address. Else it is for the
    outside, and they see the proxy's.
    """

    name: str  # "gateway/NAMESPACE/NAME/PORT", "service/NAMESPACE/NAME/PORT", "ingress/CLASS/PORT"
    origin: ObjectRef
    service: Key  # whose frontends it stands behind; a Gateway has a Service of its own
    addresses: tuple[IPAddress, ...]
    port: int
    protocol: Literal["TCP", "UDP"] = "TCP"
    mesh: bool = False
    servers: tuple[Server, ...] = ()


@dataclass(frozen=True, slots=True)
class Routing:
    """`status` of every Gateway API object, as its specification says (camelCase, as in YAML)."""

    fronts: Mapping[str, Front] = field(default_factory=dict)
    status: Mapping[ObjectRef, Json] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()  # of objects whose status has no place for it
    memo: object = field(default=None, compare=False, repr=False)  # saves the next one work


def proxied_of(fronts: Iterable[Front]) -> frozenset[Proxied]:
    """Where connections go to the proxy."""
    return frozenset(
        (item.service, address, item.port, item.protocol)
        for item in fronts
        for address in item.addresses
    )
