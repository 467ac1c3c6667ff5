"""What policies of tulle.io come to, on a rule and on a destination of the proxy's routing.

Times are in milliseconds, shares in millionths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .kubernetes import ObjectRef

if TYPE_CHECKING:
    from .routing import Destination

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """`requests` in every `interval_ms`, at most `burst` at once."""

    requests: int
    interval_ms: int
    burst: int
    per_client: bool = False  # by the address at the other end of the connection


@dataclass(frozen=True, slots=True)
class RateLimit:
    """All buckets must have a token. Rules with the same `scope` share them."""

    origin: ObjectRef
    scope: str
    buckets: tuple[TokenBucket, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """`status` is HTTP's, `grpc_status` gRPC's; 0 is none. `headers` must all be there."""

    origin: ObjectRef
    delay_ms: int = 0
    delay_share: int = MILLION
    status: int = 0
    grpc_status: int = 0
    abort_share: int = MILLION
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteKeys:
    """Where the proxy fetches public keys, and how long they hold. Without any no token is good."""

    destination: Destination
    path: str
    cache_ms: int


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """Whose tokens are taken. Without places the token is where RFC 6750 says."""

    name: str
    issuer: str
    jwks: str | RemoteKeys  # JSON, public keys
    audiences: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()  # name, what stands before the token
    params: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()
    claims: tuple[tuple[str, str], ...] = ()  # claim → header
    forward: bool = False


@dataclass(frozen=True, slots=True)
class TokenCheck:
    """A token (RFC 7519) of any of the issuers; `optional`: or none."""

    origin: ObjectRef
    issuers: tuple[TokenIssuer, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class HashKey:
    """Of a request or, SourceIP, a connection. `ttl_ms`: a cookie is made where there is none."""

    kind: Literal["Header", "Cookie", "SourceIP"]
    name: str = ""
    ttl_ms: int = 0


@dataclass(frozen=True, slots=True)
class Balancing:
    """`choices` 0: all backends are compared. `slow_start_ms` 0: none."""

    kind: Literal["RoundRobin", "LeastRequest", "Latency", "Random", "RingHash", "Maglev"] = (
        "LeastRequest"
    )
    choices: int = 2
    hash_on: tuple[HashKey, ...] = ()
    slow_start_ms: int = 0


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """Counts of errors in a row; 0 is none."""

    errors: int
    gateway_errors: int
    interval_ms: int
    base_ejection_ms: int
    max_ejection_ms: int
    max_ejection_percent: int


@dataclass(frozen=True, slots=True)
class CircuitLimits:
    """None is no limit."""

    connections: int | None = None
    pending: int | None = None
    requests: int | None = None
    retries: int | None = None


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """Retries among the requests of `interval_ms`; `least` at a time are always allowed."""

    percent: int
    interval_ms: int
    least: int


@dataclass(frozen=True, slots=True)
class BackendTraffic:
    """How the backends of a destination are used."""

    origin: ObjectRef
    balancing: Balancing = Balancing()
    outliers: OutlierDetection | None = None
    limits: CircuitLimits = CircuitLimits()
    retries: RetryBudget | None = None
