"""Rows of Gateway and ListenerSet."""

from __future__ import annotations

from json import loads
from typing import Any

from tests.e2e.conformance.ground import Ground
from tests.e2e.conformance.table import (
    DOOR,
    DOOR6,
    GATEWAY_API,
    Check,
    Expect,
    Json,
    Row,
    ask,
    http,
    objects_of,
    route,
    says,
    slug,
)

ONE = "- backendRefs: [{name: one, port: 80}]"
TWO = "- backendRefs: [{name: two, port: 80}]"


def gateway(name: str, listeners: str, address: str = "", more: str = "") -> str:
    addresses = f"addresses: [{{value: {address}}}]" if address else ""
    return f"""
apiVersion: {GATEWAY_API}
kind: Gateway
metadata: {{name: {name}, namespace: shop}}
spec:
  gatewayClassName: tulle
  {addresses}
  {more}
  listeners: [{listeners}]
"""


def row(feature: str, says: str, objects: str, *checks: Check, **more: Any) -> Row:
    routes = more.pop("routes", ())
    return Row(feature, says, (*objects_of(objects), *routes), checks, **more)


def at(address: str, host: str, expect: Expect, **more: Any) -> Check:
    return ask("/", expect, to=address, host=host, **more)


def conditions(status: Json) -> dict[str, str]:
    return {item["type"]: item["status"] for item in status["conditions"]}


def _core(ground: Ground) -> None:
    """Class, Gateway, listeners and routes say what they are in."""
    status = ground.manifest("Gateway", "door")["status"]
    assert conditions(status)["Accepted"] == conditions(status)["Programmed"] == "True"
    assert {item["value"] for item in status["addresses"]} == {DOOR, DOOR6}
    listeners = {item["name"]: item for item in status["listeners"]}
    assert set(listeners) == {"http", "http-8080", "https"}
    for listener in listeners.values():
        assert conditions(listener)["Programmed"] == conditions(listener)["ResolvedRefs"] == "True"
        assert {kind["kind"] for kind in listener["supportedKinds"]} >= {"HTTPRoute"}
    assert listeners["https"]["attachedRoutes"] >= 1
    bad = ground.manifest("Gateway", "bad")["status"]
    (listener,) = bad["listeners"]
    told = {item["type"]: item for item in listener["conditions"]}
    assert (told["ResolvedRefs"]["status"], told["ResolvedRefs"]["reason"]) == (
        "False",
        "InvalidCertificateRef",
    )
    lost = ground.manifest("HTTPRoute", "lost")["status"]["parents"][0]
    told = {item["type"]: item for item in lost["conditions"]}
    assert told["Accepted"]["status"] == "False"
    assert told["Accepted"]["reason"] == "NoMatchingListenerHostname"


def _empty_address(ground: Ground) -> None:
    status = ground.manifest("Gateway", "anywhere")["status"]
    (address,) = [item["value"] for item in status["addresses"] if "." in item["value"]]
    ground.insist(at(address, "gatewayaddressempty.test", says(backend="one")))


def _infrastructure(ground: Ground) -> None:
    labels = ground.cluster["a"].get("services")
    (found,) = [item for item in labels if item["name"].endswith("gateway-labelled")]
    assert found["external_ips"] == ["192.0.2.33"]
    status = ground.manifest("Gateway", "labelled")["status"]
    assert conditions(status)["Programmed"] == "True"


_ISOLATED = """
{name: empty, port: 80, protocol: HTTP, hostname: ""},
{name: wild, port: 80, protocol: HTTP, hostname: "*.iso.test"},
{name: wilder, port: 80, protocol: HTTP, hostname: "*.deep.iso.test"},
{name: exact, port: 80, protocol: HTTP, hostname: www.deep.iso.test}
"""
ISO = "192.0.2.31"
_ISO_ROUTES = tuple(
    route(
        f"iso-{name}",
        f"- {{matches: [{{path: {{value: /{name}}}}}], backendRefs: [{{name: one, port: 80}}]}}",
        parents=f"[{{name: isolated, sectionName: {name}}}]",
        hostnames="",
    )
    for name in ("empty", "wild", "wilder", "exact")
)
_ISO_HOSTS = {
    "empty": "bar.test",
    "wild": "a.iso.test",
    "wilder": "a.deep.iso.test",
    "exact": "www.deep.iso.test",
}

