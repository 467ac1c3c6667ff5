"""Filters of HTTPRoutes and GRPCRoutes (gateway.networking.k8s.io), in the API's own words."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from .kubernetes import Object, Port
from .references import (
    BackendObjectReference,
    HeaderName,
    HeaderValue,
    LocalReference,
    PreciseHostname,
)

_ORIGIN = r"^(\*|https?://((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:[0-9]{1,5})?)\Z"
PATH = r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+\Z"
CorsMethod = Literal[
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"
]
Headers = Annotated[tuple[HeaderName, ...], Meta(max_length=64)]


class HTTPHeader(Object, frozen=True):
    name: HeaderName
    value: HeaderValue


class HeaderFilter(Object, frozen=True):
    """`remove` has no pattern in the CRD, but the proxy takes nothing else for a header's name."""

    set: Annotated[tuple[HTTPHeader, ...], Meta(max_length=16)] = ()
    add: Annotated[tuple[HTTPHeader, ...], Meta(max_length=16)] = ()
    remove: Annotated[tuple[HeaderName, ...], Meta(max_length=16)] = ()


class Fraction(Object, frozen=True):
    numerator: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    denominator: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 100


class MirrorFilter(Object, frozen=True):
    """Without `percent` and `fraction` every request."""

    backend_ref: BackendObjectReference
    percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    fraction: Fraction | None = None


class PathModifier(Object, frozen=True):
    """An empty text is not the same as none: it replaces by nothing."""

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    replace_full_path: Annotated[str, Meta(max_length=1024)] | None = None
    replace_prefix_match: Annotated[str, Meta(max_length=1024)] | None = None


class RedirectFilter(Object, frozen=True):
    scheme: Literal["http", "https", ""] = ""
    hostname: PreciseHostname = ""
    path: PathModifier | None = None
    port: Port | None = None
    status_code: Literal[301, 302, 303, 307, 308] = 302


class RewriteFilter(Object, frozen=True):
    hostname: PreciseHostname = ""
    path: PathModifier | None = None


class CorsFilter(Object, frozen=True):
    allow_origins: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=253, pattern=_ORIGIN)], ...],
        Meta(max_length=64),
    ] = ()
    allow_credentials: bool = False
    allow_methods: Annotated[tuple[CorsMethod, ...], Meta(max_length=9)] = ()
    allow_headers: Headers = ()
    expose_headers: Headers = ()
    max_age: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 5


class AuthOverGRPC(Object, frozen=True):
    allowed_headers: Annotated[tuple[str, ...], Meta(max_length=64)] = ()


class AuthOverHTTP(Object, frozen=True):
    path: Annotated[str, Meta(max_length=1024, pattern=PATH)] = ""
    allowed_headers: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    allowed_response_headers: Annotated[tuple[str, ...], Meta(max_length=64)] = ()


class ForwardBody(Object, frozen=True):
    max_size: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0


class ExternalAuthFilter(Object, frozen=True):
    """GEP-1494."""

    protocol: Literal["HTTP", "GRPC"]
    backend_ref: BackendObjectReference
    grpc: AuthOverGRPC | None = None
    http: AuthOverHTTP | None = None
    forward_body: ForwardBody | None = None


class HTTPRouteFilter(Object, frozen=True):
    """The one part that `type` names."""

    type: Literal[
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestMirror",
        "RequestRedirect",
        "URLRewrite",
        "ExtensionRef",
        "CORS",
        "ExternalAuth",
    ]
    request_header_modifier: HeaderFilter | None = None
    response_header_modifier: HeaderFilter | None = None
    request_mirror: MirrorFilter | None = None
    request_redirect: RedirectFilter | None = None
    url_rewrite: RewriteFilter | None = None
    cors: CorsFilter | None = None
    external_auth: ExternalAuthFilter | None = None
    extension_ref: LocalReference | None = None


class GRPCRouteFilter(Object, frozen=True):
    """The one part that `type` names."""

    type: Literal[
        "RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "ExtensionRef"
    ]
    request_header_modifier: HeaderFilter | None = None
    response_header_modifier: HeaderFilter | None = None
    request_mirror: MirrorFilter | None = None
    extension_ref: LocalReference | None = None
