"""Answers that send the client elsewhere (Gateway API, HTTPRequestRedirectFilter; GEP-726)."""

from __future__ import annotations

from tulle.model.routing import Redirect, RequestMatch

from .fields import Fields
from .paths import path_fields
from .targets import Scene

_WELL_KNOWN = {"http": 80, "https": 443}
_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


def redirect_of(redirect: Redirect, match: RequestMatch, hostname: str, scene: Scene) -> Fields:
    """A RedirectAction. `hostname` is the virtual host's.

    Where no port is to be shown the host must be named, as Envoy would keep the one that the
    client has put behind it; of a virtual host of many names that is not known.
    """
    port = _port(redirect, scene)
    host = redirect.hostname or ("" if "*" in hostname else hostname)
    return {
        "scheme_redirect": redirect.scheme,
        "host_redirect": host,
        "port_redirect": port,
        "response_code": _CODES[redirect.status],
        **path_fields(redirect.path, match),
    }


def _port(redirect: Redirect, scene: Scene) -> int:
    """0 where the scheme says it."""
    scheme = redirect.scheme or ("https" if scene.tls else "http")
    port = redirect.port
    if not port and redirect.scheme:
        port = _WELL_KNOWN.get(redirect.scheme, scene.port)
    port = port or scene.port
    return 0 if port == _WELL_KNOWN.get(scheme) else port
