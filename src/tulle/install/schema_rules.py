"""What the types of tulle.io's kinds cannot say, said for API servers.

The same rules as edges/manifests has, whose errors are better: they tell of what gets here all the
same. Where a schema alone can hold a rule it does, as any server knows it; rules in CEL, on times
and on numbers that are compared, hold from Kubernetes 1.25 on.
"""

from __future__ import annotations

from typing import Any

from tulle.model.gateway_routes import SessionPersistenceSpec
from tulle.model.hosts import MeshNodeSpec, MeshWorkloadSpec
from tulle.model.http_filters import ExternalAuthFilter
from tulle.model.references import GATEWAY_GROUP, BackendObjectReference
from tulle.model.traffic import (
    Abort,
    AuthSpec,
    BackendTrafficSpec,
    Budget,
    ClaimHeader,
    Delay,
    FaultSpec,
    HashKey,
    Jwks,
    Jwt,
    JwtProvider,
    Limit,
    LoadBalancing,
    Outliers,
    RateLimitSpec,
    RemoteJwks,
    RetryRate,
    TokenHeader,
    TokenPlaces,
)

Schema = dict[str, Any]

CEL = "x-kubernetes-validations"
# Least and most that a time may be.
SPANS: dict[tuple[type, str], tuple[str, str]] = {
    (AuthSpec, "timeout"): ("1ms", "1m"),
    (Budget, "interval"): ("1s", "1h"),
    (Delay, "duration"): ("1ms", "1h"),
    (HashKey, "ttl"): ("1s", "8760h"),
    (Limit, "interval"): ("50ms", "24h"),
    (LoadBalancing, "slowStart"): ("1s", "1h"),
    (Outliers, "baseEjectionTime"): ("100ms", "24h"),
    (Outliers, "interval"): ("100ms", "24h"),
    (Outliers, "maxEjectionTime"): ("100ms", "24h"),
    (RemoteJwks, "cacheDuration"): ("1s", "24h"),
    (RetryRate, "interval"): ("1ms", "1h"),
}


def _is(field: str, *values: Any) -> Schema:
    """The field is one of these, or absent."""
    return {"properties": {field: {"enum": list(values)}}}


def _any(*fields: str) -> Schema:
    return {"anyOf": [{"required": [field]} for field in fields]}


def _one(*fields: str) -> Schema:
    return {"oneOf": [{"required": [field]} for field in fields]}


def _none(*fields: str) -> Schema:
    return {"not": _any(*fields)}


def _cel(rule: str, message: str) -> Schema:
    return {CEL: [{"rule": rule, "message": message}]}


def _span(least: str, most: str) -> Schema:
    time = "duration(self)"
    rule = f"{time} >= duration('{least}') && {time} <= duration('{most}')"
    return _cel(rule, f"must be from {least} to {most}")


def _map_by(field: str) -> Schema:
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [field]}


def _target(group: str, kind: str) -> Schema:
    return {"properties": {"group": {"enum": [group]}, "kind": {"enum": [kind]}}}


_SERVICE = ("", "Service")
_OF_REQUESTS = (
    (GATEWAY_GROUP, "Gateway"),
    (GATEWAY_GROUP, "HTTPRoute"),
    (GATEWAY_GROUP, "GRPCRoute"),
    ("networking.k8s.io", "Ingress"),
    _SERVICE,
)
# By the spec of a policy: what it can be attached to.
TARGETS: dict[type, tuple[tuple[str, str], ...]] = {
    BackendTrafficSpec: (_SERVICE,),
    RateLimitSpec: _OF_REQUESTS,
    FaultSpec: _OF_REQUESTS,
    AuthSpec: _OF_REQUESTS,
}
_NOT_FROM_CLAIMS = "host|authorization|content-length|transfer-encoding|connection"

_ONE_A_FAMILY = _cel(
    "self.size() < 2 || self[0].contains(':') != self[1].contains(':')",
    "must hold one an address family at most",
)

