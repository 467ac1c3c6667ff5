"""What ports are said to speak: the words of a Service port's appProtocol, and of names."""

from __future__ import annotations

from collections.abc import Mapping

from tulle.model.routing import AppProtocol

# Kubernetes' own names (KEP-3726), then IANA's.
WEB: Mapping[str, AppProtocol] = {
    "http": AppProtocol.HTTP1,
    "kubernetes.io/h2c": AppProtocol.HTTP2,
    "http2": AppProtocol.HTTP2,
    "grpc": AppProtocol.HTTP2,
    "kubernetes.io/ws": AppProtocol.WEBSOCKET,
}
ENCRYPTED: Mapping[str, AppProtocol] = {
    "https": AppProtocol.HTTP1,
    "kubernetes.io/wss": AppProtocol.WEBSOCKET,
}
# By what a port's name is, or has before its first hyphen, as Istio has it.
_NAMED = {"grpc": "HTTP/2", "http2": "HTTP/2", "h2c": "HTTP/2", "https": "TLS", "tls": "TLS"}


def unread(app_protocol: str, name: str) -> tuple[str, str]:
    """What a port speaks that is not HTTP/1.1 to read, and what says so; "" if nothing does.

    >>> unread("", "grpc-api"), unread("http", "grpc-api")
    (('HTTP/2', 'the name grpc-api'), ('', ''))
    """
    if spoken := app_protocol.lower():
        found = "TLS" if spoken in ENCRYPTED else ""
        found = "HTTP/2" if WEB.get(spoken) is AppProtocol.HTTP2 else found
        return found, f"appProtocol {app_protocol}" if found else ""
    found = _NAMED.get(name.partition("-")[0], "")
    return found, f"the name {name}" if found else ""
