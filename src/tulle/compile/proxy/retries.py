"""How long a request may take and how often it is tried (GEP-1742, GEP-1731)."""

from __future__ import annotations

from tulle import xds
from tulle.model.routing import Retry, Rule

from .fields import Fields, extension, milliseconds, value

# What no backend has begun to work on is tried again, asked or not: its instance has just gone.
_UNSEEN = "connect-failure,refused-stream,reset-before-request"
_UNSEEN_RETRIES = 2
_CHOICES = 5  # draws to find a host that was not tried yet
_KEPT_BYTES = 1024 * 1024
_STEEPEST = 10  # the longest wait, in shortest ones: Envoy's default

_ELSEWHERE: Fields = {
    "retry_host_predicate": [
        extension(
            "envoy.retry_host_predicates.previous_hosts",
            xds.any_of("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
        )
    ],
    "host_selection_retry_max_attempts": _CHOICES,
}
# The RetryPolicy of virtual hosts, for routes without one.
UNASKED: Fields = {"retry_on": _UNSEEN, "num_retries": value(_UNSEEN_RETRIES), **_ELSEWHERE}


def times_of(rule: Rule) -> Fields:
    """Of a RouteAction. Without a timeout of its own a request may take for ever, as streams do.

    A route says only what its virtual host does not: the extension in it takes Envoy ten times as
    long to read as the rest of a route, each time that a table changes.
    """
    times: Fields = {"timeout": milliseconds(rule.timeout_ms or 0)}
    if rule.retry or rule.backend_timeout_ms:
        tries = _asked(rule.retry) if rule.retry else UNASKED
        times["retry_policy"] = {**tries, **_per_try(rule.backend_timeout_ms or 0)}
    return times


def buffer_of(rule: Rule) -> Fields:
    """Of a Route: what is kept of a body to be sent again. Larger ones have one try."""
    return {"request_body_buffer_limit": value(_KEPT_BYTES)} if rule.retry else {}


def _asked(retry: Retry) -> Fields:
    """A try that times out or is reset counts as a failed connection."""
    fields: Fields = {
        "retry_on": f"{_UNSEEN},reset{',retriable-status-codes' if retry.codes else ''}",
        "num_retries": value(retry.attempts),
        "retriable_status_codes": retry.codes,
        **_ELSEWHERE,
    }
    if retry.backoff_ms:
        longest = 2 * retry.backoff_ms  # Envoy draws the first wait evenly from 0 to its base
        fields["retry_back_off"] = {
            "base_interval": milliseconds(longest),
            "max_interval": milliseconds(longest * _STEEPEST),
        }
    return fields


def _per_try(timeout_ms: int) -> Fields:
    return {"per_try_timeout": milliseconds(timeout_ms)} if timeout_ms else {}
