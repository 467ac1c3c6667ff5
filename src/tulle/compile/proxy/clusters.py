"""Targets → clusters: how the proxy connects to backends."""

from __future__ import annotations

from collections.abc import Sequence

from tulle import xds
from tulle.model.routing import AppProtocol
from tulle.model.world import IPAddress

from .balancing import use_of
from .fields import ADS, Fields, milliseconds, of_family, value
from .latency import upstream_filters
from .sockets import KEEPALIVE, as_client_or_proxy, as_proxy
from .targets import Target
from .tls import client_socket

BUFFER_BYTES = 64 * 1024  # of a connection, either way: what is read ahead of a slow reader
_CONNECT_MS = 3000  # one SYN lost and one sent again
_IDLE_MS = 30_000  # shorter than most servers' own: who closes first is not surprised

_MAGLEV_SLOTS = (
    8191  # a prime, and enough for some hundred backends: Envoy's own is 8 times as large
)

_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTP = {AppProtocol.HTTP1: "http_protocol_options", AppProtocol.HTTP2: "http2_protocol_options"}


def cluster_of(target: Target, sources: Sequence[IPAddress], sticky: bool = False) -> bytes:
    """`sources` are the proxy's own addresses. `sticky`: each client has its own backend."""
    return xds.pack(
        "envoy.config.cluster.v3.Cluster",
        name=target.name,
        type="EDS",
        eds_cluster_config={"eds_config": ADS, "service_name": target.endpoints},
        connect_timeout=milliseconds(_CONNECT_MS),
        per_connection_buffer_limit_bytes=value(BUFFER_BYTES),
        **_balancing(target, sticky),
        upstream_bind_config=_source(target, sources),
        upstream_connection_options=KEEPALIVE,
        **_protocol(target),
        **_tls(target),
        **use_of(target.traffic, web=target.protocol in _HTTP, in_parts=len(target.parts) > 1),
    )


def _balancing(target: Target, sticky: bool) -> Fields:
    parts: Fields = {"locality_weighted_lb_config": {}} if len(target.parts) > 1 else {}
    common = {"healthy_panic_threshold": {"value": 0}, **parts}
    if sticky:
        table = {"table_size": {"value": _MAGLEV_SLOTS}}
        return {"lb_policy": "MAGLEV", "maglev_lb_config": table, "common_lb_config": common}
    kind = "RANDOM" if target.protocol is AppProtocol.UDP else "LEAST_REQUEST"
    return {"lb_policy": kind, "common_lb_config": common}


def _source(target: Target, sources: Sequence[IPAddress]) -> Fields:
    if not target.family:
        return as_proxy(sources)
    return as_client_or_proxy(of_family(sources, target.family))


def _protocol(target: Target) -> Fields:
    if target.protocol not in _HTTP:
        return {}
    options = xds.any_of(
        _OPTIONS,
        common_http_protocol_options={"idle_timeout": milliseconds(_IDLE_MS)},
        explicit_http_config={_HTTP[target.protocol]: {}},
        http_filters=upstream_filters(target.traffic),
    )
    return {"typed_extension_protocol_options": {_OPTIONS: options}}


def _tls(target: Target) -> Fields:
    if target.tls is None:
        return {}
    protocols = {AppProtocol.HTTP1: ("http/1.1",), AppProtocol.HTTP2: ("h2",)}
    alpn = protocols.get(target.protocol, ())
    return {"transport_socket": client_socket(target.tls, alpn)}
