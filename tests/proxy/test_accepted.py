"""What the rules of manifests let through the real Envoy takes, at all limits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.traffic import EC_KEY, JWKS, VALID_TRAFFIC
from tests.proxy.envoy import judged
from tests.unit.compile.routes.worlds import POOL, completed
from tests.unit.compile.routes.worlds import world_of as with_more
from tests.unit.compile.traffic.scenes import world_of
from tulle.compile.proxy import proxy_image
from tulle.compile.services import ServiceParts
from tulle.compile.traffic import route

ROUTE = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "web"}
SERVICE = {"group": "", "kind": "Service", "name": "web"}
MOST = 2**31 - 1
ODD = "a \"b\" '%c%' {d} ä\n\t$1"  # text that means something to somebody


@dataclass(frozen=True)
class Says:
    kind: str
    spec: dict[str, Any]


def provider(**fields: Any) -> dict[str, Any]:
    return {"name": "p", "issuer": "i", "jwks": {"inline": JWKS}, **fields}


def tokens(**fields: Any) -> Says:
    return Says("AuthPolicy", {"jwt": {"providers": [provider(**fields)]}})


def backends(**spec: Any) -> Says:
    return Says("BackendTrafficPolicy", spec)


def asking(**external: Any) -> Says:
    backend = {"name": "auth", "port": 9000}
    return Says("AuthPolicy", {"external": {"backendRef": backend, **external}})


OUTLIERS = {"interval": "24h", "baseEjectionTime": "24h", "maxEjectionTime": "24h"}
EXTREMES = [
    Says("RateLimitPolicy", {"limits": [{"requests": 1_000_000, "interval": "50ms"}] * 4}),
    Says("RateLimitPolicy", {"limits": [{"requests": 1, "interval": "24h", "burst": 1_000_000}]}),
    Says("FaultInjectionPolicy", {"delay": {"duration": "1h", "percent": 0.0001}}),
    Says("FaultInjectionPolicy", {"delay": {"duration": "1ms"}, "abort": {"grpcStatus": 16}}),
    Says(
        "FaultInjectionPolicy",
        {"abort": {"status": 200, "percent": 0}, "headers": [{"name": "a", "value": ODD}]},
    ),
    Says("FaultInjectionPolicy", {"abort": {"status": 599}}),
    tokens(name=ODD, issuer=ODD, audiences=[ODD]),
    tokens(**{"from": {"headers": [{"name": "a", "prefix": "%a {b}"}], "params": [ODD]}}),
    tokens(**{"from": {"cookies": ["a!#$%&'*+-.^_`|~"]}}),
    tokens(claimsToHeaders=[{"claim": ODD, "header": "a!#$%&'*+-.^_`|~"}]),
    tokens(jwks={"inline": json.dumps({"keys": [EC_KEY] * 32})}),
    tokens(jwks={"remote": {"backendRef": {"name": "auth", "port": 9000}, "path": "/%41~!$&'()"}}),
    asking(protocol="HTTP", http={"path": "/%41~!$&'()", "allowedHeaders": [ODD, ""]}),
    asking(protocol="HTTP", http={"allowedResponseHeaders": [ODD, ""]}),
    asking(protocol="GRPC", grpc={"allowedHeaders": [ODD]}, forwardBody={"maxSize": MOST}),
    backends(circuitLimits={"connections": MOST, "pendingRequests": MOST, "requests": MOST}),
    backends(circuitLimits={"connections": 1, "pendingRequests": 0, "requests": 1, "retries": 0}),
    backends(outlierDetection={"consecutiveErrors": 1000, "maxEjectionPercent": 100, **OUTLIERS}),
    backends(outlierDetection={"consecutiveGatewayErrors": 1, "maxEjectionPercent": 0}),
    backends(outlierDetection={"interval": "100ms", "baseEjectionTime": "100ms"}),
    backends(loadBalancing={"type": "LeastRequest", "choices": 100, "slowStart": "1h"}),
    backends(loadBalancing={"type": "LeastRequest", "choices": 0}),
    backends(loadBalancing={"type": "Latency"}),
    backends(loadBalancing={"type": "RoundRobin", "slowStart": "1s"}),
    backends(
        loadBalancing={
            "type": "Maglev",
            "hashOn": [{"type": "Cookie", "name": "a!#$%&'*+-.^_`|~", "ttl": "8760h"}] * 8,
        }
    ),
    backends(
        retryConstraint={
            "budget": {"percent": 0, "interval": "1h"},
            "minRetryRate": {"count": 1_000_000, "interval": "1ms"},
        }
    ),
    backends(retryConstraint={"budget": {"percent": 100, "interval": "1s"}}),
]


def refused(manifest: dict[str, Any], place: Path) -> str:
    world = world_of(json.dumps(manifest))
    routing = route(completed(with_more(POOL, base=world)))
    (status,) = (told for ref, told in routing.status.items() if ref.kind == manifest["kind"])
    assert status["ancestors"][0]["conditions"][0]["status"] == "True"
    return judged(proxy_image(routing, ServiceParts()).image, place)


@pytest.mark.parametrize("number", range(len(EXTREMES)))
def test_at_all_limits(number: int, tmp_path: Path) -> None:
    says = EXTREMES[number]
    target = SERVICE if says.kind == "BackendTrafficPolicy" else ROUTE
    metadata = {"name": "p", "namespace": "shop"}
    spec = {"targetRefs": [target], **says.spec}
    assert not refused({"kind": says.kind, "metadata": metadata, "spec": spec}, tmp_path)


@pytest.mark.parametrize("manifest", VALID_TRAFFIC, ids=lambda manifest: manifest["kind"])
def test_with_most_fields(manifest: dict[str, Any], tmp_path: Path) -> None:
    assert not refused(manifest, tmp_path)
