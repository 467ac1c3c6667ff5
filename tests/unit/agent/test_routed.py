"""What `tulle get routes` and `tulle get gateways` are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.unit.agent.passes import pass_of
from tulle.agent import routed
from tulle.edges.manifests.directory import Snapshot
from tulle.edges.manifests.parse import parse
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Routing
from tulle.model.world import World

TEXT = b"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: door, namespace: shop}
spec:
  gatewayClassName: tulle
  listeners:
    - {name: http, port: 80, protocol: HTTP}
    - name: https
      port: 443
      protocol: HTTPS
      hostname: shop.test
      tls: {certificateRefs: [{name: x}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  hostnames: [shop.test]
  parentRefs: [{name: door, sectionName: http}, {kind: Service, group: "", name: web, port: 80}]
  rules:
    - backendRefs: [{name: web, port: 80, weight: 95}, {name: new, namespace: lab, port: 80}]
    - backendRefs: [{name: web, port: 80, weight: 95}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: old, namespace: shop}
spec:
  ingressClassName: tulle
  defaultBackend: {service: {name: web, port: {name: http}}}
  rules:
    - host: old.test
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: api, port: {number: 81}}}}
---
apiVersion: tulle.io/v1alpha1
kind: RateLimitPolicy
metadata: {name: few, namespace: shop}
spec:
  targetRefs:
    - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: web, sectionName: cart}
    - {group: "", kind: Service, name: web}
  limits: [{requests: 1}]
"""


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


GOOD = [
    condition("Accepted", "True", "Accepted"),
    condition("ResolvedRefs", "True", "ResolvedRefs"),
]
BAD = [
    condition("Accepted", "False", "NoMatchingParent", "no such port"),
    condition("ResolvedRefs", "True", "ResolvedRefs"),
    condition("Conflicted", "False", "NoConflicts"),
]
PARENTS = [
    {"parentRef": {"name": "door", "sectionName": "http"}, "conditions": GOOD},
    {"parentRef": {"kind": "Service", "group": "", "name": "web", "port": 80}, "conditions": BAD},
]
LISTENERS = [
    {
        "name": "http",
        "attachedRoutes": 1,
        "conditions": [condition("Programmed", "True", "Programmed")],
    },
    {
        "name": "https",
        "attachedRoutes": 0,
        "conditions": [condition("Programmed", "False", "Invalid", "no Secret shop/x")],
    },
]
DOOR, WEB = ObjectRef("Gateway", "shop", "door"), ObjectRef("HTTPRoute", "shop", "web")
STATUS = {
    DOOR: {
        "addresses": [{"type": "IPAddress", "value": "192.0.2.10"}],
        "conditions": [condition("Accepted", "True", "Accepted")],
        "listeners": LISTENERS,
    },
    WEB: {"parents": PARENTS},
    ObjectRef("RateLimitPolicy", "shop", "few"): {
        "ancestors": [{"ancestorRef": {"kind": "Gateway", "name": "door"}, "conditions": BAD}]
    },
}


def now(text: bytes = TEXT) -> Any:
    kinds: dict[str, dict[Any, Any]] = {}
    for placed in parse(text, "-").objects:
        ref = ref_of(placed.obj)
        kinds.setdefault(ref.kind, {})[ref.namespace, ref.name] = placed.obj
    made = pass_of(World())
    return replace(made, snapshot=Snapshot(kinds, ()), routing=Routing(status=STATUS))


def test_routes_have_their_parents_and_backends() -> None:
    web, ingress = routed.routes(None, now())  # type: ignore[arg-type]
    assert (web["kind"], web["hostnames"]) == ("HTTPRoute", ["shop.test"])
    assert web["parents"] == [
        {"parent": "Gateway shop/door:http", "accepted": True, "resolvedrefs": True, "reasons": []},
        {
            "parent": "Service shop/web:80",
            "accepted": False,
            "resolvedrefs": True,
            "reasons": ["NoMatchingParent: no such port"],
        },
    ]
    assert web["backends"] == ["shop/web:80 (95)", "lab/new:80"]
    assert (ingress["hostnames"], ingress["parents"]) == (["old.test"], [])
    assert ingress["backends"] == ["shop/api:81", "shop/web:http"]


