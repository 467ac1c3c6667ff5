"""Certificates of listeners, of their clients, and of a Gateway towards its backends."""

from typing import Any

import pytest

from tests.unit.compile.routes.certs import config_map, pair, secret
from tests.unit.compile.routes.test_backends import grant
from tests.unit.compile.routes.worlds import (
    POOL,
    SERVICES,
    TO_WEB,
    completed,
    condition,
    front,
    gateway,
    hosts,
    http_route,
    listener,
    of_gateway,
    of_listener,
    routed,
    world_of,
)
from tulle.compile.routes import route
from tulle.model.routing import ClientValidation, Termination

_GOOD = secret("good", *pair())
_OTHER = secret("far", *pair("rsa"), namespace="away")
_BAD = secret("bad", "Hello world", "x")
_MIXED = secret("mixed", pair()[0], pair("ec", "PKCS8", 1)[1])
_CA = config_map("ca", pair("rsa")[0])
_ENCRYPTED = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "BackendTLSPolicy",
    "metadata": {"name": "p", "namespace": "shop"},
    "spec": {
        "targetRefs": [{"group": "", "kind": "Service", "name": "web"}],
        "validation": {"hostname": "web.example", "wellKnownCACertificates": "System"},
    },
}


def https(*names: str | dict[str, str], port: int = 443) -> dict[str, Any]:
    refs = [{"name": item} if isinstance(item, str) else item for item in names]
    found: dict[str, Any] = listener("https", port, "HTTPS", tls={"certificateRefs": refs})
    return found


def validation(*names: str | dict[str, str], **more: Any) -> dict[str, Any]:
    refs = [{"group": "", "kind": "ConfigMap"} | (n if isinstance(n, dict) else {"name": n})
            for n in names]  # fmt: skip
    return {"validation": {"caCertificateRefs": refs, **more}}


@pytest.mark.parametrize(
    ("ref", "more", "reason"),
    [
        ({"name": "good"}, (), ""),
        ({"name": "none"}, (), "InvalidCertificateRef"),
        ({"name": "bad"}, (), "InvalidCertificateRef"),
        ({"name": "mixed"}, (), "InvalidCertificateRef"),
        ({"name": "good", "kind": "Magic"}, (), "InvalidCertificateRef"),
        ({"name": "good", "group": "a.example"}, (), "InvalidCertificateRef"),
        ({"name": "far", "namespace": "away"}, (), "RefNotPermitted"),
        ({"name": "far", "namespace": "away"}, (grant("Gateway", to="Secret"),), ""),
        (
            {"name": "far", "namespace": "away"},
            (grant("Gateway", to="Secret", name="x"),),
            "RefNotPermitted",
        ),
        ({"name": "none", "namespace": "away"}, (), "RefNotPermitted"),
    ],
)
def test_certificates(ref: dict[str, str], more: tuple[Any, ...], reason: str) -> None:
    found = routed(gateway(listener(), https(ref)), _GOOD, _OTHER, _BAD, _MIXED, *more)
    said = of_listener(found, "https")
    assert condition(said, "ResolvedRefs") == (
        ("False", reason) if reason else ("True", "ResolvedRefs")
    )
    assert condition(said, "Programmed")[0] == ("False" if reason else "True")
    assert ("gateway/shop/gw/443" in found.fronts) == (not reason)
    assert condition(of_gateway(found), "ResolvedRefs") == (
        ("False", "ListenersNotResolved") if reason else ("True", "ResolvedRefs")
    )
    messages = [item["message"] for item in said["conditions"]]
    assert not any("PRIVATE" in text or "Hello" in text for text in messages)


def test_of_several_certificates_the_good_ones_are_served() -> None:
    found = routed(gateway(https("good", "none")), _GOOD)
    assert condition(of_listener(found, "https"), "ResolvedRefs")[1] == "InvalidCertificateRef"
    termination = front(found, 443).servers[0].termination
    assert termination is not None
    assert [item.name for item in termination.certificates] == ["shop/good"]
    assert "PRIVATE" not in repr(found)


def test_passing_through_needs_no_certificate() -> None:
    tls = {"mode": "Passthrough", "certificateRefs": [{"name": "none"}]}
    found = routed(gateway(listener("tls", 443, "TLS", tls=tls)))
    assert condition(of_listener(found, "tls"), "ResolvedRefs") == ("True", "ResolvedRefs")
    assert front(found, 443).servers[0].termination is None


