"""The Gateway API's features, and the form of the rows that try them.

Names and groups are those of its published list (pkg/features). A feature passes if all of its rows
do; a row that says what is `missing` must fail, so that this table cannot grow old in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from textwrap import dedent, indent
from typing import Any

import yaml

Json = dict[str, Any]

FEATURES: Mapping[str, tuple[str, ...]] = {
    "GatewayClass and Gateway": (
        "Gateway",
        "GatewayPort8080",
        "GatewayRouteHostnameIntersectionPrecedence",
        "GatewayStaticAddresses",
        "GatewayAddressEmpty",
        "GatewayHTTPListenerIsolation",
        "GatewayInfrastructurePropagation",
        "GatewayHTTPSListenerDetectMisdirectedRequests",
        "GatewayFrontendClientCertificateValidation",
        "GatewayFrontendClientCertificateValidationInsecureFallback",
        "GatewayBackendClientCertificate",
        "ListenerSet",
        "ReferenceGrant",
    ),
    "HTTPRoute": (
        "HTTPRoute",
        "HTTPRoute303RedirectStatusCode",
        "HTTPRoute307RedirectStatusCode",
        "HTTPRoute308RedirectStatusCode",
        "HTTPRouteBackendProtocolH2C",
        "HTTPRouteBackendProtocolWebSocket",
        "HTTPRouteBackendRequestHeaderModification",
        "HTTPRouteBackendRequestRedirect",
        "HTTPRouteBackendURLRewrite",
        "HTTPRouteBackendTimeout",
        "HTTPRouteCORS",
        "HTTPRouteDestinationPortMatching",
        "HTTPRouteHostRewrite",
        "HTTPRouteMethodMatching",
        "HTTPRouteNamedRouteRule",
        "HTTPRouteParentRefPort",
        "HTTPRoutePathRedirect",
        "HTTPRoutePathRewrite",
        "HTTPRoutePortRedirect",
        "HTTPRouteQueryParamMatching",
        "HTTPRouteRequestMirror",
        "HTTPRouteRequestMultipleMirrors",
        "HTTPRouteRequestPercentageMirror",
        "HTTPRouteRequestTimeout",
        "HTTPRouteResponseHeaderModification",
        "HTTPRouteRetry",
        "HTTPRouteRetryBackendTimeout",
        "HTTPRouteRetryConnectionError",
        "HTTPRouteSchemeRedirect",
    ),
    "GRPCRoute": ("GRPCRoute", "GRPCRouteNamedRouteRule", "GRPCRouteRequestHeaderModifier"),
    "TLSRoute": ("TLSRoute", "TLSRouteModeTerminate", "TLSRouteModeMixed"),
    "TCPRoute and UDPRoute": ("TCPRoute", "UDPRoute"),
    "BackendTLSPolicy": ("BackendTLSPolicy", "BackendTLSPolicySANValidation"),
    "Mesh": (
        "Mesh",
        "MeshClusterIPMatching",
        "MeshConsumerRoute",
        "MeshGRPCRoute",
        "MeshHTTPRouteBackendRequestHeaderModification",
        "MeshHTTPRouteNamedRouteRule",
        "MeshHTTPRouteQueryParamMatching",
        "MeshHTTPRouteRedirectPath",
        "MeshHTTPRouteRedirectPort",
        "MeshHTTPRouteRewritePath",
        "MeshHTTPRouteSchemeRedirect",
    ),
}

DOOR = "192.0.2.10"  # the address of the Gateway that most rows share
DOOR6 = "2001:db8:7a11::10"
GATEWAY_API = "gateway.networking.k8s.io/v1"


@dataclass(frozen=True)
class Expect:
    """Of an answer; what is None is not looked at. Names of headers are lower-case.

    `got` and `not_got` are headers that the backend saw, `has` and `has_not` those of the answer.
    A value is a regular expression for all of it.
    """

    status: int = 200
    backend: str | None = None
    path: str | None = None
    host: str | None = None
    protocol: str | None = None
    got: Mapping[str, str] = field(default_factory=dict)
    not_got: tuple[str, ...] = ()
    has: Mapping[str, str] = field(default_factory=dict)
    has_not: tuple[str, ...] = ()
    body: str | None = None
    fails: bool = False  # there is no answer
    shares: Mapping[str, tuple[float, float]] | None = None  # of several answers, by backend
    at_least_s: float = 0.0  # so long it takes, all tries together
    at_most_s: float = 4.0


@dataclass(frozen=True)
class Check:
    ask: Json
    expect: Expect = Expect()
    client: str = "outside"  # or the workload `client`, `stranger`


@dataclass(frozen=True)
class Row:
    """`also` are more checks, given the ground that the row stands on."""

    feature: str
    says: str
    objects: tuple[Json, ...]
    checks: tuple[Check, ...] = ()
    case: str = ""
    also: Callable[[Any], None] | None = None
    missing: str = ""

    @property
    def id(self) -> str:
        return f"{self.feature}-{self.case}" if self.case else self.feature


def slug(feature: str, case: str = "") -> str:
    """A name for the row's objects and, with `.test`, its host."""
    return re.sub(r"[^a-z0-9]+", "-", f"{feature} {case}".lower()).strip("-")


def objects_of(text: str) -> tuple[Json, ...]:
    return tuple(item for item in yaml.safe_load_all(dedent(text)) if item)


def route(
    name: str,
    rules: str,
    kind: str = "HTTPRoute",
    parents: str = "[{name: door, sectionName: http}]",
    hostnames: str | None = None,
    namespace: str = "shop",
) -> Json:
    """`hostnames` is a list in YAML, None: the name's own, "": none."""
    hosts = f"[{name}.test]" if hostnames is None else hostnames
    (made,) = objects_of(
        f"apiVersion: {GATEWAY_API}\n"
        f"kind: {kind}\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\n"
        "spec:\n"
        f"  parentRefs: {parents}\n"
        + (f"  hostnames: {hosts}\n" if hosts else "")
        + "  rules:\n"
        + indent(dedent(rules).strip("\n"), "    ")
    )
    return made


def http(
    feature: str,
    says: str,
    rules: str,
    *checks: Check,
    case: str = "",
    more: str = "",
    missing: str = "",
    **options: Any,
) -> Row:
    """A row with one route at the shared Gateway; its checks are for the route's own host."""
    name = slug(feature, case)
    made = (route(name, rules, **options), *objects_of(more))
    asked = tuple(_at_home(check, f"{name}.test") for check in checks)
    return Row(feature, says, made, asked, case, missing=missing)


def _at_home(check: Check, host: str) -> Check:
    return Check({"host": host, **check.ask}, check.expect, check.client)


def ask(path: str = "/", expect: Expect = Expect(), client: str = "outside", **ask: Any) -> Check:
    """An HTTP request to the shared Gateway, unless told otherwise. `headers` is a mapping."""
    if "headers" in ask:
        ask["headers"] = [list(item) for item in ask["headers"].items()]
    return Check({"via": "http", "to": DOOR, "port": 80, "path": path, **ask}, expect, client)


def says(**expected: Any) -> Expect:
    return Expect(**expected)
