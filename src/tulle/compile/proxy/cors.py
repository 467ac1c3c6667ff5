"""Cross-origin requests (Gateway API, HTTPCORSFilter)."""

from __future__ import annotations

from tulle import xds
from tulle.model.routing import Cors

from .fields import Fields, quoted, regex, value

FILTER = "envoy.filters.http.cors"
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}  # that browsers leave out of an Origin


def cors_policy(cors: Cors) -> Fields:
    """The CORS filter's configuration of a route.

    With credentials Envoy says what was asked for in place of a `*`, as it must; of exposed headers
    nobody asks, and a `*` there would be a header's name (Fetch, CORS-exposed header names).
    """
    exposed = [name for name in cors.expose_headers if name != "*" or not cors.allow_credentials]
    return xds.any_of(
        "envoy.extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=[_origin(text) for text in cors.allow_origins],
        allow_methods=", ".join(cors.allow_methods),
        allow_headers=", ".join(cors.allow_headers),
        expose_headers=", ".join(exposed),
        max_age=str(cors.max_age_s),
        allow_credentials=value(cors.allow_credentials),
    )


def _origin(text: str) -> Fields:
    """`*` in a host stands for any number of labels."""
    scheme, found, host = text.partition("://")
    port = _DEFAULT_PORTS.get(scheme, "")
    if found and port:
        text = text.removesuffix(port)
    if not found or "*" not in host:
        return {"exact": text}
    return {"safe_regex": regex("[^/]+".join(map(quoted, text.split("*"))))}
