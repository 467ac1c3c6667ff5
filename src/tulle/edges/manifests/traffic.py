"""Rules of tulle.io's policies, and of XBackendTrafficPolicy, whose words are among theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from tulle.model.gateway import PolicyTarget
from tulle.model.references import GATEWAY_GROUP, duration_ms
from tulle.model.traffic import (
    AuthPolicy,
    BackendTrafficPolicy,
    BackendTrafficSpec,
    FaultInjectionPolicy,
    FaultSpec,
    HashKey,
    Limit,
    LoadBalancing,
    Outliers,
    RateLimitPolicy,
    RetryConstraint,
    TrafficPolicy,
    XBackendTrafficPolicy,
    XBackendTrafficSpec,
    XTargetReference,
)

from .auth_policy import check_auth
from .fields import FieldError
from .gateway import check_unique
from .gateway_routes import check_session

P = TypeVar("P", bound=TrafficPolicy)

_SERVICE = ("", "Service")
_OF_REQUESTS = (
    (GATEWAY_GROUP, "Gateway"),
    (GATEWAY_GROUP, "HTTPRoute"),
    (GATEWAY_GROUP, "GRPCRoute"),
    ("networking.k8s.io", "Ingress"),
    _SERVICE,
)
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_FILL_MS = 50  # Envoy's shortest interval of a token bucket
_HASHING = ("RingHash", "Maglev")
_RAMPING = ("RoundRobin", "LeastRequest")
_PLACES = 10_000  # shares are counted in millionths


def validate_traffic(policy: P) -> P:
    """A status is dropped: Tulle says its own."""
    match policy:
        case BackendTrafficPolicy() | XBackendTrafficPolicy():
            _check_targets(policy.spec.target_refs, (_SERVICE,))
            _check_backend(policy.spec)
        case RateLimitPolicy():
            _check_targets(policy.spec.target_refs, _OF_REQUESTS)
            for index, limit in enumerate(policy.spec.limits):
                _check_limit(limit, "spec", "limits", index)
        case FaultInjectionPolicy():
            _check_targets(policy.spec.target_refs, _OF_REQUESTS)
            _check_fault(policy.spec)
        case AuthPolicy():
            _check_targets(policy.spec.target_refs, _OF_REQUESTS)
            check_auth(policy.spec)
    return msgspec.structs.replace(policy, status=None)


def _check_targets(
    refs: Sequence[PolicyTarget | XTargetReference], accepted: Sequence[tuple[str, str]]
) -> None:
    for index, ref in enumerate(refs):
        path = ("spec", "targetRefs", index)
        if (ref.group, ref.kind) not in accepted:
            names = ", ".join(f"{kind} of {group or 'the core group'}" for group, kind in accepted)
            raise FieldError(f"must be a {names}", *path, "kind")
        if ref in refs[:index]:
            raise FieldError("names the same target as an earlier one", *path)


def _check_backend(spec: BackendTrafficSpec | XBackendTrafficSpec) -> None:
    parts: list[object] = [spec.retry_constraint, spec.session_persistence]
    if isinstance(spec, BackendTrafficSpec):
        parts += [spec.load_balancing, spec.outlier_detection, spec.circuit_limits]
        if spec.load_balancing is not None:
            _check_balancing(spec.load_balancing)
        if spec.outlier_detection is not None:
            _check_outliers(spec.outlier_detection)
        limits = spec.circuit_limits
        if limits is not None and limits.retries is not None and spec.retry_constraint:
            reason = "cannot stand beside retryConstraint: both limit retries"
            raise FieldError(reason, "spec", "circuitLimits", "retries")
    if not any(part is not None for part in parts):
        raise FieldError("says nothing about the traffic of its targets", "spec")
    if spec.retry_constraint is not None:
        _check_retries(spec.retry_constraint)
    if spec.session_persistence is not None:
        check_session(spec.session_persistence, "spec", "sessionPersistence")


def _check_balancing(balancing: LoadBalancing) -> None:
    path = ("spec", "loadBalancing")
    if balancing.hash_on and balancing.type not in _HASHING:
        raise FieldError(f"needs type {' or '.join(_HASHING)}", *path, "hashOn")
    if balancing.type != "LeastRequest" and balancing.choices is not None:
        raise FieldError("needs type LeastRequest", *path, "choices")
    if balancing.choices == 1:
        raise FieldError("must be 0, for all of them, or at least 2", *path, "choices")
    if balancing.slow_start:
        if balancing.type not in _RAMPING:
            raise FieldError(f"needs type {' or '.join(_RAMPING)}", *path, "slowStart")
        _check_span(balancing.slow_start, 1000, _HOUR_MS, *path, "slowStart")
    for index, key in enumerate(balancing.hash_on):
        _check_hash_key(key, *path, "hashOn", index)


def _check_hash_key(key: HashKey, *path: str | int) -> None:
    if bool(key.name) != (key.type != "SourceIP"):
        reason = "means nothing for" if key.name else "is required for"
        raise FieldError(f"{reason} type {key.type}", *path, "name")
    if key.ttl:
        if key.type != "Cookie":
            raise FieldError("needs type Cookie", *path, "ttl")
        _check_span(key.ttl, 1000, 365 * _DAY_MS, *path, "ttl")


def _check_outliers(outliers: Outliers) -> None:
    path = ("spec", "outlierDetection")
    if not outliers.consecutive_errors and not outliers.consecutive_gateway_errors:
        raise FieldError("finds nothing: both kinds of errors are 0", *path)
    for name, text in (
        ("interval", outliers.interval),
        ("baseEjectionTime", outliers.base_ejection_time),
        ("maxEjectionTime", outliers.max_ejection_time),
    ):
        _check_span(text, 100, _DAY_MS, *path, name)
    if duration_ms(outliers.max_ejection_time) < duration_ms(outliers.base_ejection_time):
        raise FieldError("is shorter than baseEjectionTime", *path, "maxEjectionTime")


def _check_retries(constraint: RetryConstraint) -> None:
    path = ("spec", "retryConstraint")
    _check_span(constraint.budget.interval, 1000, _HOUR_MS, *path, "budget", "interval")
    _check_span(constraint.min_retry_rate.interval, 1, _HOUR_MS, *path, "minRetryRate", "interval")


def _check_limit(limit: Limit, *path: str | int) -> None:
    _check_span(limit.interval, _FILL_MS, _DAY_MS, *path, "interval")
    if limit.burst is not None and limit.burst < limit.requests:
        raise FieldError("must be at least as large as requests", *path, "burst")


def _check_fault(spec: FaultSpec) -> None:
    if spec.delay is None and spec.abort is None:
        raise FieldError("needs a delay or an abort", "spec")
    if spec.delay is not None:
        _check_span(spec.delay.duration, 1, _HOUR_MS, "spec", "delay", "duration")
        _check_share(spec.delay.percent, "spec", "delay", "percent")
    if spec.abort is not None:
        if (spec.abort.status is None) == (spec.abort.grpc_status is None):
            raise FieldError("needs exactly one of status and grpcStatus", "spec", "abort")
        _check_share(spec.abort.percent, "spec", "abort", "percent")
    check_unique([item.name.lower() for item in spec.headers], "spec", "headers", field="name")


def _check_share(percent: float, *path: str | int) -> None:
    if round(percent * _PLACES) / _PLACES != percent:
        raise FieldError("has more than four places", *path)


def _check_span(text: str, least_ms: int, most_ms: int, *path: str | int) -> None:
    if not least_ms <= duration_ms(text) <= most_ms:
        reason = f"must be from {_shown(least_ms)} to {_shown(most_ms)}"
        raise FieldError(reason, *path)


def _shown(span_ms: int) -> str:
    """
    >>> _shown(50), _shown(1000), _shown(7_200_000)
    ('50ms', '1s', '2h')
    """
    for unit, size in (("h", _HOUR_MS), ("m", 60_000), ("s", 1000)):
        if span_ms >= size and span_ms % size == 0:
            return f"{span_ms // size}{unit}"
    return f"{span_ms}ms"