ROWS: tuple[Row, ...] = (
    row(
        "Gateway",
        "status of class, Gateway, listeners and routes; HTTP and HTTPS, IPv4 and IPv6",
        gateway(
            "bad",
            "{name: tls, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: nothing}]}}",
            "192.0.2.39",
        ),
        at(DOOR, "gateway.test", says(backend="one"), port=443, tls=True),
        at(DOOR6, "gateway.test", says(backend="one"), port=443, tls=True, via="h2"),
        at(DOOR, "gateway.test", says(status=404)),
        routes=(
            route("gateway", ONE, parents="[{name: door, sectionName: https}]"),
            route(
                "lost",
                ONE,
                parents="[{name: isolated, sectionName: exact}]",
                hostnames="[never.else]",
            ),
        ),
        also=_core,
    ),
    http(
        "GatewayPort8080",
        "a listener on port 8080",
        ONE,
        ask("/", says(backend="one"), port=8080),
        parents="[{name: door, sectionName: http-8080}]",
    ),
    row(
        "GatewayStaticAddresses",
        "a Gateway is served at the addresses that it names",
        gateway("static", "{name: http, port: 80, protocol: HTTP}", "192.0.2.30"),
        at("192.0.2.30", "gatewaystaticaddresses.test", says(backend="one")),
        routes=(route("gatewaystaticaddresses", ONE, parents="[{name: static}]"),),
    ),
    row(
        "GatewayAddressEmpty",
        "a Gateway that names none gets one of a pool",
        gateway("anywhere", "{name: http, port: 80, protocol: HTTP}"),
        routes=(route("gatewayaddressempty", ONE, parents="[{name: anywhere}]"),),
        also=_empty_address,
    ),
    row(
        "GatewayHTTPListenerIsolation",
        "only the listener with the most specific hostname answers",
        gateway("isolated", _ISOLATED.replace('hostname: ""', "hostname: null"), ISO),
        *(
            ask(f"/{path}", says(status=200 if path == name else 404), to=ISO, host=host)
            for name, host in _ISO_HOSTS.items()
            for path in _ISO_HOSTS
        ),
        routes=_ISO_ROUTES,
    ),
    row(
        "GatewayInfrastructurePropagation",
        "labels and annotations go to what is made for the Gateway",
        gateway(
            "labelled",
            "{name: http, port: 80, protocol: HTTP}",
            more="infrastructure: {labels: {team: red}, "
            "annotations: {lbipam.cilium.io/ips: 192.0.2.33}}",
        ),
        at("192.0.2.33", "gatewayinfrastructurepropagation.test", says(backend="one")),
        routes=(route("gatewayinfrastructurepropagation", ONE, parents="[{name: labelled}]"),),
        also=_infrastructure,
    ),
    row(
        "GatewayHTTPSListenerDetectMisdirectedRequests",
        "a request for another listener's host on a connection with this one's name gets 421",
        gateway(
            "misdirected",
            "{name: a, port: 443, protocol: HTTPS, hostname: a.tls.test, "
            "tls: {certificateRefs: [{name: door}]}},"
            "{name: b, port: 443, protocol: HTTPS, hostname: b.tls.test, "
            "tls: {certificateRefs: [{name: door}]}}",
            "192.0.2.32",
        ),
        at("192.0.2.32", "a.tls.test", says(backend="one"), port=443, tls=True),
        at("192.0.2.32", "b.tls.test", says(backend="two"), port=443, tls=True),
        at("192.0.2.32", "b.tls.test", says(status=421), port=443, tls=True, sni="a.tls.test"),
        routes=(
            route("misdirected-a", ONE, parents="[{name: misdirected}]", hostnames="[a.tls.test]"),
            route("misdirected-b", TWO, parents="[{name: misdirected}]", hostnames="[b.tls.test]"),
        ),
    ),
    *(
        row(
            f"GatewayFrontendClientCertificateValidation{suffix}",
            says_,
            gateway(
                f"clients{number}",
                "{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: door}]}}",
                f"192.0.2.4{number}",
                more="tls: {frontend: {default: {validation: {mode: "
                + mode
                + ', caCertificateRefs: [{group: "", kind: ConfigMap, name: authority}]}}}}',
            ),
            at(f"192.0.2.4{number}", host, says(backend="one"), port=443, tls="client"),
            at(f"192.0.2.4{number}", host, others, port=443, tls="unknown"),
            at(f"192.0.2.4{number}", host, others, port=443, tls=True),
            routes=(route(slug(f"clients{number}"), ONE, parents=f"[{{name: clients{number}}}]"),),
        )
        for suffix, says_, mode, number, others in (
            (
                "",
                "a client must show a certificate of the authority",
                "AllowValidOnly",
                0,
                says(fails=True),
            ),
            (
                "InsecureFallback",
                "a client without a valid certificate is let in all the same",
                "AllowInsecureFallback",
                1,
                says(backend="one"),
            ),
        )
        for host in (f"clients{number}.test",)
    ),
    row(
        "GatewayBackendClientCertificate",
        "the Gateway shows its certificate to a backend that is spoken to in TLS",
        gateway(
            "shows",
            "{name: http, port: 80, protocol: HTTP}",
            "192.0.2.34",
            more="tls: {backend: {clientCertificateRef: {name: client}}}",
        )
        + f"""
---
apiVersion: v1
kind: Service
metadata: {{name: asks, namespace: shop}}
spec: {{selector: {{app: one}}, ports: [{{name: https, port: 443, targetPort: 8443}}]}}
---
apiVersion: {GATEWAY_API}
kind: BackendTLSPolicy
metadata: {{name: asks, namespace: shop}}
spec:
  targetRefs: [{{group: "", kind: Service, name: asks}}]
  validation:
    hostname: backend.test
    caCertificateRefs: [{{group: "", kind: ConfigMap, name: authority}}]
""",
        at("192.0.2.34", "shows.test", says(backend="one", body=None)),
        routes=(
            route("shows", "- backendRefs: [{name: asks, port: 443}]", parents="[{name: shows}]"),
        ),
        also=lambda ground: _shows_certificate(ground),
    ),
    row(
        "ListenerSet",
        "listeners are added to a Gateway that allows it, with routes of their own",
        gateway(
            "shared",
            "{name: http, port: 80, protocol: HTTP}",
            "192.0.2.35",
            more="allowedListeners: {namespaces: {from: Same}}",
        )
        + f"""
---
apiVersion: {GATEWAY_API}
kind: ListenerSet
metadata: {{name: more, namespace: shop}}
spec:
  parentRef: {{name: shared}}
  listeners:
    - {{name: extra, port: 8081, protocol: HTTP}}
    - {{name: hosted, port: 80, protocol: HTTP, hostname: hosted.test}}
""",
        at("192.0.2.35", "listenerset.test", says(backend="two"), port=8081),
        at("192.0.2.35", "hosted.test", says(backend="two")),
        at("192.0.2.35", "listenerset.test", says(backend="one")),
        routes=(
            route("listenerset-own", ONE, parents="[{name: shared}]", hostnames=""),
            route("listenerset", TWO, parents="[{kind: ListenerSet, name: more}]", hostnames=""),
        ),
    ),
    http(
        "ReferenceGrant",
        "without a grant another namespace's Service is refused, with 500 and a reason",
        "- backendRefs: [{name: two, namespace: lab, port: 80}]",
        ask("/", says(status=500)),
        more="""
        apiVersion: v1
        kind: Service
        metadata: {name: two, namespace: lab}
        spec: {selector: {app: four}, ports: [{name: http, port: 80, targetPort: 8080}]}
        """,
    ),
)


def _shows_certificate(ground: Ground) -> None:
    asked = at("192.0.2.34", "shows.test", says(backend="one"))
    ((answer,),) = ground.ask(asked)
    assert loads(answer["body"])["client"] is True
