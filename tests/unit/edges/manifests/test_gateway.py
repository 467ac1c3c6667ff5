import copy
import json
from typing import Any

import pytest

from tests.hostile.gateways import BACKEND_TLS, GATEWAY, HTTP_ROUTE, TLS_ROUTE
from tulle.edges.manifests import parse
from tulle.model.gateway import Gateway
from tulle.model.gateway_routes import HTTPRoute


def said(base: dict[str, Any], **spec: Any) -> str:
    """Why a manifest with these fields of its spec is refused, "" if it is not."""
    document = copy.deepcopy(base)
    document["spec"].update(spec)
    parsed = parse(json.dumps(document, indent=1).encode(), "f")
    return str(parsed.errors[0].error) if parsed.errors else ""


def read(base: dict[str, Any]) -> Any:
    (item,) = parse(json.dumps(base).encode(), "f").objects
    return item.obj


def test_defaults_are_those_of_the_api() -> None:
    gateway = read(GATEWAY)
    assert isinstance(gateway, Gateway)
    assert gateway.spec.listeners[0].allowed_routes.namespaces.from_ == "Same"
    route = read({**HTTP_ROUTE, "spec": {}})
    assert isinstance(route, HTTPRoute)
    (rule,) = route.spec.rules
    (match,) = rule.matches
    assert (match.path.type, match.path.value) == ("PathPrefix", "/")


def test_beta_is_read_where_the_api_serves_it() -> None:
    for base in (GATEWAY, HTTP_ROUTE):
        read({**base, "apiVersion": "gateway.networking.k8s.io/v1beta1"})
    assert "is read as" in str(
        parse(json.dumps({**TLS_ROUTE, "apiVersion": "v1"}).encode(), "f").errors[0].error
    )


def test_a_status_is_not_taken_over() -> None:
    assert read({**GATEWAY, "status": {"conditions": []}}).status is None


@pytest.mark.parametrize(
    ("listener", "reason"),
    [
        ({"protocol": "HTTP", "tls": {"options": {"a": "b"}}}, "tls: must be absent for protocol"),
        ({"protocol": "HTTPS", "tls": {"mode": "Passthrough"}}, "tls.mode: must be Terminate"),
        ({"protocol": "TLS"}, "tls: is required for protocol TLS"),
        ({"protocol": "UDP", "hostname": "a"}, "hostname: must be absent for protocol UDP"),
        ({"protocol": "TLS", "tls": {}}, "tls.certificateRefs: needs at least one certificate"),
        ({"protocol": "HTTPS"}, ""),  # its status says what is missing
        ({"protocol": "acme.example/quic"}, ""),
    ],
)
def test_listeners(listener: dict[str, Any], reason: str) -> None:
    found = said(GATEWAY, listeners=[{"name": "a", "port": 80, **listener}])
    assert reason in found if reason else not found


def test_listeners_are_distinct() -> None:
    one = {"name": "a", "port": 80, "protocol": "HTTP"}
    assert "listeners[1].port: port, protocol and hostname are those of listeners[0]" in said(
        GATEWAY, listeners=[one, {**one, "name": "b"}]
    )
    assert not said(GATEWAY, listeners=[one, {**one, "name": "b", "hostname": "b.example"}])
    assert "listeners[1].name: is the same" in said(GATEWAY, listeners=[one, {**one, "port": 81}])


def test_targets_are_distinct() -> None:
    one = {"group": "", "kind": "Service", "name": "api"}
    assert "targetRefs[0].sectionName: is required" in said(
        BACKEND_TLS, targetRefs=[one, {**one, "sectionName": "a"}]
    )
    assert not said(BACKEND_TLS, targetRefs=[one, {**one, "name": "web"}])


def test_authorities_are_named_in_one_way() -> None:
    names = {"hostname": "a.example"}
    assert "needs one of" in said(BACKEND_TLS, validation=names)
    assert not said(BACKEND_TLS, validation={**names, "wellKnownCACertificates": "System"})