@pytest.mark.parametrize(
    ("config", "resolved", "accepted"),
    [
        (validation("ca"), ("True", "ResolvedRefs"), ("True", "Accepted")),
        (validation("none"), ("False", "InvalidCACertificateRef"), None),
        (validation("empty"), ("False", "InvalidCACertificateRef"), None),
        (validation("odd"), ("False", "InvalidCACertificateRef"), None),
        (validation({"name": "ca", "kind": "Magic"}), ("False", "InvalidCACertificateKind"), None),
        (validation({"name": "ca", "namespace": "away"}), ("False", "RefNotPermitted"), None),
        (
            validation("none", "ca"),
            ("False", "InvalidCACertificateRef"),
            ("True", "Accepted"),
        ),
    ],
)
def test_authorities_of_clients(config: Any, resolved: Any, accepted: Any) -> None:
    maps = (_CA, config_map("empty", "x", key="x"), config_map("odd", "Hello"))
    found = routed(gateway(https("good"), tls={"frontend": {"default": config}}), _GOOD, *maps)
    said = of_listener(found, "https")
    assert condition(said, "ResolvedRefs") == resolved
    assert condition(said, "Accepted") == (accepted or ("False", "NoValidCACertificate"))
    assert ("gateway/shop/gw/443" in found.fronts) == (
        accepted is not None or resolved[0] == "True"
    )


def test_a_port_has_its_own_validation() -> None:
    frontend = {
        "default": validation("ca"),
        "perPort": [
            {"port": 8443, "tls": {}},
            {"port": 9443, "tls": validation("ca", mode="AllowInsecureFallback")},
        ],
    }
    listeners = [{**https("good", port=port), "name": f"l{port}"} for port in (443, 8443, 9443)]
    found = routed(gateway(*listeners, tls={"frontend": frontend}), _GOOD, _CA)
    clients = {}
    for port in (443, 8443, 9443):
        termination = front(found, port).servers[0].termination
        assert isinstance(termination, Termination)
        clients[port] = termination.client
    authorities = pair("rsa")[0]
    assert clients == {
        443: ClientValidation(authorities),
        8443: None,
        9443: ClientValidation(authorities, optional=True),
    }
    assert condition(of_gateway(found), "InsecureFrontendValidationMode") == (
        "True",
        "ConfigurationChanged",
    )
    strict = routed(gateway(https("good"), tls={"frontend": {"default": validation("ca")}}), _GOOD)
    assert condition(of_gateway(strict), "InsecureFrontendValidationMode") == ("", "")


@pytest.mark.parametrize(
    ("ref", "resolved"),
    [
        ({"name": "good"}, ("True", "ResolvedRefs")),
        ({"name": "none"}, ("False", "InvalidClientCertificateRef")),
        ({"name": "bad"}, ("False", "InvalidClientCertificateRef")),
        ({"name": "good", "kind": "Magic"}, ("False", "InvalidClientCertificateRef")),
        ({"name": "far", "namespace": "away"}, ("False", "RefNotPermitted")),
    ],
)
def test_a_gateways_own_certificate(ref: dict[str, str], resolved: Any) -> None:
    found = routed(
        gateway(listener(), tls={"backend": {"clientCertificateRef": ref}}),
        *(_GOOD, _BAD, _OTHER, _ENCRYPTED),
        http_route(rules=TO_WEB),
    )
    assert condition(of_gateway(found), "ResolvedRefs") == resolved
    assert condition(of_gateway(found), "Accepted") == ("True", "Accepted")
    ((_, rule),) = hosts(found)["*"].entries
    tls = rule.destinations[0].tls
    assert tls is not None
    assert (tls.client.name if tls.client else "") == ("shop/good" if resolved[0] == "True" else "")


def test_a_gateway_that_gives_up_its_certificate_shows_none() -> None:
    showing = gateway(listener(), tls={"backend": {"clientCertificateRef": {"name": "good"}}})
    route_to = http_route(rules=TO_WEB)
    world = completed(world_of(POOL, SERVICES, showing, _GOOD, _ENCRYPTED, route_to))
    before = route(world)
    after = world_of(gateway(listener()), base=world)
    assert route(after, before).fronts == route(after).fronts


def test_options_that_nobody_knows_are_refused() -> None:
    tls = {"certificateRefs": [{"name": "good"}], "options": {"a.example/min-version": "1.3"}}
    found = routed(gateway(listener("https", 443, "HTTPS", tls=tls), listener()), _GOOD)
    said = of_listener(found, "https")
    assert condition(said, "Accepted") == ("False", "UnsupportedValue")
    assert list(found.fronts) == ["gateway/shop/gw/80"]
