"""Filters of HTTPRoutes and GRPCRoutes → what is done to a request and its answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tulle.model.gateway_routes import GRPCBackendRef, HTTPBackendRef
from tulle.model.http_filters import (
    CorsFilter,
    ExternalAuthFilter,
    GRPCRouteFilter,
    HeaderFilter,
    HTTPHeader,
    HTTPRouteFilter,
    MirrorFilter,
    PathModifier,
    RedirectFilter,
    RewriteFilter,
)
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import (
    Cors,
    Destination,
    ExternalAuthorization,
    Filters,
    HeaderEdit,
    Mirror,
    PathChange,
    Redirect,
    Rewrite,
)

from .backends import Backends


def filters_of(
    filters: Sequence[HTTPRouteFilter | GRPCRouteFilter], route: ObjectRef, backends: Backends
) -> Filters | None:
    """None: one of them cannot be had, so that no request may pass."""
    made = Filters()
    for item in filters:
        if item.extension_ref is not None:
            ref = item.extension_ref
            backends.refuse("InvalidKind", f"{ref.group}/{ref.kind} is no kind of filter")
            return None
        made = _with(made, item, route, backends)
    return made


def destinations_of(
    refs: Sequence[HTTPBackendRef | GRPCBackendRef], route: ObjectRef, backends: Backends
) -> tuple[Destination, ...]:
    """Those that get a share, each with the filters of its own."""
    found = []
    for ref in refs:
        destination = backends.destination(ref, ref.weight)
        if ref.filters:
            own = filters_of(ref.filters, route, backends)
            broken = destination.broken or ("" if own else "one of its filters cannot be had")
            destination = replace(destination, filters=own, broken=broken)
        if destination.weight:
            found.append(destination)
    return tuple(found)


def _with(
    made: Filters, item: HTTPRouteFilter | GRPCRouteFilter, route: ObjectRef, backends: Backends
) -> Filters:
    if item.request_header_modifier is not None:
        return replace(made, request=_edit(item.request_header_modifier))
    if item.response_header_modifier is not None:
        return replace(made, response=_edit(item.response_header_modifier))
    if item.request_mirror is not None:
        mirror = _mirror(item.request_mirror, backends)
        return replace(made, mirrors=(*made.mirrors, mirror)) if mirror else made
    if isinstance(item, GRPCRouteFilter):
        return made
    if item.request_redirect is not None:
        return replace(made, redirect=_redirect(item.request_redirect))
    if item.url_rewrite is not None:
        return replace(made, rewrite=_rewrite(item.url_rewrite))
    if item.cors is not None:
        return replace(made, cors=_cors(item.cors))
    if item.external_auth is not None:
        return replace(made, authorization=authorization_of(item.external_auth, route, backends))
    return made


def _edit(headers: HeaderFilter) -> HeaderEdit:
    return HeaderEdit(_pairs(headers.set), _pairs(headers.add), headers.remove)


def _pairs(headers: Iterable[HTTPHeader]) -> tuple[tuple[str, str], ...]:
    """Of equivalent names only the first counts."""
    found: dict[str, tuple[str, str]] = {}
    for item in headers:
        found.setdefault(item.name.lower(), (item.name, item.value))
    return tuple(found.values())


def _mirror(mirror: MirrorFilter, backends: Backends) -> Mirror | None:
    """None if it leads nowhere: the request itself goes on."""
    destination = backends.destination(mirror.backend_ref, own_name=True)
    if destination.broken:
        return None
    if mirror.fraction is not None:
        return Mirror(destination, mirror.fraction.numerator, mirror.fraction.denominator)
    return Mirror(destination, 100 if mirror.percent is None else mirror.percent)


def _redirect(redirect: RedirectFilter) -> Redirect:
    return Redirect(
        redirect.scheme,
        redirect.hostname,
        _change(redirect.path),
        redirect.port or 0,
        redirect.status_code,
    )


def _rewrite(rewrite: RewriteFilter) -> Rewrite:
    return Rewrite(rewrite.hostname, _change(rewrite.path))


def _change(path: PathModifier | None) -> PathChange | None:
    if path is None:
        return None
    if path.type == "ReplacePrefixMatch":
        return PathChange(path.replace_prefix_match or "", prefix=True)
    return PathChange(path.replace_full_path or "", prefix=False)


def _cors(cors: CorsFilter) -> Cors:
    return Cors(
        cors.allow_origins,
        cors.allow_methods,
        cors.allow_headers,
        cors.expose_headers,
        cors.allow_credentials,
        cors.max_age,
    )


def authorization_of(
    auth: ExternalAuthFilter, origin: ObjectRef, backends: Backends
) -> ExternalAuthorization:
    """One that cannot be reached stays: then nobody is let through."""
    http = auth.http
    headers = http.allowed_headers if http else auth.grpc.allowed_headers if auth.grpc else ()
    return ExternalAuthorization(
        origin=origin,
        destination=backends.destination(auth.backend_ref, own_name=True),
        protocol=auth.protocol,
        path_prefix=http.path if http else "",
        headers=headers,
        response_headers=http.allowed_response_headers if http else (),
        body_bytes=auth.forward_body.max_size if auth.forward_body else 0,
    )
