"""Asking a service whether a request may go on (GEP-1494, Envoy's ext_authz)."""

from __future__ import annotations

from collections.abc import Iterable

from tulle import xds
from tulle.model.routing import ExternalAuthorization

from .fields import Fields, milliseconds, regex
from .targets import NOWHERE, Scene, Target, target_in_own_name

_UNAVAILABLE = 503  # no answer is no permission, and not the client's fault
# What frames a message or belongs to one connection is not for another service to set.
_NOT_FOR_BACKENDS = "host|te|connection|transfer-encoding|upgrade|content-.*|date|server|x-envoy-.*"


def target_of_authorization(authorization: ExternalAuthorization, scene: Scene) -> Target | None:
    grpc = authorization.protocol == "GRPC"
    return target_in_own_name(authorization.destination, scene, grpc)


def authorization_filter(authorization: ExternalAuthorization, scene: Scene) -> Fields:
    target = target_of_authorization(authorization, scene)
    body: Fields = {}
    if authorization.body_bytes:
        body["with_request_body"] = {"max_request_bytes": authorization.body_bytes}
    if authorization.headers:
        body["allowed_headers"] = _any_of(authorization.headers)
    return xds.any_of(
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        transport_api_version="V3",
        failure_mode_allow=False,
        status_on_error={"code": _UNAVAILABLE},
        decoder_header_mutation_rules={"disallow_expression": regex(_NOT_FOR_BACKENDS)},
        **_service(authorization, target),
        **body,
    )


def _service(authorization: ExternalAuthorization, target: Target | None) -> Fields:
    timeout = milliseconds(authorization.timeout_ms)
    if target is not None and authorization.protocol == "GRPC":
        return {"grpc_service": {"envoy_grpc": {"cluster_name": target.name}, "timeout": timeout}}
    namespace, name = authorization.destination.service
    returned = authorization.response_headers
    backend = _any_of(returned) if returned else {"patterns": [{"safe_regex": regex(".*")}]}
    service = {
        "server_uri": {
            "uri": f"http://{name}.{namespace}",
            "cluster": target.name if target else NOWHERE,
            "timeout": timeout,
        },
        "path_prefix": authorization.path_prefix,
        "authorization_response": {"allowed_upstream_headers": backend},
    }
    return {"http_service": service}


def _any_of(names: Iterable[str]) -> Fields:
    """A ListStringMatcher of headers' names."""
    return {"patterns": [{"exact": name, "ignore_case": True} for name in names]}
