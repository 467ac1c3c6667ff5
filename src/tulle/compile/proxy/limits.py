"""Rate limits of requests, counted by each node's proxy.

A rule may be many routes, and a policy's target many rules, but all share their buckets: these
stand in the table of routes, and a route only says in its metadata which are meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tulle import xds
from tulle.model.routing import Rule
from tulle.model.routing_policies import RateLimit, TokenBucket

from .fields import Fields, fraction, milliseconds, value

FILTER = "envoy.filters.http.local_ratelimit"

_MESSAGE = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_SCOPE = "tulle.rate_limit"  # in a route's metadata
_STATS = "rate_limit"
_MAX_CLIENTS = 10_000  # of a table, whose buckets are kept; then those not heard of for longest go
_PLENTY: Fields = {  # of requests that no bucket is for
    "max_tokens": (1 << 32) - 1,
    "tokens_per_fill": value((1 << 32) - 1),
    "fill_interval": {"seconds": 1},
}
# The other end of the connection: what a header says of the client is not believed. Without the
# bootstrap's word to read this as a format it is the same text for all, and they share a bucket.
_CLIENT = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"


def idle() -> Fields:
    """The filter as it stands in every chain."""
    return xds.any_of(_MESSAGE, stat_prefix=_STATS)


def scope_of(rule: Rule) -> Fields:
    """Fields of a Route: which buckets its requests take from."""
    limit = rule.policies.rate_limit
    if limit is None:
        return {}
    struct = {"fields": {"scope": {"string_value": limit.scope}}}
    return {"metadata": {"filter_metadata": {_SCOPE: struct}}}


def buckets_of(rules: Iterable[Rule]) -> Fields:
    """Per-filter configuration of a RouteConfiguration with such rules."""
    found = {rule.policies.rate_limit: None for rule in rules if rule.policies.rate_limit}
    if not found:
        return {}
    limits = [limit for limit in found if limit is not None]
    config = xds.any_of(
        _MESSAGE,
        stat_prefix=_STATS,
        filter_enabled=fraction(1, 1),
        filter_enforced=fraction(1, 1),
        token_bucket=_PLENTY,
        always_consume_default_token_bucket=value(False),
        max_dynamic_descriptors=value(_MAX_CLIENTS),
        enable_retry_after_header=True,
        rate_limited_as_resource_exhausted=True,  # to a client of gRPC
        rate_limits=list(_questions(limits)),
        descriptors=[
            _descriptor(limit, index, bucket)
            for limit in limits
            for index, bucket in enumerate(limit.buckets)
        ],
    )
    return {FILTER: config}


def _questions(limits: Iterable[RateLimit]) -> Iterator[Fields]:
    """What is asked of each request. Nothing comes of it where its route names no scope."""
    kinds = {(i, bucket.per_client) for limit in limits for i, bucket in enumerate(limit.buckets)}
    for index, per_client in sorted(kinds):
        scope: Fields = {
            "descriptor_key": "scope",
            "metadata_key": {"key": _SCOPE, "path": [{"key": "scope"}]},
            "source": "ROUTE_ENTRY",
        }
        actions: list[Fields] = [
            {"metadata": scope},
            {"generic_key": {"descriptor_key": "bucket", "descriptor_value": str(index)}},
        ]
        if per_client:
            actions.append(
                {"generic_key": {"descriptor_key": "client", "descriptor_value": _CLIENT}}
            )
        yield {"actions": actions}


def _descriptor(limit: RateLimit, index: int, bucket: TokenBucket) -> Fields:
    """An entry without a value stands for every one, each with a bucket of its own."""
    entries = [{"key": "scope", "value": limit.scope}, {"key": "bucket", "value": str(index)}]
    return {
        "entries": [*entries, {"key": "client"}] if bucket.per_client else entries,
        "token_bucket": {
            "max_tokens": bucket.burst,
            "tokens_per_fill": value(bucket.requests),
            "fill_interval": milliseconds(bucket.interval_ms),
        },
    }