# On fields of a struct, by what surrounds them.
FIELDS: dict[tuple[type, str], Schema] = {
    (MeshNodeSpec, "podCIDRs"): _ONE_A_FAMILY,
    (MeshWorkloadSpec, "addresses"): _ONE_A_FAMILY,
    **{place: _span(*ends) for place, ends in SPANS.items()},
    (ClaimHeader, "header"): {"not": {"pattern": f"^(?i:{_NOT_FROM_CLAIMS})$"}},
    (FaultSpec, "headers"): _map_by("name"),
    (Jwks, "inline"): {"pattern": r'^\s*\{[\s\S]*"keys"[\s\S]*\}\s*$'},
    (Jwt, "providers"): _map_by("name"),
    (JwtProvider, "claimsToHeaders"): _map_by("header"),
    (LoadBalancing, "choices"): {"not": {"enum": [1]}},
    (RemoteJwks, "path"): {
        "pattern": "^/(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})*$",
    },
    (TokenHeader, "prefix"): {"pattern": r"^[^\x00-\x1f\x7f]*$"},
}

_HASHING = {**_is("type", "RingHash", "Maglev"), **_none("choices", "slowStart")}
_COMPARING = {**_is("type", "LeastRequest"), **_none("hashOn")}
_IN_TURN = {**_is("type", "RoundRobin"), **_none("hashOn", "choices")}
_OTHER_WAYS = {**_is("type", "Latency", "Random"), **_none("hashOn", "choices", "slowStart")}
_SAYS_NOTHING: Schema = {
    "required": ["consecutiveErrors", "consecutiveGatewayErrors"],
    "properties": {
        "consecutiveErrors": {"enum": [0]},
        "consecutiveGatewayErrors": {"enum": [0]},
    },
}
_TWO_LIMITS_OF_RETRIES: Schema = {
    "required": ["circuitLimits", "retryConstraint"],
    "properties": {"circuitLimits": {"required": ["retries"]}},
}
_FOREVER_WITHOUT_END: Schema = {
    "required": ["cookie"],
    "properties": {
        "cookie": {
            "required": ["lifetimeType"],
            "properties": {"lifetimeType": {"enum": ["Permanent"]}},
        }
    },
    **_none("absoluteTimeout"),
}

# Between the fields of a struct.
STRUCTS: dict[type, Schema] = {
    Abort: _one("status", "grpcStatus"),
    AuthSpec: _any("jwt", "external"),
    BackendObjectReference: {
        "anyOf": [
            {"required": ["port"]},
            {"not": {"properties": {"group": {"enum": [""]}, "kind": {"enum": ["Service"]}}}},
        ]
    },
    BackendTrafficSpec: {
        **_any(
            "loadBalancing",
            "outlierDetection",
            "circuitLimits",
            "retryConstraint",
            "sessionPersistence",
        ),
        "not": _TWO_LIMITS_OF_RETRIES,
    },
    ExternalAuthFilter: {
        "oneOf": [
            {**_is("protocol", "HTTP"), "required": ["http"], **_none("grpc")},
            {**_is("protocol", "GRPC"), "required": ["grpc"], **_none("http")},
        ]
    },
    FaultSpec: _any("delay", "abort"),
    HashKey: {
        "oneOf": [
            {**_is("type", "SourceIP"), **_none("name", "ttl")},
            {**_is("type", "Header"), "required": ["name"], **_none("ttl")},
            {**_is("type", "Cookie"), "required": ["name"]},
        ]
    },
    Jwks: _one("inline", "remote"),
    Limit: _cel(
        "!has(self.burst) || self.burst >= self.requests",
        "burst must be at least as large as requests",
    ),
    LoadBalancing: {"oneOf": [_HASHING, _COMPARING, _IN_TURN, _OTHER_WAYS]},
    Outliers: {
        "not": _SAYS_NOTHING,
        **_cel(
            "duration(self.maxEjectionTime) >= duration(self.baseEjectionTime)",
            "maxEjectionTime is shorter than baseEjectionTime",
        ),
    },
    SessionPersistenceSpec: {
        "oneOf": [
            {**_is("type", "Cookie"), "required": ["cookie"], **_none("header")},
            {**_is("type", "Header"), "required": ["header"], **_none("cookie")},
        ],
        "not": _FOREVER_WITHOUT_END,
    },
    TokenPlaces: {
        "anyOf": [
            {"required": [field], "properties": {field: {"minItems": 1}}}
            for field in ("headers", "params", "cookies")
        ]
    },
}


def attached(spec: type) -> Schema:
    """On `targetRefs` of a policy: what it takes, and none of it twice."""
    return {
        "x-kubernetes-list-type": "set",
        "items": {
            "x-kubernetes-map-type": "atomic",
            "anyOf": [_target(*target) for target in TARGETS[spec]],
        },
    }
