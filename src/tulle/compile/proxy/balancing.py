"""How the backends of a cluster are used: balancing, outliers, limits (BackendTrafficPolicy)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tulle import xds
from tulle.model.routing import Destination
from tulle.model.routing_policies import (
    BackendTraffic,
    Balancing,
    CircuitLimits,
    HashKey,
    OutlierDetection,
)

from . import latency
from .fields import Fields, extension, milliseconds, value

_NO_LIMIT = (1 << 32) - 1  # Envoy's own are 1,024, and 3 retries
_PATH = "/"  # of cookies that are made here
_POLICIES = "envoy.extensions.load_balancing_policies"
_NAMES = {
    "RoundRobin": ("round_robin", "RoundRobin"),
    "LeastRequest": ("least_request", "LeastRequest"),
    "Random": ("random", "Random"),
    "RingHash": ("ring_hash", "RingHash"),
    "Maglev": ("maglev", "Maglev"),
}
_HASHING = ("RingHash", "Maglev")
_BY_SOURCE = HashKey("SourceIP")


def use_of(traffic: BackendTraffic | None, web: bool, in_parts: bool = False) -> Fields:
    """Fields of a Cluster. `web`: it speaks HTTP. `in_parts`: of several services, by weight."""
    limits = traffic.limits if traffic else CircuitLimits()
    fields: Fields = {"circuit_breakers": {"thresholds": [_limits(limits, traffic)]}}
    if traffic is None:
        return fields
    fields["load_balancing_policy"] = _policy(traffic.balancing, web, in_parts)
    if traffic.outliers is not None:
        fields["outlier_detection"] = _outliers(traffic.outliers)
    return fields


def hash_policies(destinations: Iterable[Destination]) -> list[Fields]:
    """What of a request binds it to a backend; the first that it has decides."""
    keys = dict.fromkeys(key for item in destinations for key in _keys(item.traffic))
    return [{**_hash(key), "terminal": True} for key in keys]


def hashes_source(destinations: Iterable[Destination]) -> bool:
    """Whether connections that are passed on whole are bound to a backend by their source."""
    return any(True for item in destinations for _ in _keys(item.traffic))


def _keys(traffic: BackendTraffic | None) -> Iterator[HashKey]:
    """Without a policy it is the Service that says whether its clients stay (`sessionAffinity`)."""
    if traffic is None:
        yield _BY_SOURCE
    elif traffic.balancing.kind in _HASHING:
        yield from traffic.balancing.hash_on or (_BY_SOURCE,)


def _hash(key: HashKey) -> Fields:
    match key.kind:
        case "Header":
            return {"header": {"header_name": key.name}}
        case "Cookie":
            made: Fields = {"ttl": milliseconds(key.ttl_ms), "path": _PATH} if key.ttl_ms else {}
            return {"cookie": {"name": key.name, **made}}
        case "SourceIP":
            return {"connection_properties": {"source_ip": True}}


def _policy(balancing: Balancing, web: bool, in_parts: bool) -> Fields:
    """Latency is known of requests to one service; else it is by the fewest of them."""
    if balancing.kind == latency.KIND:
        if web and not in_parts:
            return {"policies": [{"typed_extension_config": latency.policy()}]}
        balancing = Balancing()
    package, message = _NAMES[balancing.kind]
    options: Fields = {}
    if balancing.kind == "LeastRequest":
        all_of_them = {"selection_method": "FULL_SCAN"}
        options = {"choice_count": value(balancing.choices)} if balancing.choices else all_of_them
    if balancing.slow_start_ms:
        window = milliseconds(balancing.slow_start_ms)
        options["slow_start_config"] = {"slow_start_window": window}
    if in_parts:
        weighted: Fields = {"locality_weighted_lb_config": {}}
        options |= weighted if balancing.kind in _HASHING else {"locality_lb_config": weighted}
    config = xds.any_of(f"{_POLICIES}.{package}.v3.{message}", **options)
    named = extension(f"envoy.load_balancing_policies.{package}", config)
    return {"policies": [{"typed_extension_config": named}]}


def _limits(limits: CircuitLimits, traffic: BackendTraffic | None) -> Fields:
    found = {
        "max_connections": limits.connections,
        "max_pending_requests": limits.pending,
        "max_requests": limits.requests,
        "max_retries": limits.retries,
    }
    thresholds: Fields = {
        name: value(_NO_LIMIT if limit is None else limit) for name, limit in found.items()
    }
    budget = traffic.retries if traffic else None
    if budget is not None:
        thresholds["retry_budget"] = {
            "budget_percent": {"value": budget.percent},
            "budget_interval": milliseconds(budget.interval_ms),
            "min_retry_concurrency": value(budget.least),
        }
    return thresholds


def _outliers(outliers: OutlierDetection) -> Fields:
    """Only by errors in a row: Envoy's statistics over all backends are off."""
    return {
        "consecutive_5xx": value(outliers.errors or 1),
        "enforcing_consecutive_5xx": value(100 if outliers.errors else 0),
        "consecutive_gateway_failure": value(outliers.gateway_errors or 1),
        "enforcing_consecutive_gateway_failure": value(100 if outliers.gateway_errors else 0),
        "enforcing_success_rate": value(0),
        "interval": milliseconds(outliers.interval_ms),
        "base_ejection_time": milliseconds(outliers.base_ejection_ms),
        "max_ejection_time": milliseconds(outliers.max_ejection_ms),
        "max_ejection_percent": value(outliers.max_ejection_percent),
    }
