"""The HTTP connection manager: how the proxy reads requests, and what it does to every one."""

from __future__ import annotations

from tulle import xds

from . import cors, guards, limits, sessions
from .fields import ADS, Fields, extension, milliseconds, value
from .logs import HTTP_LOG

_FILTERS = "envoy.extensions.filters.http"
_HEADERS_MS = 10_000  # for a header from outside to arrive: who is slower holds connections
_STREAM_WINDOW, _CONNECTION_WINDOW = 256 * 1024, 1024 * 1024

# Off unless a route has a configuration for it, so that a new use changes no chain: a changed chain
# would reset its connections.
_OPTIONAL = (
    (cors.FILTER, xds.any_of(f"{_FILTERS}.cors.v3.Cors")),
    (limits.FILTER, limits.idle()),
    (guards.FILTER, guards.idle()),
    (sessions.FILTER, xds.any_of(f"{_FILTERS}.stateful_session.v3.StatefulSession")),
)
_ROUTER = extension(
    "envoy.filters.http.router",
    xds.any_of(f"{_FILTERS}.router.v3.Router", suppress_envoy_headers=True),
)


def http_filter(table: str, mesh: bool) -> Fields:
    """A network filter that serves the routes of `table`.

    Requests are judged in the form in which the backend gets them: paths without `.` and `..`,
    and none with an escaped slash, which a backend may read as one (CVE-2021-29492). Repeated
    slashes stay: they are part of the path. HTTP/1.0 is served, as nginx speaks it to backends.
    What bears both Content-Length and Transfer-Encoding is refused, as Envoy does by itself.
    """
    return extension(
        "envoy.filters.network.http_connection_manager",
        xds.any_of(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix="mesh" if mesh else "gateway",
            rds={"config_source": ADS, "route_config_name": table},
            http_filters=[*_optional_filters(), _ROUTER],
            normalize_path=value(True),
            path_with_escaped_slashes_action="REJECT_REQUEST",
            http_protocol_options={"accept_http_10": True},
            http2_protocol_options={
                "initial_stream_window_size": value(_STREAM_WINDOW),
                "initial_connection_window_size": value(_CONNECTION_WINDOW),
            },
            server_header_transformation="PASS_THROUGH",
            upgrade_configs=[{"upgrade_type": "websocket"}],
            stream_idle_timeout=milliseconds(0),  # streams and WebSockets may be silent for long
            generate_request_id=value(True),
            preserve_external_request_id=True,
            internal_address_config=NOBODY,
            access_log=[HTTP_LOG],
            **(UNNOTICED if mesh else _EDGE),
        ),
    )


# Nobody is "internal", so nobody commands Envoy by x-envoy- headers. No range would be everybody.
NOBODY = {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": {"value": 32}}]}
# At the edge nothing is believed that clients say of themselves: their address is what the
# connection shows, and header names that a backend could take for others (CGI reads A_B and A-B as
# one) are refused.
_EDGE: Fields = {
    "use_remote_address": value(True),
    "request_headers_timeout": milliseconds(_HEADERS_MS),
    "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
}
# Within the mesh the proxy should not be noticed: what other proxies have written stays. Where the
# connection's address does not count, Envoy takes X-Forwarded-For's only one for the client's, and
# that may be "internal"; what is said to come from another proxy never is. Nobody is hurried there:
# a timer for each request costs a tenth of it, and who only holds a connection sends no request.
UNNOTICED: Fields = {"use_remote_address": value(False), "xff_num_trusted_hops": 1}


def _optional_filters() -> list[Fields]:
    return [{**extension(name, config), "disabled": True} for name, config in _OPTIONAL]
