"""Fields of policies → values, each where it belongs."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.hostile.traffic import AUTH, BACKEND, FAULT, JWKS, RATE_LIMIT, XBACKEND
from tulle.compile.traffic import values
from tulle.edges.manifests import validate
from tulle.model.kinds import KINDS
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Destination
from tulle.model.routing_policies import (
    BackendTraffic,
    Balancing,
    CircuitLimits,
    Fault,
    HashKey,
    OutlierDetection,
    RateLimit,
    RemoteKeys,
    RetryBudget,
    TokenBucket,
    TokenCheck,
    TokenIssuer,
)


def parsed(document: dict[str, Any]) -> Any:
    return validate(msgspec.convert(document, KINDS[document["kind"]]))


def ref(kind: str) -> ObjectRef:
    return ObjectRef(kind, "shop", "web")


def test_of_backends() -> None:
    assert values.backend_traffic(parsed(BACKEND)) == BackendTraffic(
        ref("BackendTrafficPolicy"),
        Balancing(
            "RingHash",
            2,
            (
                HashKey("Header", "x-user"),
                HashKey("Cookie", "user", 3_600_000),
                HashKey("SourceIP"),
            ),
        ),
        OutlierDetection(3, 2, 1000, 5000, 60_000, 100),
        CircuitLimits(10, 0, 20),
        RetryBudget(25, 5000, 3),
    )


def test_of_the_experimental_kind() -> None:
    traffic = values.backend_traffic(parsed(XBACKEND))
    assert traffic == BackendTraffic(
        ref("XBackendTrafficPolicy"), retries=RetryBudget(25, 10_000, 10)
    )


def test_of_requests() -> None:
    assert values.rate_limit(parsed(RATE_LIMIT), "somewhere") == RateLimit(
        ref("RateLimitPolicy"),
        "shop/web:somewhere",
        (TokenBucket(100, 60_000, 120), TokenBucket(5, 1000, 5, per_client=True)),
    )
    assert values.fault(parsed(FAULT)) == Fault(
        ref("FaultInjectionPolicy"), 250, 125_000, 503, 0, 10_000, (("x-chaos", "yes"),)
    )
    issuer = TokenIssuer(
        "corp",
        "https://issuer.example",
        JWKS,
        ("shop",),
        (("authorization", "Bearer "),),
        ("token",),
        ("token",),
        (("sub", "x-user"),),
        forward=True,
    )
    keys = RemoteKeys(Destination(("shop", "idp"), 80), "/keys.json", 3_600_000)
    partner = TokenIssuer("partner", "https://partner.example", keys)
    made = values.token_check(parsed(AUTH), lambda _: keys)
    assert made == TokenCheck(ref("AuthPolicy"), (issuer, partner))
