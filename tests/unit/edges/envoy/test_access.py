"""What Envoy tells of a request or a connection, as a plain value."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from tulle import xds
from tulle.edges.envoy.access import (
    ENTRY_BYTES,
    FLAGS,
    NAME_CHARS,
    PATH_CHARS,
    of_connection,
    of_request,
    packed,
)
from tulle.model.access import Access, Request, Socket

_DATA = "envoy.data.accesslog.v3"


def socket(address: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}


def note(text: str) -> dict[str, Any]:
    return xds.any_of("google.protobuf.StringValue", value=text)


COMMON: dict[str, Any] = {
    "downstream_remote_address": socket("203.0.113.9", 0),  # as X-Forwarded-For has it
    "downstream_direct_remote_address": socket("10.0.0.1", 40000),
    "downstream_local_address": socket("10.96.0.1", 80),
    "upstream_remote_address": socket("fd00::2", 8080),
    "start_time": {"seconds": 7, "nanos": 5},
    "duration": {"nanos": 3_000_000},
    "route_name": "HTTPRoute/shop/web/0",
    "upstream_request_attempt_count": 2,
    "response_flags": {"upstream_retry_limit_exceeded": True, "delay_injected": True},
    "filter_state_objects": {"tulle.front": note("gateway/shop/web/80")},
}


def test_a_request() -> None:
    entry = xds.message(f"{_DATA}.HTTPAccessLogEntry")(
        common_properties=COMMON,
        protocol_version="HTTP2",
        request={
            "request_method": "POST",
            "scheme": "https",
            "authority": "web.test",
            "path": "/a?b=c",
            "original_path": "/forged",  # by the client: routes here write no such header
            "request_id": "r1",
            "request_body_bytes": 3,
        },
        response={
            "response_code": {"value": 503},
            "response_code_details": "via_upstream",
            "response_body_bytes": 4,
        },
    )
    assert of_request(entry) == Access(
        time_ns=7_000_000_005,
        duration_ns=3_000_000,
        source=Socket(ip_address("10.0.0.1"), 40000),
        asked=Socket(ip_address("10.96.0.1"), 80),
        backend=Socket(ip_address("fd00::2"), 8080),
        request=Request("POST", "https", "web.test", "/a?b=c", "HTTP/2", "r1"),
        status=503,
        front="gateway/shop/web/80",
        rule="HTTPRoute/shop/web/0",
        flags=("DI", "URX"),
        details="via_upstream",
        attempts=2,
        bytes_in=3,
        bytes_out=4,
    )


def test_what_a_client_makes_long_is_not_kept() -> None:
    long = "x" * 60_000
    tls = {"tls_sni_hostname": long}
    entry = xds.message(f"{_DATA}.HTTPAccessLogEntry")(
        common_properties={**COMMON, "tls_properties": tls},
        request={
            "authority": long,
            "path": f"/{long}",
            "original_path": f"/forged/{long}",
            "request_id": long,
            **dict.fromkeys(("user_agent", "referer", "forwarded_for"), long),
        },
    )
    whole, kept = of_request(entry), packed("HTTP", entry)
    assert len(kept.body) < ENTRY_BYTES
    found = kept.access()
    assert whole.request and found.request
    assert found.request.path == whole.request.path[:PATH_CHARS]
    assert found.request.authority == found.request.id == long[:NAME_CHARS]
    assert found.rule == whole.rule and found.front == whole.front
    passed_on = xds.message(f"{_DATA}.TCPAccessLogEntry")(
        common_properties={**COMMON, "tls_properties": tls}
    )
    assert len(packed("TCP", passed_on).body) < ENTRY_BYTES


def test_a_connection_that_was_passed_on() -> None:
    notes = {**COMMON["filter_state_objects"], "tulle.rule": note("TCPRoute/shop/db/0")}
    entry = xds.message(f"{_DATA}.TCPAccessLogEntry")(
        common_properties={**COMMON, "filter_state_objects": notes, "route_name": ""},
        connection_properties={"received_bytes": 10, "sent_bytes": 20},
    )
    access = of_connection(entry)
    assert (access.request, access.rule) == (None, "TCPRoute/shop/db/0")
    assert (access.bytes_in, access.bytes_out) == (10, 20)


def test_a_policy_that_denies_is_named() -> None:
    def denied(details: str) -> str:
        response = {"response_code_details": details}
        entry = xds.message(f"{_DATA}.HTTPAccessLogEntry")(response=response)
        return of_request(entry).denied_by

    policy = "rbac_access_denied_matched_policy"
    assert denied(f"{policy}[CiliumNetworkPolicy/shop/web/0]") == "CiliumNetworkPolicy/shop/web/0"
    assert denied(f"{policy}[none]") == ""
    assert denied("route_not_found") == ""


def test_a_policys_own_listener_tells_by_the_name_of_its_route() -> None:
    def told(name: str) -> tuple[str, str, str]:
        common = {"route_name": name}
        found = of_request(xds.message(f"{_DATA}.HTTPAccessLogEntry")(common_properties=common))
        return found.rule, found.denied_by, found.audited_by

    rule = "CiliumNetworkPolicy shop/web ingress[0].toPorts[0]"
    assert told(f"denied by {rule}") == ("", rule, "")
    assert told(f"audited by {rule}") == ("", "", rule)
    assert told("HTTPRoute/shop/web/0") == ("HTTPRoute/shop/web/0", "", "")


def test_what_envoy_does_not_tell() -> None:
    access = of_request(xds.message(f"{_DATA}.HTTPAccessLogEntry")())
    assert access.request and access.request.method == ""
    assert (access.backend, access.source.port, access.front) == (None, 0, "")


def test_every_flag_has_its_short_form() -> None:
    known = xds.message(f"{_DATA}.ResponseFlags").DESCRIPTOR.fields
    assert {field.name for field in known} == set(FLAGS)
