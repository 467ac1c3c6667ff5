"""What the proxy tells of a request, in Hubble's words."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from tulle.model.access import Socket
from tulle.observe.requests import request_flow

from .samples import NAMES, access


def test_a_request_in_hubbles_words() -> None:
    flow = request_flow(access(), NAMES)
    assert flow["time"] == "2023-11-14T22:13:20.123456789Z"
    assert (flow["verdict"], flow["Type"], flow["event_type"]) == ("FORWARDED", "L7", {"type": 129})
    assert flow["l7"] == {
        "type": "RESPONSE",
        "latency_ns": "3400000",
        "http": {
            "code": 200,
            "method": "GET",
            "url": "http://db/cart?id=1",
            "protocol": "HTTP/1.1",
        },
    }
    assert flow["source"]["pod_name"] == "web-1"
    assert flow["destination"]["pod_name"] == "db"
    assert flow["destination_service"] == {"name": "db", "namespace": "shop"}
    assert flow["IP"] == {
        "source": "10.244.0.2",
        "destination": "10.244.0.3",
        "ipVersion": "IPv4",
    }
    assert flow["l4"] == {"TCP": {"source_port": 43512, "destination_port": 8080}}


def test_it_names_route_rule_and_backend() -> None:
    flow = request_flow(access(rule="HTTPRoute/shop/db/canary"), NAMES)
    assert flow["route"] == {"kind": "HTTPRoute", "namespace": "shop", "name": "db"}
    assert flow["rule"] == "HTTPRoute shop/db rules[canary]"
    assert flow["backend"] == "shop/db:8080"
    assert (flow["front"], flow["traffic_direction"]) == ("service/shop/db/80", "EGRESS")


@pytest.mark.parametrize("front", ["gateway/shop/web/443", "ingress/tulle/443"])
def test_what_came_in_from_outside_and_went_to_a_stranger(front: str) -> None:
    stranger = Socket(ip_address("2001:db8::7"), 443)
    flow = request_flow(access(front=front, backend=stranger), NAMES)
    assert flow["traffic_direction"] == "INGRESS"
    assert flow["backend"] == "[2001:db8::7]:443"
    assert flow["destination"] == {}


@pytest.mark.parametrize(
    ("changes", "verdict", "rule"),
    [
        (
            {"denied_by": "CiliumNetworkPolicy shop/db ingress[0]", "status": 403},
            "DROPPED",
            "HTTPRoute shop/db rules[0]: denied by CiliumNetworkPolicy shop/db ingress[0]",
        ),
        (
            {"details": "jwt_authn_access_denied{Jwt_is_missing}", "status": 401},
            "DROPPED",
            "HTTPRoute shop/db rules[0]: refused for its token: Jwt is missing",
        ),
        (
            {"flags": ("FI",), "status": 503},
            "ERROR",
            "HTTPRoute shop/db rules[0]: aborted on purpose",
        ),
        (
            {"flags": ("UAEX",), "details": "ext_authz_denied", "status": 401},
            "DROPPED",
            "HTTPRoute shop/db rules[0]: refused by the external authorization",
        ),
        (
            {"flags": ("UAEX",), "details": "ext_authz_error", "status": 503},
            "DROPPED",
            "HTTPRoute shop/db rules[0]: the external authorization could not be asked",
        ),
        (
            {"flags": ("RL",), "status": 429},
            "DROPPED",
            "HTTPRoute shop/db rules[0]: limited: too many requests",
        ),
        (
            {"flags": ("URX", "UF"), "status": 503},
            "ERROR",
            "HTTPRoute shop/db rules[0]: the connection to the backend failed",
        ),
        (
            {"rule": "", "denied_by": "CiliumNetworkPolicy shop/db ingress[0].toPorts[0]"},
            "DROPPED",
            "denied by CiliumNetworkPolicy shop/db ingress[0].toPorts[0]",
        ),
        ({"flags": ("NR",), "rule": "", "status": 404}, "ERROR", "no route matches"),
        (
            {"details": "direct_response", "status": 421, "rule": "misdirected"},
            "FORWARDED",
            "misdirected",
        ),
        (
            {"details": "direct_response", "status": 500},
            "ERROR",
            "HTTPRoute shop/db rules[0]: the rule has no backend that it could reach",
        ),
        (
            {"details": "direct_response", "status": 302},
            "FORWARDED",
            "HTTPRoute shop/db rules[0]",
        ),
        ({"flags": ("URX",), "status": 500}, "FORWARDED", "HTTPRoute shop/db rules[0]"),
    ],
)
def test_who_refused_it_and_why(changes: dict[str, Any], verdict: str, rule: str) -> None:
    flow = request_flow(access(backend=None, **changes), NAMES)
    assert (flow["verdict"], flow["rule"]) == (verdict, rule)
    assert ("drop_reason_desc" in flow) == (verdict == "DROPPED")
    assert flow["IP"]["destination"] == "10.96.0.10"  # what was asked
