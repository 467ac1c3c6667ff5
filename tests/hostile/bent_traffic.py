"""What is wrong with each field of tulle.io's policies, and of XBackendTrafficPolicy."""

from __future__ import annotations

import json
from typing import Any

from .bending import GONE, Table
from .traffic import AUTH, BACKEND, EC_KEY, FAULT, JWKS, RATE_LIMIT, XBACKEND

_DURATIONS = ("", "1", "1.5s", "-1s", "1d", 10)
_POD = {"group": "", "kind": "Pod", "name": "web"}
_SERVICE = {"group": "", "kind": "Service", "name": "web"}
_PERCENTS = (-1, 101, "5", 0.00001)
_BALANCING, _OUTLIERS = "spec.loadBalancing.", "spec.outlierDetection."
_LIMITS, _RETRIES = "spec.circuitLimits.", "spec.retryConstraint."
_PROVIDER = "spec.jwt.providers.0."
_JWKS = _PROVIDER + "jwks.inline"
_REMOTE = "spec.jwt.providers.1.jwks.remote."


def _keys(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys})


BENT_TRAFFIC: Table = (
    *(
        (base, "spec.targetRefs", (GONE, [], {}, [_SERVICE] * 2, [_POD], [{}], [_SERVICE] * 17))
        for base in (BACKEND, XBACKEND, RATE_LIMIT, FAULT, AUTH)
    ),
    *((base, "apiVersion", ("v1", "tulle.io/v1")) for base in (BACKEND, RATE_LIMIT, FAULT, AUTH)),
    *((base, "spec", (GONE, [], {})) for base in (BACKEND, XBACKEND, RATE_LIMIT, FAULT, AUTH)),
    *(
        (base, "spec.limit", ({}, 1))  # no such field
        for base in (BACKEND, XBACKEND, RATE_LIMIT, FAULT, AUTH)
    ),
    (BACKEND, "spec.targetRefs.0.sectionName", ("", "Http", "a_b", 80)),
    (BACKEND, "spec.targetRefs.0.kind", ("HTTPRoute", "")),
    (BACKEND, "spec", ({"targetRefs": [_SERVICE]},)),
    (BACKEND, _BALANCING + "type", (GONE, "PeakEWMA", "Random", "ringhash", 1)),
    (BACKEND, _BALANCING + "choices", (1, -1, 101, 5, "2")),
    (BACKEND, _BALANCING + "slowStart", ("10s", *_DURATIONS)),
    (BACKEND, _BALANCING + "hashOn", ({}, [{}], [{"type": "SourceIP"}] * 9)),
    (BACKEND, _BALANCING + "hashOn.0.type", (GONE, "Port", "SourceIP", "header", 1)),
    (BACKEND, _BALANCING + "hashOn.0.name", (GONE, "", "a b", "a:", 1)),
    (BACKEND, _BALANCING + "hashOn.0.ttl", ("1h",)),
    (BACKEND, _BALANCING + "hashOn.1.ttl", (*_DURATIONS, "0s", "9000h")),
    (BACKEND, _BALANCING + "hashOn.2.name", ("a",)),
    (BACKEND, "spec.loadBalancing", ({"type": "LeastRequest", "slowStart": "0s"},)),
    (BACKEND, _OUTLIERS + "consecutiveErrors", (-1, 1001, "5", 1.5)),
    (BACKEND, "spec.outlierDetection", ({"consecutiveErrors": 0},)),
    (BACKEND, _OUTLIERS + "interval", (*_DURATIONS, "0s", "10ms", "25h")),
    (BACKEND, _OUTLIERS + "baseEjectionTime", (*_DURATIONS, "0s", "2m")),
    (BACKEND, _OUTLIERS + "maxEjectionTime", (*_DURATIONS, "1s")),
    (BACKEND, _OUTLIERS + "maxEjectionPercent", (-1, 101, "5", 1.5)),
    (BACKEND, _LIMITS + "connections", (0, -1, 2**31, "5", 1.5)),
    (BACKEND, _LIMITS + "pendingRequests", (-1, 2**31, "5")),
    (BACKEND, _LIMITS + "requests", (0, "5")),
    (BACKEND, _LIMITS + "retries", (-1, 5)),
    (BACKEND, _RETRIES + "budget.percent", (-1, 101, 1.5, "5")),
    (BACKEND, _RETRIES + "budget.interval", (*_DURATIONS, "500ms", "2h")),
    (BACKEND, _RETRIES + "minRetryRate.count", (0, 1_000_001)),
    (BACKEND, _RETRIES + "minRetryRate.interval", (*_DURATIONS, "0s", "2h")),
    (BACKEND, "spec.sessionPersistence.type", ("Header", "IP")),
    (BACKEND, "spec.sessionPersistence.cookie", (GONE, {"name": "a b"})),
    (XBACKEND, "spec.targetRefs.0.sectionName", ("http",)),
    (XBACKEND, "spec.loadBalancing", ({"type": "Random"},)),
    (XBACKEND, "spec.retryConstraint.budget.percent", (101,)),
    (RATE_LIMIT, "spec.limits", (GONE, [], {}, None, [{"requests": 1}] * 5)),
    (RATE_LIMIT, "spec.limits.0.requests", (GONE, 0, -1, 1_000_001, "5", 1.5)),
    (RATE_LIMIT, "spec.limits.0.interval", (*_DURATIONS, "0s", "49ms", "25h", None)),
    (RATE_LIMIT, "spec.limits.0.burst", (0, 99, "200")),
    (RATE_LIMIT, "spec.limits.1.per", ("Header", "client", "", 1)),
    (RATE_LIMIT, "spec.override", ("true", 1)),
    (FAULT, "spec.delay", ({}, {"percent": 5})),
    (FAULT, "spec.delay.duration", (*_DURATIONS, "0s", "2h")),
    (FAULT, "spec.delay.percent", _PERCENTS),
    (FAULT, "spec.abort", ({}, {"status": 500, "grpcStatus": 14})),
    (FAULT, "spec.abort.status", (199, 600, "503")),
    (FAULT, "spec.abort.percent", _PERCENTS),
    (FAULT, "spec.abort.grpcStatus", (0, 17, "UNAVAILABLE")),
    (FAULT, "spec.headers", ({}, [{}], [{"name": "a", "value": "b"}] * 2)),
    (FAULT, "spec.headers.0.value", (GONE, "", 1)),
    (AUTH, "spec.jwt", ({}, None, {"providers": []})),
    (AUTH, "spec.jwt.optional", ("yes", 1, None)),
    (AUTH, _PROVIDER + "name", (GONE, "", 1)),
    (AUTH, _PROVIDER + "issuer", (GONE, "", 1)),
    (AUTH, _PROVIDER + "audiences", ("shop", [""], ["a"] * 17)),
    (AUTH, _PROVIDER + "from", ({}, {"headers": []})),
    (AUTH, _PROVIDER + "from.headers.0.prefix", ("\n", "a" * 65)),
    (AUTH, _PROVIDER + "claimsToHeaders.0.header", (GONE, "", "Host", "a b", ":path")),
    (AUTH, _PROVIDER + "claimsToHeaders", ([{"claim": "a", "header": "x"}] * 2,)),
    (AUTH, _JWKS, (GONE, "", "{", "[]", "{}", '{"keys": {}}', '{"keys": []}', '{"keys": [1]}', {})),
    (AUTH, _JWKS, ("[" * 5000, _keys(*[EC_KEY] * 33), _keys({"kty": "oct", "k": "c2VjcmV0"}))),
    (AUTH, _JWKS, (_keys({**EC_KEY, "d": "AA"}), _keys({**EC_KEY, "x": "AA"}))),
    (AUTH, _JWKS, (_keys({**EC_KEY, "crv": "P-1"}), _keys({**EC_KEY, "y": EC_KEY["y"] + "="}))),
    (AUTH, _JWKS, (_keys({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), _keys({**EC_KEY, "kid": 1}))),
    (AUTH, _JWKS, (_keys({"kty": "OKP", "crv": "X25519", "x": EC_KEY["x"]}), _keys({}))),
    (AUTH, _PROVIDER + "jwks", (GONE, [], {"remote": {}, "inline": JWKS}, {"url": "a"})),
    (AUTH, _PROVIDER + "jwks.remote", ({"backendRef": {"name": "idp", "port": 80}},)),
    (AUTH, _REMOTE + "backendRef", (GONE, {}, {"name": "idp"}, {"name": "idp", "port": 0})),
    (AUTH, _REMOTE + "path", ("", "keys.json", "/a b", "/\n", "/" + "a" * 1024, 1)),
    (AUTH, _REMOTE + "cacheDuration", (*_DURATIONS, "0s", "999ms", "25h")),
    (AUTH, "spec.external", (None, {}, {"protocol": "GRPC", "backendRef": {"name": "auth"}})),
    (AUTH, "spec.external.protocol", ("HTTP", "grpc", 1)),
    (AUTH, "spec.external.backendRef.port", (GONE, 0, 65536, "80")),
    (AUTH, "spec.timeout", (*_DURATIONS, "0s", "61s")),
    (AUTH, "spec", ({"targetRefs": [_SERVICE]},)),
)
