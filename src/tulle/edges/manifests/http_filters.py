"""Rules of the filters of HTTPRoutes and GRPCRoutes: those of the CRDs' CEL, and of their words.

A filter may stand there twice only where the API says so, which CEL does not hold of ExternalAuth.
"""

from __future__ import annotations

from collections.abc import Sequence

from tulle.model.http_filters import (
    CorsFilter,
    ExternalAuthFilter,
    GRPCRouteFilter,
    HeaderFilter,
    HTTPRouteFilter,
    MirrorFilter,
    PathModifier,
)
from tulle.model.references import BackendObjectReference

from .fields import FieldError
from .gateway import check_unique
from .syntax import check_visible

Filter = HTTPRouteFilter | GRPCRouteFilter

_PARTS = {
    "RequestHeaderModifier": "request_header_modifier",
    "ResponseHeaderModifier": "response_header_modifier",
    "RequestMirror": "request_mirror",
    "RequestRedirect": "request_redirect",
    "URLRewrite": "url_rewrite",
    "ExtensionRef": "extension_ref",
    "CORS": "cors",
    "ExternalAuth": "external_auth",
}
_REPEATABLE = ("RequestMirror", "ExtensionRef")


def check_filters(filters: Sequence[Filter], *path: str | int) -> None:
    seen: dict[str, int] = {}
    for index, item in enumerate(filters):
        place = (*path, index)
        first = seen.setdefault(item.type, index)
        if first != index and item.type not in _REPEATABLE:
            raise FieldError(f"{item.type} is filters[{first}] already", *place, "type")
        if {"RequestRedirect", "URLRewrite"} <= seen.keys():
            raise FieldError("RequestRedirect and URLRewrite exclude each other", *place, "type")
        _check_filter(item, *place)


def check_backend(ref: BackendObjectReference, *path: str | int) -> None:
    if ref.group == "" and ref.kind == "Service" and ref.port is None:
        raise FieldError("is required for a Service", *path, "port")


def replaces_prefix(filters: Sequence[Filter]) -> bool:
    """Whether one needs to know how much of the path a match covered."""
    for item in filters:
        if isinstance(item, HTTPRouteFilter):
            for part in (item.request_redirect, item.url_rewrite):
                if part is not None and part.path and part.path.type == "ReplacePrefixMatch":
                    return True
    return False


def _check_filter(item: Filter, *path: str | int) -> None:
    for kind, attribute in _PARTS.items():
        part, field = getattr(item, attribute, None), _field(kind)
        if kind == item.type and part is None:
            raise FieldError(f"is required for type {kind}", *path, field)
        if kind != item.type and part is not None:
            raise FieldError(f"needs type {kind}", *path, field)
    for name in ("request_header_modifier", "response_header_modifier"):
        if (headers := getattr(item, name)) is not None:
            _check_headers(headers, *path, _field(item.type))
    if item.request_mirror is not None:
        _check_mirror(item.request_mirror, *path, "requestMirror")
    if isinstance(item, HTTPRouteFilter):
        _check_http_filter(item, *path)


def _field(kind: str) -> str:
    return {"URLRewrite": "urlRewrite", "CORS": "cors"}.get(kind, kind[0].lower() + kind[1:])


def _check_http_filter(item: HTTPRouteFilter, *path: str | int) -> None:
    if (redirect := item.request_redirect) is not None and redirect.path is not None:
        _check_path(redirect.path, *path, "requestRedirect", "path")
    if (rewrite := item.url_rewrite) is not None and rewrite.path is not None:
        _check_path(rewrite.path, *path, "urlRewrite", "path")
    if item.cors is not None:
        _check_cors(item.cors, *path, "cors")
    if item.external_auth is not None:
        check_external_auth(item.external_auth, *path, "externalAuth")


def _check_headers(headers: HeaderFilter, *path: str | int) -> None:
    for name, given in (("set", headers.set), ("add", headers.add)):
        names = [item.name for item in given]
        check_unique(names, *path, name, field="name")
    for index, text in enumerate(headers.remove):
        if text in headers.remove[:index]:
            raise FieldError("stands there twice", *path, "remove", index)


def _check_mirror(mirror: MirrorFilter, *path: str | int) -> None:
    check_backend(mirror.backend_ref, *path, "backendRef")
    if mirror.percent is not None and mirror.fraction is not None:
        raise FieldError("percent and fraction exclude each other", *path, "fraction")
    if (part := mirror.fraction) is not None and part.numerator > part.denominator:
        raise FieldError("is above the denominator", *path, "fraction", "numerator")


def _check_path(change: PathModifier, *path: str | int) -> None:
    for kind, field, given in (
        ("ReplaceFullPath", "replaceFullPath", change.replace_full_path),
        ("ReplacePrefixMatch", "replacePrefixMatch", change.replace_prefix_match),
    ):
        if (given is not None) != (change.type == kind):
            reason = f"needs type {kind}" if given is not None else f"is required for type {kind}"
            raise FieldError(reason, *path, field)
        check_visible(given or "", *path, field)


def _check_cors(cors: CorsFilter, *path: str | int) -> None:
    lists: dict[str, Sequence[str]] = {
        "allowOrigins": cors.allow_origins,
        "allowMethods": cors.allow_methods,
        "allowHeaders": cors.allow_headers,
        "exposeHeaders": cors.expose_headers,
    }
    for name, given in lists.items():
        if name != "exposeHeaders" and "*" in given and len(given) > 1:
            raise FieldError("* must stand alone", *path, name)
        if len(set(given)) != len(given):
            raise FieldError("must not name one twice", *path, name)


def check_external_auth(auth: ExternalAuthFilter, *path: str | int) -> None:
    check_backend(auth.backend_ref, *path, "backendRef")
    for protocol, field, given in (("GRPC", "grpc", auth.grpc), ("HTTP", "http", auth.http)):
        if (given is not None) != (auth.protocol == protocol):
            reason = "needs" if given is not None else "is required for"
            raise FieldError(f"{reason} protocol {protocol}", *path, field)
