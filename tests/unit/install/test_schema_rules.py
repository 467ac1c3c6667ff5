"""What schemas say of times is what validation says."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests.hostile.traffic import AUTH, BACKEND, FAULT, RATE_LIMIT
from tulle.edges.manifests.parse import parse
from tulle.install.schema_rules import CEL, FIELDS, SPANS
from tulle.model.references import duration_ms

PLACES: dict[tuple[str, str], tuple[dict[str, Any], str]] = {
    ("AuthSpec", "timeout"): (AUTH, "spec.timeout"),
    ("Budget", "interval"): (BACKEND, "spec.retryConstraint.budget.interval"),
    ("Delay", "duration"): (FAULT, "spec.delay.duration"),
    ("HashKey", "ttl"): (BACKEND, "spec.loadBalancing.hashOn.1.ttl"),
    ("Limit", "interval"): (RATE_LIMIT, "spec.limits.1.interval"),
    ("LoadBalancing", "slowStart"): (BACKEND, "spec.loadBalancing.slowStart"),
    ("Outliers", "baseEjectionTime"): (BACKEND, "spec.outlierDetection.baseEjectionTime"),
    ("Outliers", "interval"): (BACKEND, "spec.outlierDetection.interval"),
    ("Outliers", "maxEjectionTime"): (BACKEND, "spec.outlierDetection.maxEjectionTime"),
    ("RemoteJwks", "cacheDuration"): (AUTH, "spec.jwt.providers.1.jwks.remote.cacheDuration"),
    ("RetryRate", "interval"): (BACKEND, "spec.retryConstraint.minRetryRate.interval"),
}


def accepted(base: dict[str, Any], path: str, value: str) -> bool:
    obj = copy.deepcopy(base)
    if obj["kind"] == "BackendTrafficPolicy":
        obj["spec"]["outlierDetection"] |= {"baseEjectionTime": "100ms", "maxEjectionTime": "24h"}
        if path.endswith("slowStart"):
            obj["spec"]["loadBalancing"] = {"type": "RoundRobin"}
    *parents, last = path.split(".")
    where: Any = obj
    for step in parents:
        where = where[int(step) if step.isdigit() else step]
    where[last] = value
    return not parse(json.dumps(obj).encode(), "x.json").errors


@pytest.mark.parametrize("place", SPANS, ids=lambda place: f"{place[0].__name__}.{place[1]}")
def test_times_are_bounded_as_validation_does(place: tuple[type, str]) -> None:
    base, path = PLACES[place[0].__name__, place[1]]
    least, most = SPANS[place]
    assert accepted(base, path, least)
    assert accepted(base, path, most)
    assert not accepted(base, path, f"{most}1ms")
    below = duration_ms(least) - 1
    assert not accepted(base, path, f"{below // 1000}s{below % 1000}ms")


def test_rules_in_cel_name_only_fields_of_their_struct() -> None:
    for place, (least, most) in SPANS.items():
        (rule,) = FIELDS[place][CEL]
        ends = f"duration('{least}')", f"duration('{most}')"
        assert rule["rule"] == f"duration(self) >= {ends[0]} && duration(self) <= {ends[1]}"
        assert rule["message"] == f"must be from {least} to {most}"
