"""One valid manifest of each of tulle.io's policies, and of XBackendTrafficPolicy."""

from __future__ import annotations

import json
from typing import Any

_VERSION = "tulle.io/v1alpha1"
_META = {"name": "web", "namespace": "shop"}
_SERVICE = {"group": "", "kind": "Service", "name": "web"}
_ROUTE = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "web"}
_GATEWAY = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}

EC_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "kid": "one",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
}
JWKS = json.dumps({"keys": [EC_KEY]})

BACKEND: dict[str, Any] = {
    "apiVersion": _VERSION,
    "kind": "BackendTrafficPolicy",
    "metadata": _META,
    "spec": {
        "targetRefs": [{**_SERVICE, "sectionName": "http"}, {**_SERVICE, "name": "api"}],
        "loadBalancing": {
            "type": "RingHash",
            "hashOn": [
                {"type": "Header", "name": "x-user"},
                {"type": "Cookie", "name": "user", "ttl": "1h"},
                {"type": "SourceIP"},
            ],
        },
        "outlierDetection": {
            "consecutiveErrors": 3,
            "consecutiveGatewayErrors": 2,
            "interval": "1s",
            "baseEjectionTime": "5s",
            "maxEjectionTime": "1m",
            "maxEjectionPercent": 100,
        },
        "circuitLimits": {"connections": 10, "pendingRequests": 0, "requests": 20},
        "retryConstraint": {
            "budget": {"percent": 25, "interval": "5s"},
            "minRetryRate": {"count": 3, "interval": "1s"},
        },
        "sessionPersistence": {"type": "Cookie", "cookie": {"name": "session"}},
    },
}
XBACKEND: dict[str, Any] = {
    "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
    "kind": "XBackendTrafficPolicy",
    "metadata": _META,
    "spec": {
        "targetRefs": [_SERVICE],
        "retryConstraint": {"budget": {"percent": 25}},
        "sessionPersistence": {"type": "Header", "header": {"name": "x-session"}},
    },
}
RATE_LIMIT: dict[str, Any] = {
    "apiVersion": _VERSION,
    "kind": "RateLimitPolicy",
    "metadata": _META,
    "spec": {
        "targetRefs": [{**_ROUTE, "sectionName": "cart"}, _GATEWAY],
        "limits": [
            {"requests": 100, "interval": "1m", "burst": 120},
            {"requests": 5, "per": "Client"},
        ],
        "override": True,
    },
}
FAULT: dict[str, Any] = {
    "apiVersion": _VERSION,
    "kind": "FaultInjectionPolicy",
    "metadata": _META,
    "spec": {
        "targetRefs": [_ROUTE],
        "delay": {"duration": "250ms", "percent": 12.5},
        "abort": {"status": 503, "percent": 1},
        "headers": [{"name": "x-chaos", "value": "yes"}],
    },
}
AUTH: dict[str, Any] = {
    "apiVersion": _VERSION,
    "kind": "AuthPolicy",
    "metadata": _META,
    "spec": {
        "targetRefs": [_ROUTE, _SERVICE],
        "jwt": {
            "providers": [
                {
                    "name": "corp",
                    "issuer": "https://issuer.example",
                    "audiences": ["shop"],
                    "jwks": {"inline": JWKS},
                    "from": {
                        "headers": [{"name": "authorization", "prefix": "Bearer "}],
                        "params": ["token"],
                        "cookies": ["token"],
                    },
                    "claimsToHeaders": [{"claim": "sub", "header": "x-user"}],
                    "forward": True,
                },
                {
                    "name": "partner",
                    "issuer": "https://partner.example",
                    "jwks": {
                        "remote": {
                            "backendRef": {"name": "idp", "port": 80},
                            "path": "/keys.json",
                            "cacheDuration": "1h",
                        }
                    },
                },
            ],
            "optional": False,
        },
        "external": {"protocol": "GRPC", "backendRef": {"name": "auth", "port": 9000}, "grpc": {}},
        "timeout": "500ms",
    },
}
VALID_TRAFFIC = (BACKEND, XBACKEND, RATE_LIMIT, FAULT, AUTH)
