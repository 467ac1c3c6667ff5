"""Entries of Envoy's access log (envoy.data.accesslog.v3) → plain values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Literal

from google.protobuf.message import DecodeError

from tulle import xds
from tulle.model.access import AUDITED, DENIED, Access, Request, Socket
from tulle.model.proxy import FRONT, RULE

# How Envoy's documentation shortens what ResponseFlags spells out.
FLAGS = {
    "failed_local_healthcheck": "LH",
    "no_healthy_upstream": "UH",
    "upstream_request_timeout": "UT",
    "local_reset": "LR",
    "upstream_remote_reset": "UR",
    "upstream_connection_failure": "UF",
    "upstream_connection_termination": "UC",
    "upstream_overflow": "UO",
    "no_route_found": "NR",
    "delay_injected": "DI",
    "fault_injected": "FI",
    "rate_limited": "RL",
    "unauthorized_details": "UAEX",
    "rate_limit_service_error": "RLSE",
    "downstream_connection_termination": "DC",
    "upstream_retry_limit_exceeded": "URX",
    "stream_idle_timeout": "SI",
    "invalid_envoy_request_headers": "IH",
    "downstream_protocol_error": "DPE",
    "upstream_max_stream_duration_reached": "UMSDR",
    "response_from_cache_filter": "RFCF",
    "no_filter_config_found": "NFCF",
    "duration_timeout": "DT",
    "upstream_protocol_error": "UPE",
    "no_cluster_found": "NC",
    "overload_manager": "OM",
    "dns_resolution_failure": "DF",
    "downstream_remote_reset": "DR",
}
ENTRY_BYTES, PATH_CHARS, NAME_CHARS = 2048, 1024, 128
# What nobody reads here, and who speaks to the proxy can make long.
_UNREAD_OF_REQUEST = ("original_path", "user_agent", "referer", "forwarded_for")
_UNREAD = ("tls_properties", "metadata", "upstream_transport_failure_reason")
_ERROR = 400  # and above, of HTTP's status codes
_PROTOCOLS = {1: "HTTP/1.0", 2: "HTTP/1.1", 3: "HTTP/2", 4: "HTTP/3"}
_DENIED = re.compile(r"rbac_access_denied_matched_policy\[(?!none\])(.+)\]")


@dataclass(frozen=True, slots=True)
class Entry:
    """A serialised entry of a log of `kind`, decoded when somebody asks.

    `went_well`: a request that was answered, and with no error.
    """

    kind: Literal["HTTP", "TCP"]
    body: bytes
    went_well: bool = False

    def access(self) -> Access:
        entry = xds.message(f"envoy.data.accesslog.v3.{self.kind}AccessLogEntry")
        decode = of_request if self.kind == "HTTP" else of_connection
        return decode(entry.FromString(self.body))


def packed(kind: Literal["HTTP", "TCP"], entry: Any) -> Entry:
    """Many are kept, and a client may make each as long as a header: what is long is cut."""
    body: bytes = entry.SerializeToString()
    if len(body) > ENTRY_BYTES:
        _cut(entry.common_properties, _UNREAD)
        if kind == "HTTP":
            _cut_request(entry.request)
        body = entry.SerializeToString()
    return Entry(kind, body, kind == "HTTP" and 0 < entry.response.response_code.value < _ERROR)


def _cut_request(request: Any) -> None:
    request.path = request.path[:PATH_CHARS]
    request.authority = request.authority[:NAME_CHARS]
    request.request_id = request.request_id[:NAME_CHARS]
    _cut(request, _UNREAD_OF_REQUEST)


def _cut(message: Any, names: Iterable[str]) -> None:
    for name in names:
        message.ClearField(name)


def of_request(entry: Any) -> Access:
    """An HTTPAccessLogEntry. Bodies are counted as the client's and the answer's."""
    common, request, response = entry.common_properties, entry.request, entry.response
    rule, denied_by, audited_by = _judged(common.route_name)
    return _access(
        common,
        request=Request(
            method=_method(request),
            scheme=request.scheme,
            authority=request.authority,
            path=request.path,
            protocol=_PROTOCOLS.get(entry.protocol_version, ""),
            id=request.request_id,
        ),
        status=response.response_code.value,
        rule=rule,
        denied_by=denied_by,
        audited_by=audited_by,
        details=response.response_code_details,
        bytes_in=request.request_body_bytes,
        bytes_out=response.response_body_bytes,
    )


def of_connection(entry: Any) -> Access:
    """A TCPAccessLogEntry, of a connection that was passed on or that nobody took."""
    common, counts = entry.common_properties, entry.connection_properties
    rule, denied_by, audited_by = _judged(_noted(common, RULE))
    return _access(
        common,
        rule=rule,
        denied_by=denied_by,
        audited_by=audited_by,
        details=common.connection_termination_details,
        bytes_in=counts.received_bytes,
        bytes_out=counts.sent_bytes,
    )


def _judged(name: str) -> tuple[str, str, str]:
    """Rule, what denied, and what would deny if it were not in audit mode."""
    if name.startswith(DENIED):
        return "", name.removeprefix(DENIED), ""
    if name.startswith(AUDITED):
        return "", "", name.removeprefix(AUDITED)
    return name, "", ""


def _access(common: Any, details: str, denied_by: str, **fields: Any) -> Access:
    denied = _DENIED.fullmatch(details)
    remote = common.downstream_direct_remote_address
    return Access(
        time_ns=common.start_time.ToNanoseconds(),
        duration_ns=common.duration.ToNanoseconds(),
        source=_socket(remote) or _socket(common.downstream_remote_address) or _NOWHERE,
        asked=_socket(common.downstream_local_address) or _NOWHERE,
        backend=_socket(common.upstream_remote_address),
        front=_noted(common, FRONT),
        flags=_flags(common.response_flags),
        details=details,
        attempts=common.upstream_request_attempt_count,
        denied_by=denied[1] if denied else denied_by,
        **fields,
    )


_NOWHERE = Socket(ip_address("0.0.0.0"), 0)  # noqa: S104 (of what Envoy does not tell)


def _socket(address: Any) -> Socket | None:
    inner = address.socket_address
    return Socket(ip_address(inner.address), inner.port_value) if inner.address else None


def _method(request: Any) -> str:
    """ "" for one that Envoy's enum has not."""
    value = request.DESCRIPTOR.fields_by_name["request_method"].enum_type.values_by_number
    return value[request.request_method].name if request.request_method else ""


def _flags(flags: Any) -> tuple[str, ...]:
    return tuple(FLAGS[field.name] for field, _ in flags.ListFields() if field.name in FLAGS)


def _noted(common: Any, key: str) -> str:
    """A string in the filter state; "" if there is none."""
    try:
        value: Any = xds.message("google.protobuf.StringValue")()
        common.filter_state_objects[key].Unpack(value)
    except DecodeError:
        return ""
    text: str = value.value
    return text