def test_parents_that_nobody_has_are_told() -> None:
    text = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: lost, namespace: shop}
spec:
  parentRefs: [{name: dor, sectionName: http}, {kind: Service, name: web}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: other, namespace: shop}
spec:
  gatewayClassName: nginx
  listeners: [{name: http, port: 80, protocol: HTTP}]
"""
    (lost,) = routed.routes(None, now(text.encode()))  # type: ignore[arg-type]
    assert [(item["parent"], item["accepted"], item["reasons"]) for item in lost["parents"]] == [
        ("Gateway shop/dor:http", None, ["there is no Gateway shop/dor that Tulle serves"]),
        ("Service shop/web", None, ['a Service as parent needs group: ""']),
    ]
    (other,) = routed.gateways(None, now(text.encode()))  # type: ignore[arg-type]
    assert other["reasons"] == ["GatewayClass nginx is none of Tulle's"]


def test_gateways_have_their_listeners_and_addresses() -> None:
    (door,) = routed.gateways(None, now())  # type: ignore[arg-type]
    assert (door["class"], door["addresses"]) == ("tulle", ["192.0.2.10"])
    assert (door["accepted"], door["programmed"]) == (True, False)
    http, https = door["listeners"]
    assert (http["attached_routes"], http["programmed"]) == (1, True)
    assert (https["hostname"], https["reasons"]) == ("shop.test", ["Invalid: no Secret shop/x"])


def test_traffic_policies_have_their_targets_and_ancestors() -> None:
    (few,) = routed.traffic(None, now())  # type: ignore[arg-type]
    assert few["targets"] == ["HTTPRoute shop/web:cart", "Service shop/web"]
    assert few["ancestors"] == [
        {
            "ancestor": "Gateway shop/door",
            "accepted": False,
            "reasons": ["NoMatchingParent: no such port"],
        }
    ]


def test_classes_and_policies_for_tls_have_their_status() -> None:
    text = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: mine}
spec: {controllerName: tulle.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: tls, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: web}]
  validation: {hostname: web.test, wellKnownCACertificates: System}
"""
    mine, tls = (item.obj for item in parse(text.encode(), "-").objects)
    kinds = {"GatewayClass": {"mine": mine}, "BackendTLSPolicy": {("shop", "tls"): tls}}
    status = {ref_of(mine): {"conditions": GOOD}, ref_of(tls): {"ancestors": []}}
    made = replace(now(), snapshot=Snapshot(kinds, ()), routing=Routing(status=status))
    (row,) = routed.gateways(None, made)  # type: ignore[arg-type]
    assert (row["kind"], row["namespace"], row["name"]) == ("GatewayClass", "", "mine")
    assert (row["accepted"], row["programmed"], row["listeners"]) == (True, True, [])
    assert row["manifest"]["status"] == {"conditions": GOOD}
    (row,) = routed.traffic(None, made)  # type: ignore[arg-type]
    assert (row["kind"], row["targets"]) == ("BackendTLSPolicy", ["Service shop/web"])


def test_the_whole_object_goes_with_its_status() -> None:
    manifest = routed.routes(None, now())[0]["manifest"]  # type: ignore[arg-type]
    assert manifest["kind"] == "HTTPRoute"
    assert manifest["status"] == {"parents": PARENTS}


def test_what_is_not_in_force_is_told_with_its_reason() -> None:
    assert routed.not_in_force(now()) == [
        {"object": "Gateway shop/door", "reason": "listener https: Invalid: no Secret shop/x"},
        {
            "object": "HTTPRoute shop/web",
            "reason": "Service shop/web:80: NoMatchingParent: no such port",
        },
        {
            "object": "RateLimitPolicy shop/few",
            "reason": "Gateway shop/door: NoMatchingParent: no such port",
        },
    ]


def test_who_applies_is_warned_of_these_objects_alone() -> None:
    lost = ObjectRef("HTTPRoute", "shop", "lost")
    asked = [routed.ref_named(name) for name in ("HTTPRoute shop/web", "Pod shop/web-1")]
    assert asked == [WEB, None]
    assert routed.warnings(now(), [WEB, lost]) == [
        "HTTPRoute shop/web: Service shop/web:80: NoMatchingParent: no such port",
        "HTTPRoute shop/lost: none of its parents is there, or none is Tulle's",
    ]
