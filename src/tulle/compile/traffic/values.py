"""Policies of tulle.io → what they come to on a rule or a destination."""

from __future__ import annotations

from collections.abc import Callable

from tulle.model.kinds import ref_of
from tulle.model.references import duration_ms
from tulle.model.routing_policies import (
    MILLION,
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
from tulle.model.traffic import (
    AuthPolicy,
    BackendPolicy,
    BackendTrafficPolicy,
    FaultInjectionPolicy,
    JwtProvider,
    LoadBalancing,
    Outliers,
    RateLimitPolicy,
    RemoteJwks,
    RetryConstraint,
)

_SECOND_MS = 1000


def backend_traffic(policy: BackendPolicy) -> BackendTraffic:
    """Without a word on balancing it is as without the policy."""
    spec = policy.spec
    retries = _budget(spec.retry_constraint) if spec.retry_constraint else None
    if not isinstance(policy, BackendTrafficPolicy):
        return BackendTraffic(ref_of(policy), retries=retries)
    own = policy.spec
    limits = own.circuit_limits
    return BackendTraffic(
        ref_of(policy),
        _balancing(own.load_balancing) if own.load_balancing else Balancing(),
        _outliers(own.outlier_detection) if own.outlier_detection else None,
        CircuitLimits(limits.connections, limits.pending_requests, limits.requests, limits.retries)
        if limits
        else CircuitLimits(),
        retries,
    )


def rate_limit(policy: RateLimitPolicy, target: str) -> RateLimit:
    """Whatever is routed by `target` shares its buckets."""
    buckets = tuple(
        TokenBucket(
            limit.requests,
            duration_ms(limit.interval),
            limit.burst or limit.requests,
            limit.per == "Client",
        )
        for limit in policy.spec.limits
    )
    scope = f"{policy.metadata.namespace}/{policy.metadata.name}:{target}"
    return RateLimit(ref_of(policy), scope, buckets)


def fault(policy: FaultInjectionPolicy) -> Fault:
    delay, abort = policy.spec.delay, policy.spec.abort
    return Fault(
        ref_of(policy),
        duration_ms(delay.duration) if delay else 0,
        _share(delay.percent) if delay else 0,
        (abort.status or 0) if abort else 0,
        (abort.grpc_status or 0) if abort else 0,
        _share(abort.percent) if abort else 0,
        tuple((item.name, item.value) for item in policy.spec.headers),
    )


def token_check(
    policy: AuthPolicy, fetched: Callable[[RemoteJwks], RemoteKeys]
) -> TokenCheck | None:
    jwt = policy.spec.jwt
    if jwt is None:
        return None
    issuers = tuple(_issuer(provider, fetched) for provider in jwt.providers)
    return TokenCheck(ref_of(policy), issuers, jwt.optional)


def _share(percent: float) -> int:
    return round(percent * MILLION / 100)


def _issuer(provider: JwtProvider, fetched: Callable[[RemoteJwks], RemoteKeys]) -> TokenIssuer:
    places, remote = provider.places, provider.jwks.remote
    return TokenIssuer(
        provider.name,
        provider.issuer,
        fetched(remote) if remote else provider.jwks.inline or "",
        provider.audiences,
        tuple((item.name, item.prefix) for item in places.headers) if places else (),
        places.params if places else (),
        places.cookies if places else (),
        tuple((item.claim, item.header) for item in provider.claims_to_headers),
        provider.forward,
    )


def _balancing(balancing: LoadBalancing) -> Balancing:
    choices = 2 if balancing.choices is None else balancing.choices
    keys = tuple(
        HashKey(key.type, key.name, duration_ms(key.ttl) if key.ttl else 0)
        for key in balancing.hash_on
    )
    return Balancing(balancing.type, choices, keys, duration_ms(balancing.slow_start))


def _outliers(outliers: Outliers) -> OutlierDetection:
    return OutlierDetection(
        outliers.consecutive_errors,
        outliers.consecutive_gateway_errors,
        duration_ms(outliers.interval),
        duration_ms(outliers.base_ejection_time),
        duration_ms(outliers.max_ejection_time),
        outliers.max_ejection_percent,
    )


def _budget(constraint: RetryConstraint) -> RetryBudget:
    """The proxy counts retries at a time: so many as would be in a second, if each took one."""
    rate = constraint.min_retry_rate
    least = max(1, rate.count * _SECOND_MS // duration_ms(rate.interval))
    return RetryBudget(constraint.budget.percent, duration_ms(constraint.budget.interval), least)
