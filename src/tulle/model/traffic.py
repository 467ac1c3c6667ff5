"""Policies of tulle.io for what the Gateway API has no word for, attached as GEP-713 says.

Each is small and about one thing, so that two of them on one target contradict each other only
where both say the same sort of thing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from .gateway import PolicyTarget
from .gateway_routes import SessionPersistenceSpec
from .http_filters import PATH, ExternalAuthFilter
from .kubernetes import Object, ObjectMeta
from .references import BackendObjectReference, Duration, Group, HeaderName, Kind, Name

TULLE_GROUP = "tulle.io"

Version = Literal["tulle.io/v1alpha1"]
Percent = Annotated[int, Meta(ge=0, le=100)]
Share = Annotated[float, Meta(ge=0, le=100)]  # in percent, to four places
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Text = Annotated[str, Meta(min_length=1, max_length=1024)]


# A `sectionName` is a Service's port, a Gateway's listener or a route's rule, by name.
TargetReferences = Annotated[tuple[PolicyTarget, ...], Meta(min_length=1, max_length=16)]


class HashKey(Object, frozen=True):
    """What ties a request to a backend. `ttl`: a cookie is made where there is none."""

    type: Literal["Header", "Cookie", "SourceIP"]
    name: HeaderName = ""
    ttl: Duration = ""


class LoadBalancing(Object, frozen=True):
    """`choices`: how many backends are compared, 0 all of them (LeastRequest only; 2 if absent).

    `hash_on` is for RingHash and Maglev, in order: the first that a request has decides.
    """

    type: Literal["RoundRobin", "LeastRequest", "Latency", "Random", "RingHash", "Maglev"]
    choices: Annotated[int, Meta(ge=0, le=100)] | None = None
    hash_on: Annotated[tuple[HashKey, ...], Meta(max_length=8)] = ()
    slow_start: Duration = ""


class Outliers(Object, frozen=True):
    """When a backend gets no requests for a while (Envoy's outlier detection). 0 turns one off.

    An answer of 500 to 599 and a connection that fails are errors; gateway errors are those of 502,
    503 and 504.
    """

    consecutive_errors: Annotated[int, Meta(ge=0, le=1000)] = 5
    consecutive_gateway_errors: Annotated[int, Meta(ge=0, le=1000)] = 0
    interval: Duration = "10s"
    base_ejection_time: Duration = "30s"
    max_ejection_time: Duration = "5m"
    max_ejection_percent: Percent = 50


class CircuitLimits(Object, frozen=True):
    """At a time, of one node's proxy to one port of the Service. Absent: no limit."""

    connections: Count | None = None
    pending_requests: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    requests: Count | None = None
    retries: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None


class Budget(Object, frozen=True):
    percent: Percent = 20
    interval: Duration = "10s"


class RetryRate(Object, frozen=True):
    count: Annotated[int, Meta(ge=1, le=1_000_000)] = 10
    interval: Duration = "1s"


class RetryConstraint(Object, frozen=True):
    """GEP-3388."""

    budget: Budget = Budget()
    min_retry_rate: RetryRate = RetryRate()


class BackendTrafficSpec(Object, frozen=True):
    """The last two fields are those of XBackendTrafficPolicy and mean the same."""

    target_refs: TargetReferences
    load_balancing: LoadBalancing | None = None
    outlier_detection: Outliers | None = None
    circuit_limits: CircuitLimits | None = None
    retry_constraint: RetryConstraint | None = None
    session_persistence: SessionPersistenceSpec | None = None


class BackendTrafficPolicy(Object, frozen=True):
    """How Services' backends are used; direct (GEP-2648)."""

    metadata: ObjectMeta
    spec: BackendTrafficSpec
    api_version: Version = "tulle.io/v1alpha1"
    kind: Literal["BackendTrafficPolicy"] = "BackendTrafficPolicy"
    status: Any = None


class XTargetReference(Object, frozen=True):
    group: Group
    kind: Kind
    name: Name


class XBackendTrafficSpec(Object, frozen=True):
    target_refs: Annotated[tuple[XTargetReference, ...], Meta(min_length=1, max_length=16)]
    retry_constraint: RetryConstraint | None = None
    session_persistence: SessionPersistenceSpec | None = None


class XBackendTrafficPolicy(Object, frozen=True):
    """GEP-3388, as its experimental channel has it."""

    metadata: ObjectMeta
    spec: XBackendTrafficSpec
    api_version: Literal["gateway.networking.x-k8s.io/v1alpha1"] = (
        "gateway.networking.x-k8s.io/v1alpha1"
    )
    kind: Literal["XBackendTrafficPolicy"] = "XBackendTrafficPolicy"
    status: Any = None


class Limit(Object, frozen=True):
    """So many requests in each `interval`; up to `burst` at once (absent: as many as `requests`).

    `per` Client: each client's address has a count of its own.
    """

    requests: Annotated[int, Meta(ge=1, le=1_000_000)]
    interval: Duration = "1s"
    burst: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    per: Literal["Target", "Client"] = "Target"


class RateLimitSpec(Object, frozen=True):
    target_refs: TargetReferences
    limits: Annotated[tuple[Limit, ...], Meta(min_length=1, max_length=4)]
    override: bool = False


class RateLimitPolicy(Object, frozen=True):
    """How many requests a node's proxy lets through, the others get 429.

    Inherited (GEP-2649), as the other two below are: what is attached to a Gateway holds where
    nothing is attached to its listener, the route or the rule; with `override` there, too.
    """

    metadata: ObjectMeta
    spec: RateLimitSpec
    api_version: Version = "tulle.io/v1alpha1"
    kind: Literal["RateLimitPolicy"] = "RateLimitPolicy"
    status: Any = None


class Delay(Object, frozen=True):
    duration: Duration
    percent: Share = 100.0


class Abort(Object, frozen=True):
    """One of the two. `grpc_status` is a number of gRPC's: 14 is UNAVAILABLE."""

    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    grpc_status: Annotated[int, Meta(ge=1, le=16)] | None = None
    percent: Share = 100.0


class FaultHeader(Object, frozen=True):
    name: HeaderName
    value: Text


class FaultSpec(Object, frozen=True):
    """With `headers` only requests that bear all of them."""

    target_refs: TargetReferences
    delay: Delay | None = None
    abort: Abort | None = None
    headers: Annotated[tuple[FaultHeader, ...], Meta(max_length=8)] = ()
    override: bool = False


class FaultInjectionPolicy(Object, frozen=True):
    """Mistakes on purpose, to see how clients take them."""

    metadata: ObjectMeta
    spec: FaultSpec
    api_version: Version = "tulle.io/v1alpha1"
    kind: Literal["FaultInjectionPolicy"] = "FaultInjectionPolicy"
    status: Any = None


class RemoteJwks(Object, frozen=True):
    """Where keys are fetched, and how long they hold."""

    backend_ref: BackendObjectReference
    path: Annotated[str, Meta(max_length=1024, pattern=PATH)] = "/.well-known/jwks.json"
    cache_duration: Duration = "5m"


class Jwks(Object, frozen=True):
    """Public keys as JSON (RFC 7517). One of the two."""

    inline: Annotated[str, Meta(max_length=65536)] | None = None
    remote: RemoteJwks | None = None


class TokenHeader(Object, frozen=True):
    """`prefix` is what stands before the token, such as `Bearer `."""

    name: HeaderName
    prefix: Annotated[str, Meta(max_length=64)] = ""


class TokenPlaces(Object, frozen=True):
    headers: Annotated[tuple[TokenHeader, ...], Meta(max_length=8)] = ()
    params: Annotated[tuple[Text, ...], Meta(max_length=8)] = ()
    cookies: Annotated[tuple[HeaderName, ...], Meta(max_length=8)] = ()


class ClaimHeader(Object, frozen=True):
    """`claim` may be a path such as `realm.roles`."""

    claim: Text
    header: HeaderName


class JwtProvider(Object, frozen=True):
    """Without `places` the token is in `Authorization: Bearer`, or the parameter access_token.

    Without `forward` the token does not go on to the backend.
    """

    name: Name
    issuer: Text
    jwks: Jwks
    audiences: Annotated[tuple[Text, ...], Meta(max_length=16)] = ()  # any of them
    places: TokenPlaces | None = field(name="from", default=None)
    claims_to_headers: Annotated[tuple[ClaimHeader, ...], Meta(max_length=16)] = ()
    forward: bool = False


class Jwt(Object, frozen=True):
    """A token of any of the providers (RFC 7519). `optional`: a request may bear none."""

    providers: Annotated[tuple[JwtProvider, ...], Meta(min_length=1, max_length=8)]
    optional: bool = False


class AuthSpec(Object, frozen=True):
    """With both, the token is looked at first."""

    target_refs: TargetReferences
    jwt: Jwt | None = None
    external: ExternalAuthFilter | None = None
    timeout: Duration = "1s"  # of the external service
    override: bool = False


class AuthPolicy(Object, frozen=True):
    """Who may send requests: nobody may without what it asks for."""

    metadata: ObjectMeta
    spec: AuthSpec
    api_version: Version = "tulle.io/v1alpha1"
    kind: Literal["AuthPolicy"] = "AuthPolicy"
    status: Any = None


RoutePolicy = RateLimitPolicy | FaultInjectionPolicy | AuthPolicy
BackendPolicy = BackendTrafficPolicy | XBackendTrafficPolicy
TrafficPolicy = RoutePolicy | BackendPolicy
