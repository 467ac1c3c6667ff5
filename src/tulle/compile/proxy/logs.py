"""What the proxy tells of requests and connections: entries for the agent's access log service.

Envoy keeps one stream and one bounded buffer for each distinct configuration, and drops and counts
what does not fit. So all chains have the same one, and what tells them apart stands in the
connection's filter state.

An entry costs the proxy and the agent 12 µs each, a quarter of the request's own cost. So the agent
says what part of the requests that went well it wants to hear of (agent/telling.py); what failed or
was denied is always told, and so is every connection.
"""

from __future__ import annotations

from tulle import xds
from tulle.model.proxy import AGENT, FRONT, RULE, TOLD, TOLD_LAYER, Resource

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

_MILLION = 1_000_000
_FIRST_ERROR = 400  # of HTTP's status codes

EVERY_REQUEST_LOG = extension(
    "envoy.access_loggers.http_grpc",
    xds.any_of(f"{_LOGGERS}.HttpGrpcAccessLogConfig", common_config=_COMMON),
)
_A_PART: Fields = {
    "runtime_filter": {
        "runtime_key": TOLD,
        # all, until the agent has said something else
        "percent_sampled": {"numerator": _MILLION, "denominator": "MILLION"},
        "use_independent_randomness": True,  # clients choose the request's id
    }
}
_ERRORS: Fields = {
    "status_code_filter": {
        "comparison": {"op": "GE", "value": {"default_value": _FIRST_ERROR, "runtime_key": "none"}}
    }
}
# gRPC says in trailers what went wrong. Envoy knows a code for every answer, so only of gRPC's.
_GRPC_ERRORS: Fields = {
    "and_filter": {
        "filters": [
            {
                "header_filter": {
                    "header": {
                        "name": "content-type",
                        "string_match": {"prefix": "application/grpc"},
                    }
                }
            },
            {"grpc_status_filter": {"statuses": ["OK"], "exclude": True}},
        ]
    }
}
_CUT_SHORT: Fields = {"response_flag_filter": {}}
HTTP_LOG: Fields = {
    **EVERY_REQUEST_LOG,
    "filter": {"or_filter": {"filters": [_A_PART, _ERRORS, _CUT_SHORT, _GRPC_ERRORS]}},
}
TCP_LOG = extension(
    "envoy.access_loggers.tcp_grpc",
    xds.any_of(f"{_LOGGERS}.TcpGrpcAccessLogConfig", common_config=_COMMON),
)
# Of a listener: connections that no chain took, which nobody else tells of.
UNMATCHED_LOG: Fields = {**TCP_LOG, "filter": {"response_flag_filter": {"flags": ["NR"]}}}


def told(one_in: int) -> Resource:
    """Envoy's runtime: of requests that went well, one in `one_in` is told."""
    layer = {TOLD: _MILLION // one_in}
    return Resource(xds.pack("envoy.service.runtime.v3.Runtime", name=TOLD_LAYER, layer=layer))


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
