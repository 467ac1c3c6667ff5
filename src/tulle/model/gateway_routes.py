"""Routes of every kind (gateway.networking.k8s.io), in the API's own words, with its defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from .http_filters import GRPCRouteFilter, HTTPRouteFilter
from .kubernetes import Object, ObjectMeta
from .references import (
    BackendRef,
    Duration,
    HeaderName,
    HeaderValue,
    Hostname,
    ParentReference,
    SectionName,
)

ParentRefs = Annotated[tuple[ParentReference, ...], Meta(max_length=32)]
Hostnames = Annotated[tuple[Hostname, ...], Meta(max_length=16)]
Scope = Literal["All", "None"]
Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", ""]


class HTTPPathMatch(Object, frozen=True):
    type: Literal["PathPrefix", "Exact", "RegularExpression"] = "PathPrefix"
    value: Annotated[str, Meta(max_length=1024)] = "/"


class HTTPHeaderMatch(Object, frozen=True):
    name: HeaderName
    value: HeaderValue
    type: Literal["Exact", "RegularExpression"] = "Exact"


class HTTPQueryParamMatch(Object, frozen=True):
    name: HeaderName
    value: Annotated[str, Meta(min_length=1, max_length=1024)]
    type: Literal["Exact", "RegularExpression"] = "Exact"


class HTTPRouteMatch(Object, frozen=True):
    """All parts must hold."""

    path: HTTPPathMatch = HTTPPathMatch()
    headers: Annotated[tuple[HTTPHeaderMatch, ...], Meta(max_length=16)] = ()
    query_params: Annotated[tuple[HTTPQueryParamMatch, ...], Meta(max_length=16)] = ()
    method: Method = ""


class HTTPBackendRef(BackendRef, frozen=True):
    filters: Annotated[tuple[HTTPRouteFilter, ...], Meta(max_length=16)] = ()


class HTTPTimeouts(Object, frozen=True):
    """GEP-1742."""

    request: Duration = ""
    backend_request: Duration = ""


class HTTPRetry(Object, frozen=True):
    """GEP-1731."""

    codes: tuple[Annotated[int, Meta(ge=400, le=599)], ...] = ()
    attempts: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    backoff: Duration = ""


class CookieConfig(Object, frozen=True):
    name: HeaderName = ""
    lifetime_type: Literal["Permanent", "Session"] = "Session"
    path: Annotated[str, Meta(max_length=1024)] = "/"


class HeaderConfig(Object, frozen=True):
    name: HeaderName


class SessionPersistenceSpec(Object, frozen=True):
    """GEP-1619."""

    type: Literal["Cookie", "Header"] = "Cookie"
    absolute_timeout: Duration = ""
    cookie: CookieConfig | None = None
    header: HeaderConfig | None = None


class HTTPRouteRule(Object, frozen=True):
    name: SectionName = ""
    matches: Annotated[tuple[HTTPRouteMatch, ...], Meta(max_length=64)] = (HTTPRouteMatch(),)
    filters: Annotated[tuple[HTTPRouteFilter, ...], Meta(max_length=16)] = ()
    backend_refs: Annotated[tuple[HTTPBackendRef, ...], Meta(max_length=16)] = ()
    timeouts: HTTPTimeouts = HTTPTimeouts()
    retry: HTTPRetry | None = None
    session_persistence: SessionPersistenceSpec | None = None


class HTTPRouteSpec(Object, frozen=True):
    parent_refs: ParentRefs = ()
    hostnames: Hostnames = ()
    rules: Annotated[tuple[HTTPRouteRule, ...], Meta(min_length=1, max_length=16)] = (
        HTTPRouteRule(),
    )
    use_default_gateways: Scope = "None"


class HTTPRoute(Object, frozen=True):
    metadata: ObjectMeta
    spec: HTTPRouteSpec
    api_version: Literal["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"] = (
        "gateway.networking.k8s.io/v1"
    )
    kind: Literal["HTTPRoute"] = "HTTPRoute"
    status: Any = None


class GRPCMethodMatch(Object, frozen=True):
    """An absent part matches any."""

    type: Literal["Exact", "RegularExpression"] = "Exact"
    service: Annotated[str, Meta(max_length=1024)] = ""
    method: Annotated[str, Meta(max_length=1024)] = ""


class GRPCHeaderMatch(Object, frozen=True):
    name: HeaderName
    value: Annotated[str, Meta(min_length=1, max_length=4096)]
    type: Literal["Exact", "RegularExpression"] = "Exact"


class GRPCRouteMatch(Object, frozen=True):
    method: GRPCMethodMatch | None = None
    headers: Annotated[tuple[GRPCHeaderMatch, ...], Meta(max_length=16)] = ()


class GRPCBackendRef(BackendRef, frozen=True):
    filters: Annotated[tuple[GRPCRouteFilter, ...], Meta(max_length=16)] = ()


class GRPCRouteRule(Object, frozen=True):
    """Without `matches` every request."""

    name: SectionName = ""
    matches: Annotated[tuple[GRPCRouteMatch, ...], Meta(max_length=64)] = ()
    filters: Annotated[tuple[GRPCRouteFilter, ...], Meta(max_length=16)] = ()
    backend_refs: Annotated[tuple[GRPCBackendRef, ...], Meta(max_length=16)] = ()
    session_persistence: SessionPersistenceSpec | None = None


class GRPCRouteSpec(Object, frozen=True):
    parent_refs: ParentRefs = ()
    hostnames: Hostnames = ()
    rules: Annotated[tuple[GRPCRouteRule, ...], Meta(max_length=16)] = ()
    use_default_gateways: Scope = "None"


class GRPCRoute(Object, frozen=True):
    metadata: ObjectMeta
    spec: GRPCRouteSpec
    api_version: Literal["gateway.networking.k8s.io/v1"] = "gateway.networking.k8s.io/v1"
    kind: Literal["GRPCRoute"] = "GRPCRoute"
    status: Any = None


class StreamRule(Object, frozen=True):
    """Of a TLSRoute, TCPRoute or UDPRoute."""

    backend_refs: Annotated[tuple[BackendRef, ...], Meta(min_length=1, max_length=16)]
    name: SectionName = ""


StreamRules = Annotated[tuple[StreamRule, ...], Meta(min_length=1, max_length=1)]
StreamVersion = Literal["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1alpha2"]


class TLSRouteSpec(Object, frozen=True):
    rules: StreamRules
    hostnames: Annotated[tuple[Hostname, ...], Meta(max_length=1024)] = ()
    parent_refs: ParentRefs = ()
    use_default_gateways: Scope = "None"


class TLSRoute(Object, frozen=True):
    metadata: ObjectMeta
    spec: TLSRouteSpec
    api_version: Literal[
        "gateway.networking.k8s.io/v1",
        "gateway.networking.k8s.io/v1alpha2",
        "gateway.networking.k8s.io/v1alpha3",
    ] = "gateway.networking.k8s.io/v1"
    kind: Literal["TLSRoute"] = "TLSRoute"
    status: Any = None


class StreamRouteSpec(Object, frozen=True):
    rules: StreamRules
    parent_refs: ParentRefs = ()
    use_default_gateways: Scope = "None"


class TCPRoute(Object, frozen=True):
    metadata: ObjectMeta
    spec: StreamRouteSpec
    api_version: StreamVersion = "gateway.networking.k8s.io/v1"
    kind: Literal["TCPRoute"] = "TCPRoute"
    status: Any = None


class UDPRoute(Object, frozen=True):
    metadata: ObjectMeta
    spec: StreamRouteSpec
    api_version: StreamVersion = "gateway.networking.k8s.io/v1"
    kind: Literal["UDPRoute"] = "UDPRoute"
    status: Any = None


Route = HTTPRoute | GRPCRoute | TLSRoute | TCPRoute | UDPRoute
