"""Rows of TLSRoute, TCPRoute, UDPRoute and BackendTLSPolicy."""

from __future__ import annotations

from typing import Any

from tests.e2e.conformance.table import (
    GATEWAY_API,
    Check,
    Expect,
    Row,
    ask,
    http,
    objects_of,
    route,
    says,
    slug,
)

STREAMS = "192.0.2.20"
_GATEWAY = f"""
apiVersion: {GATEWAY_API}
kind: Gateway
metadata: {{name: streams, namespace: shop}}
spec:
  gatewayClassName: tulle
  addresses: [{{value: {STREAMS}}}]
  listeners:
    - {{name: tls, port: 443, protocol: TLS, tls: {{mode: Passthrough}}}}
    - name: ended
      port: 444
      protocol: TLS
      tls: {{mode: Terminate, certificateRefs: [{{name: door}}]}}
    - name: mixed-passed
      port: 445
      protocol: TLS
      hostname: passed.test
      tls: {{mode: Passthrough}}
    - name: mixed-ended
      port: 445
      protocol: TLS
      hostname: ended.test
      tls: {{mode: Terminate, certificateRefs: [{{name: door}}]}}
    - {{name: tcp, port: 7000, protocol: TCP}}
    - {{name: udp, port: 5353, protocol: UDP}}
"""
_PASSES = "[{name: one, port: 944}]"


def line(port: int, expect: Expect, **more: Any) -> Check:
    return Check({"via": "tls", "to": STREAMS, "port": port, **more}, expect)


def stream(
    feature: str, says: str, kind: str, listener: str, backends: str, *checks: Check, **more: Any
) -> Row:
    name = slug(feature, more.pop("case", ""))
    parents = f"[{{name: streams, sectionName: {listener}}}]"
    made = route(name, f"- backendRefs: {backends}", kind, parents, more.pop("hostnames", ""))
    return Row(
        feature, says, (*objects_of(_GATEWAY), made, *more.pop("others", ())), checks, **more
    )


_MIXED_PASSED = route(
    "mixed-passed",
    f"- backendRefs: {_PASSES}",
    "TLSRoute",
    "[{name: streams, sectionName: mixed-passed}]",
    "[passed.test]",
)

ROWS: tuple[Row, ...] = (
    stream(
        "TLSRoute",
        "connections go by their server name to a backend that ends TLS itself",
        "TLSRoute",
        "tls",
        _PASSES,
        line(443, says(backend="one"), tls=True, sni="backend.test"),
        line(443, says(fails=True), tls=True, sni="other.test"),
        hostnames="[backend.test]",
    ),
    stream(
        "TLSRouteModeTerminate",
        "TLS ends at the Gateway, and the backend gets what was in it",
        "TLSRoute",
        "ended",
        "[{name: one, port: 900}]",
        line(444, says(backend="one"), tls=True, sni="ended.test"),
        line(444, says(fails=True), tls=True, sni="nobody.else"),
        hostnames="[ended.test]",
    ),
    stream(
        "TLSRouteModeMixed",
        "on one port some names are passed on and others end",
        "TLSRoute",
        "mixed-ended",
        "[{name: two, port: 900}]",
        line(445, says(backend="two"), tls=True, sni="ended.test"),
        line(445, says(fails=True), tls=True, sni="passed.test"),  # it shows the backend's name
        hostnames="[ended.test]",
        others=(_MIXED_PASSED,),
    ),
    stream(
        "TCPRoute",
        "connections are shared by weight among backends of two nodes",
        "TCPRoute",
        "tcp",
        "[{name: one, port: 900, weight: 1}, {name: two, port: 900, weight: 1}]",
        line(7000, says(shares={"one": (0.3, 0.7), "two": (0.3, 0.7)}), via="tcp", count=100),
    ),
    stream(
        "UDPRoute",
        "datagrams go to a backend, and its answers come back",
        "UDPRoute",
        "udp",
        "[{name: one, port: 53}]",
        line(5353, says(backend="one"), via="udp", count=10),
    ),
)


def backend_tls(name: str, service: str, validation: str) -> str:
    """A Service of its own, of the backend `one`, and a policy for it."""
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {service}, namespace: shop}}
spec: {{selector: {{app: one}}, ports: [{{name: https, port: 443, targetPort: 8443}}]}}
---
apiVersion: {GATEWAY_API}
kind: BackendTLSPolicy
metadata: {{name: {name}, namespace: shop}}
spec:
  targetRefs: [{{group: "", kind: Service, name: {service}}}]
  validation: {{{validation}}}
"""


_AUTHORITY = 'caCertificateRefs: [{group: "", kind: ConfigMap, name: authority}]'
_RULES = """
- matches: [{path: {value: /right}}]
  backendRefs: [{name: SERVICE-right, port: 443}]
- matches: [{path: {value: /wrong}}]
  backendRefs: [{name: SERVICE-wrong, port: 443}]
"""


def _tls_row(feature: str, says_: str, service: str, right: str, wrong: str) -> Row:
    policies = [
        backend_tls(f"{service}-{way}", f"{service}-{way}", f"{validation}, {_AUTHORITY}")
        for way, validation in (("right", right), ("wrong", wrong))
    ]
    return http(
        feature,
        says_,
        _RULES.replace("SERVICE", service),
        ask("/right", says(backend="one")),
        ask("/wrong", says(status=503)),
        more="\n---\n".join(policies),
    )


TLS_ROWS: tuple[Row, ...] = (
    _tls_row(
        "BackendTLSPolicy",
        "the backend is spoken to in TLS, and must bear the name",
        "tls",
        "hostname: backend.test",
        "hostname: other.test",
    ),
    _tls_row(
        "BackendTLSPolicySANValidation",
        "the backend's certificate must bear one of these names, whatever the server name",
        "san",
        'hostname: sni.test, subjectAltNames: [{type: URI, uri: "spiffe://shop.test/backend"}]',
        "hostname: backend.test, subjectAltNames: [{type: Hostname, hostname: other.test}]",
    ),
)
