"""What the proxy tells of requests and connections: entries for the agent's access log service.

Envoy keeps one stream and one bounded buffer for each distinct configuration, and drops and counts
what does not fit. So all chains have the same one, and what tells them apart stands in the
connection's filter state.
"""

from __future__ import annotations

from tulle import xds
from tulle.model.proxy import AGENT, FRONT, RULE

from .fields import Fields, extension, literal, milliseconds, value

_FLUSH_MS = 100  # what `tulle observe -f` is late at most
_BUFFER_BYTES = 64 * 1024
_LOGGERS = "envoy.extensions.access_loggers.grpc.v3"
_COMMON: Fields = {
    "log_name": "tulle",
    "grpc_service": {"envoy_grpc": {"cluster_name": AGENT}},
    "transport_api_version": "V3",
    "buffer_flush_interval": milliseconds(_FLUSH_MS),
    "buffer_size_bytes": value(_BUFFER_BYTES),
    "filter_state_objects_to_log": [FRONT, RULE],
}

HTTP_LOG = extension(
    "envoy.access_loggers.http_grpc",
    xds.any_of(f"{_LOGGERS}.HttpGrpcAccessLogConfig", common_config=_COMMON),
)
TCP_LOG = extension(
    "envoy.access_loggers.tcp_grpc",
    xds.any_of(f"{_LOGGERS}.TcpGrpcAccessLogConfig", common_config=_COMMON),
)
# Of a listener: connections that no chain took, which nobody else tells of.
UNMATCHED_LOG: Fields = {**TCP_LOG, "filter": {"response_flag_filter": {"flags": ["NR"]}}}


def marks(front: str, rule: str = "") -> Fields:
    """A network filter that notes where a connection came in."""
    notes = [_note(FRONT, front), *([_note(RULE, rule)] if rule else [])]
    return extension(
        "envoy.filters.network.set_filter_state",
        xds.any_of(
            "envoy.extensions.filters.network.set_filter_state.v3.Config", on_new_connection=notes
        ),
    )


def _note(key: str, text: str) -> Fields:
    return {
        "object_key": key,
        "factory_key": "envoy.string",
        "format_string": {"text_format_source": {"inline_string": literal(text)}},
    }
